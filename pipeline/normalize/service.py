"""Resources to columns: once for each resource of a batch, then taken by the rows.

In: schemas.records.RESOURCES. Out: the columns of schemas.semconv.RESOURCE, `resource_attributes` and `resource_schema_url`.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tracebraid.pipeline.kernel.held import as_held, take
from tracebraid.pipeline.normalize.attributes import promote
from tracebraid.schemas.semconv import RESOURCE
from tracebraid.schemas.table import STORED_ATTRIBUTES


@dataclass(frozen=True, slots=True)
class NormalizedResources:
    """The resources of one batch as the tables' columns, a row a resource; as schemas.table holds them; `resource_attributes` has no nulls."""

    columns: dict[str, pa.Array]

    @classmethod
    def of(cls, resources: pa.RecordBatch) -> "NormalizedResources":
        columns, rest = promote(resources.column("attributes"), RESOURCE)
        named = {promoted.column: column.dictionary_encode() for promoted, column in zip(RESOURCE, columns, strict=True)}  # rows then take numbers, not texts
        return cls(
            {**named, "resource_attributes": as_held(rest, STORED_ATTRIBUTES), "resource_schema_url": resources.column("schema_url").dictionary_encode()}
        )

    def take(self, resource: pa.Int32Array) -> dict[str, pa.Array]:
        """The same columns for rows with these `resource` numbers."""
        rows = resource.to_numpy().astype(np.int64)
        return {name: take(column, rows) for name, column in self.columns.items()}

    def service_name(self, resource: pa.Int32Array) -> pa.DictionaryArray:
        return self.columns["service_name"].take(resource)
