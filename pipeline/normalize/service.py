"""Resources to columns: once for each resource of a batch, then taken by the rows.

In: schemas.records.RESOURCES. Out: the columns of schemas.semconv.RESOURCE, `resource_attributes` and `resource_schema_url`.
"""

from dataclasses import dataclass

import pyarrow as pa

from tracebraid.pipeline.normalize.attributes import promote
from tracebraid.schemas.semconv import RESOURCE


@dataclass(frozen=True, slots=True)
class NormalizedResources:
    """The resources of one batch as the tables' columns, a row a resource; string columns have nulls, `resource_attributes` has none."""

    columns: dict[str, pa.Array]

    @classmethod
    def of(cls, resources: pa.RecordBatch) -> "NormalizedResources":
        columns, rest = promote(resources.column("attributes"), RESOURCE)
        named = dict(zip((promoted.column for promoted in RESOURCE), columns, strict=True))
        return cls({**named, "resource_attributes": rest, "resource_schema_url": resources.column("schema_url")})

    def take(self, resource: pa.Int32Array) -> dict[str, pa.Array]:
        """The same columns for rows with these `resource` numbers."""
        return {name: column.take(resource) for name, column in self.columns.items()}

    def service_name(self, resource: pa.Int32Array) -> pa.StringArray:
        return self.columns["service_name"].take(resource)
