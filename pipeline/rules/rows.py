"""Row expressions, ready to run: text → function over batches.

In: a signal, canonical text and a batch. Out: one array. Never: an error in the user's text, which was checked when its rule was read.
"""

from collections.abc import Iterator
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.rules.errors import ExpressionError
from tracebraid.pipeline.rules.fields import Field, Read, label_field, resolve, table_of
from tracebraid.pipeline.rules.parse import parse
from tracebraid.pipeline.rules.rowcheck import Checker
from tracebraid.pipeline.rules.syntax import Entry, Name, Node, children
from tracebraid.schemas.table import CODED, STRING


def condition(signal: str, text: str, batch: pa.RecordBatch) -> pa.BooleanArray:
    """Truth of each row in SQL's three values: null is unknown. Of what hangs on one column that is held as numbers of a dictionary, its texts are asked."""
    read, name = _condition(signal, text), _only_column(signal, text)
    held = batch.column(name) if name else None
    if held is None or held.type != CODED or len(held.dictionary) >= len(held):
        return _whole(read(batch), batch)
    texts = pa.record_batch([pa.concat_arrays([held.dictionary, pa.nulls(1, STRING)])], names=[name])
    return _whole(read(texts), texts).take(held.indices.fill_null(len(held.dictionary)))


def true_rows(signal: str, text: str, batch: pa.RecordBatch) -> pa.BooleanArray:
    """Which rows fulfil a condition, without nulls: unknown is not true."""
    return pc.fill_null(condition(signal, text, batch), False)


def number(signal: str, text: str, batch: pa.RecordBatch) -> pa.DoubleArray:
    """A numeric expression as float64, in base units."""
    return _whole(pc.cast(_number(signal, text)(batch), pa.float64(), safe=False), batch)


def label(signal: str, name: str, batch: pa.RecordBatch) -> pa.StringArray | pa.DictionaryArray:
    """A label's values, '' for null; as numbers of a dictionary where the batch holds them so."""
    field = _label(signal, name)
    held = batch.column(field.name) if field.name in batch.schema.names else None
    if held is None or held.type != CODED:
        return pc.fill_null(pc.cast(field.read(batch), pa.string()), "")
    if not held.null_count:
        return held
    texts = pa.concat_arrays([held.dictionary, pa.array([""], STRING)])
    return pa.DictionaryArray.from_arrays(held.indices.fill_null(len(held.dictionary)), texts)


def _whole(values: pa.Array | pa.Scalar, batch: pa.RecordBatch) -> pa.Array:
    return pa.repeat(values, batch.num_rows) if isinstance(values, pa.Scalar) else values


@lru_cache(maxsize=4096)
def _condition(signal: str, text: str) -> Read:
    checker = Checker(signal)
    read = checker.condition(parse(text))
    return _sound(checker, read)


@lru_cache(maxsize=4096)
def _only_column(signal: str, text: str) -> str:
    """The column of texts that a condition reads and no other one, else ''."""
    fields = {resolve(signal, node).name: resolve(signal, node).type for node in _names(parse(text))}
    (name, kind) = next(iter(fields.items()), ("", "null"))
    return name if len(fields) == 1 and kind == "text" and name in {each.name for each in table_of(signal).columns} else ""


def _names(node: Node) -> Iterator[Name | Entry]:
    if isinstance(node, Name | Entry):
        yield node
    for child in children(node):
        yield from _names(child)


@lru_cache(maxsize=4096)
def _number(signal: str, text: str) -> Read:
    checker = Checker(signal)
    read = checker.quantity(parse(text))[0]
    return _sound(checker, read)


def _sound(checker: Checker, read: Read) -> Read:
    if checker.mistakes:
        raise checker.mistakes[0]
    return read


@lru_cache(maxsize=4096)
def _label(signal: str, name: str) -> Field:
    node = parse(name)
    if not isinstance(node, Name | Entry):
        raise ExpressionError(f"{name} is no name", node.at)
    return label_field(signal, node)
