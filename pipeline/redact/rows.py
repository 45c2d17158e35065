"""Normalized rows without what must not be kept: the stage's entry, before any sink.

In: Normalized, settings. Out: Normalized with the same rows in the same order, and what was changed, by rule. Never: a row refused; a clock; a value
looked at twice that repeats in its column; a copy of what holds nothing to redact.

Every text of spans and logs is looked at but ids, words of closed lists, the tenant and provenance. Rejects are records that could not be read, and so
could not be redacted: they have a retention of their own, and `rejects.keep` may leave nothing of them but size, hash and reason.
"""

from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa

from tracebraid.pipeline.kernel.records import Normalized
from tracebraid.pipeline.kernel.settings import Settings
from tracebraid.pipeline.redact.arrays import count, distinct, is_text, restored
from tracebraid.pipeline.redact.maps import redact_map
from tracebraid.pipeline.redact.patterns import mask_of, masked
from tracebraid.pipeline.redact.rules import Rules, rules_of
from tracebraid.schemas.redactable import UNTOUCHED
from tracebraid.schemas.rejects import REASONS
from tracebraid.schemas.table import STRING


def redact(normalized: Normalized, settings: Settings) -> Normalized:
    """`normalized` as settings.redact and settings.rejects want it."""
    if settings.rejects.keep == "hash" and normalized.rejects.num_rows:
        normalized = replace(normalized, rejects=_hash_alone(normalized.rejects))
    if not settings.redact.enabled:
        return normalized
    rules, counts = rules_of(settings.redact), Counter[str]()
    spans, logs = (_redact_batch(batch, rules, counts) for batch in (normalized.spans, normalized.logs))
    return replace(normalized, spans=spans, logs=logs, counted=_by_service(normalized.counted, rules), redacted=+counts)  # +: what changed nothing is not told


def _redact_batch(batch: pa.RecordBatch, rules: Rules, counts: Counter[str]) -> pa.RecordBatch:
    if not batch.num_rows:
        return batch
    columns = [array if name in UNTOUCHED else _column(name, array, rules, counts) for name, array in zip(batch.schema.names, batch.columns, strict=True)]
    return pa.record_batch(columns, schema=batch.schema)


def _column(name: str, array: pa.Array, rules: Rules, counts: Counter[str]) -> pa.Array:
    kind, rule = array.type, rules.columns.get(name)
    if array.null_count == len(array):  # most of a table's columns, most of the time
        return pa.nulls(len(array), kind) if pa.types.is_dictionary(kind) and len(array.dictionary) else array
    if rule and (rule.what == "drop" or not is_text(kind)):  # a number has no hash that its column could hold
        counts[rule.name] += len(array) - array.null_count
        return pa.nulls(len(array), kind)
    if is_text(kind):
        return _texts(name, array, rules, counts)
    if pa.types.is_map(kind):
        return redact_map(array, rules, counts)
    if pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
        return _structs(array, rules, counts)
    return array


def _texts(name: str, array: pa.Array, rules: Rules, counts: Counter[str]) -> pa.Array:
    values, codes = distinct(array)
    if not len(values):
        return array
    rule = rules.columns.get(name)
    if rule:
        counts[rule.name] += len(array) - array.null_count
        made = rules.hashed(values) if rule.what == "hash" else pa.array([mask_of(rule.name)] * len(values), STRING)
        return restored(made, codes, array.type)
    after, hits = masked(values, rules.patterns)
    counts.update({pattern: count(codes, places, len(values)) for pattern, places in hits.items()})
    return restored(after, codes, array.type) if hits else array  # also where no row has it: a file keeps all of a dictionary


def _structs(array: pa.ListArray, rules: Rules, counts: Counter[str]) -> pa.ListArray:
    """Events and links: their names, and their attributes."""
    offsets = array.offsets.to_numpy().astype(np.int64)
    items = array.values.slice(int(offsets[0]), int(offsets[-1] - offsets[0]))
    if not len(items):
        return array
    fields = list(array.type.value_type)
    before = items.flatten()
    after = [each if field.name in UNTOUCHED else _column("", each, rules, counts) for field, each in zip(fields, before, strict=True)]
    if all(new is old for new, old in zip(after, before, strict=True)):
        return array
    nulls = items.is_null() if items.null_count else None
    made = pa.StructArray.from_arrays(after, fields=fields, mask=nulls)
    mask = array.is_null() if array.null_count else None
    return pa.ListArray.from_arrays(pa.array((offsets - offsets[0]).astype(np.int32)), made, type=array.type, mask=mask)


def _by_service(counted: Counter[tuple[str, str]], rules: Rules) -> Counter[tuple[str, str]]:
    """What was noticed goes by the service's name, as metrics are told it: the one that is stored."""
    pairs = list(counted)
    named = pa.array([service or None for _, service in pairs], STRING)
    services = _column("service_name", named, rules, Counter()).to_pylist()
    made: Counter[tuple[str, str]] = Counter()
    for (what, service), told in zip(pairs, services, strict=True):
        made[what, told or ""] += counted[what, service]
    return made


def _hash_alone(rejects: pa.RecordBatch) -> pa.RecordBatch:
    """Rejects without their bytes, keys and headers, and with the reason's own words: a decoder's may repeat what it read."""
    columns = dict(zip(rejects.schema.names, rejects.columns, strict=True))
    for name in ("record_key", "record_value", "record_headers"):
        columns[name] = pa.nulls(rejects.num_rows, columns[name].type)
    columns["message"] = pa.array([REASONS.get(reason, reason) for reason in columns["reason"].to_pylist()], STRING)
    return pa.record_batch(list(columns.values()), schema=rejects.schema)
