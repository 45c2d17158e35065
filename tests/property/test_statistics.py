"""The statistics we write, held against readers that are not ours: filters by Polars, PyArrow and DataFusion (delta-rs) equal a full scan."""

import json
import operator
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, QueryBuilder
from deltalake.transaction import AddAction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tracebraid.pipeline.store.files import LocalFiles
from tracebraid.pipeline.store.parquet import write_rows
from tracebraid.pipeline.store.statistics import cut_above
from tracebraid.pipeline.store.tables import open_table
from tracebraid.schemas.table import INT32, INT64, PARTITION_COLUMN, STRING, TIMESTAMP, Column, Table

# Forty columns between the first and the last that have statistics: readers heed the first 32 alone unless the table says which.
PROBE = Table(
    name="probe",
    version=1,
    comment="",
    sort_by=("trace_id", "start_unix_nano"),
    columns=(
        PARTITION_COLUMN,
        Column("row", INT64, "", True),
        Column("trace_id", STRING, ""),
        Column("start_time", TIMESTAMP, ""),
        *(Column(f"filler_{number}", STRING, "") for number in range(40)),
        Column("severity_number", INT32, ""),
        Column("start_unix_nano", INT64, ""),
    ),
)
COLUMNS = ("trace_id", "start_time", "severity_number", "start_unix_nano")
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
Row = dict[str, Any]
Predicate = tuple[str, str, Any]  # column, operator or 'null' or 'not null', value

EDGES = "aZ~ \x00\x7f\u0080\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U00020000\U0010ffff'\"\\"
texts = st.one_of(
    st.text(max_size=4),
    st.text(alphabet=EDGES, max_size=4),
    st.builds(
        lambda start, character, end: start + character * 31 + end,
        st.text(alphabet=EDGES, max_size=2),
        st.sampled_from(EDGES),
        st.text(alphabet=EDGES, max_size=2),
    ),
)
YEAR_1_US, YEAR_10000_US = -62_135_596_800_000_000, 253_402_300_800_000_000
times = st.one_of(
    st.integers(-3000, 3000),
    st.integers(YEAR_1_US, YEAR_10000_US - 1),
    st.sampled_from([YEAR_1_US, YEAR_10000_US - 1, YEAR_10000_US - 1000, YEAR_10000_US, -(2**63), 2**63 - 1, 999, 1000, 1001, 1_730_000_000_123_456]),
)
longs = st.one_of(st.integers(-3, 3), st.integers(-(2**63), 2**63 - 1), st.sampled_from([2**53, 2**53 + 1, 2**63 - 1, -(2**63)]))
ints = st.integers(-(2**31), 2**31 - 1) | st.integers(-2, 2)
VALUES = {"trace_id": texts, "start_time": times, "severity_number": ints, "start_unix_nano": longs}


@st.composite
def files_of_rows(draw: st.DrawFn) -> list[list[Row]]:
    """One to three files; in each, some columns are null throughout."""
    files = []
    for _ in range(draw(st.integers(1, 3))):
        absent = draw(st.sets(st.sampled_from(COLUMNS), max_size=2))
        row = st.fixed_dictionaries({name: st.none() if name in absent else st.none() | VALUES[name] for name in COLUMNS})
        files.append(draw(st.lists(row, min_size=1, max_size=4)))
    return files


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[list[Row]], list[Predicate]]:
    files = draw(files_of_rows())
    predicates = []
    for _ in range(draw(st.integers(1, 4))):
        name = draw(st.sampled_from(COLUMNS))
        seen = [row[name] for rows in files for row in rows if row[name] is not None]
        value = draw(st.sampled_from(seen) | VALUES[name] if seen else VALUES[name])
        predicates.append((name, draw(st.sampled_from([*OPERATORS, "null", "not null"])), value))
    return files, predicates


def write_table(place: Path, files: list[list[Row]], bend: Callable[[str], str] = str) -> DeltaTable:
    """A table of these files, each row with a number in column `row`. `bend` may spoil the statistics of each."""
    table = open_table(str(place), PROBE, {}, create=True)
    store = LocalFiles(place / PROBE.name)
    adds = []
    number = 0
    for rows in files:
        numbered = [{"day": date(2026, 1, 2), "row": number + at, **row} for at, row in enumerate(rows)]
        number += len(rows)
        written = write_rows(PROBE, [pa.RecordBatch.from_pylist(numbered, schema=PROBE.arrow)], store)
        adds += [AddAction(file.path, file.bytes, {"day": file.day}, 1, True, bend(file.statistics)) for file in written]
    table.create_write_transaction(adds, "append", table.schema(), ["day"])
    table.update_incremental()
    return table


def full_scan(table: DeltaTable, predicate: Predicate) -> list[int]:
    """The oracle: every row of every file, one by one, in Python."""
    name, how, value = predicate
    found = []
    for uri in table.file_uris():
        rows = pq.ParquetFile(uri).read()
        for number, cell in zip(rows["row"].to_pylist(), rows[name].cast(pa.int64() if name == "start_time" else rows[name].type).to_pylist(), strict=True):
            if how in ("null", "not null"):
                if (cell is None) == (how == "null"):
                    found.append(number)
            elif cell is not None and OPERATORS[how](cell, value):
                found.append(number)
    return sorted(found)


def by_polars(table: DeltaTable, predicate: Predicate) -> list[int]:
    name, how, value = predicate
    column = pl.col(name)
    literal = pl.lit(value, pl.Int64).cast(pl.Datetime("us", "UTC")) if name == "start_time" else pl.lit(value)
    wanted = column.is_null() if how == "null" else column.is_not_null() if how == "not null" else OPERATORS[how](column, literal)
    return sorted(pl.scan_delta(table.table_uri).filter(wanted).select("row").collect()["row"].to_list())


def by_pyarrow(table: DeltaTable, predicate: Predicate) -> list[int]:
    name, how, value = predicate
    column = pc.field(name)
    wanted = (
        column.is_null()
        if how == "null"
        else column.is_valid()
        if how == "not null"
        else OPERATORS[how](column, pa.scalar(value, PROBE.arrow.field(name).type))
    )
    return sorted(table.to_pyarrow_dataset().to_table(columns=["row"], filter=wanted)["row"].to_pylist())


def by_datafusion(table: DeltaTable, predicate: Predicate) -> list[int]:
    name, how, value = predicate
    literal = "'" + value.replace("'", "''") + "'" if name == "trace_id" else str(value)
    if name == "start_time":
        literal = f"arrow_cast(CAST({literal} AS BIGINT), 'Timestamp(Microsecond, Some(\"UTC\"))')"
    wanted = f"{name} IS {how.upper()}" if how in ("null", "not null") else f"{name} {how} {literal}"
    answer = QueryBuilder().register("probe", table).execute(f'SELECT "row" FROM probe WHERE {wanted}').read_all()
    return sorted(pa.table(answer)["row"].to_pylist())


READERS = (by_polars, by_pyarrow, by_datafusion)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_filters_equal_a_full_scan(case: tuple[list[list[Row]], list[Predicate]]) -> None:
    files, predicates = case
    with tempfile.TemporaryDirectory() as place:
        table = write_table(Path(place), files)
        for predicate in predicates:
            expected = full_scan(table, predicate)
            assert {reader.__name__: reader(table, predicate) for reader in READERS} == {reader.__name__: expected for reader in READERS}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_wrong_statistic_would_be_seen(tmp_path: Path, name: str) -> None:
    """Each reader heeds the statistics of each column: a maximum below the value hides the row, so the test above has teeth."""
    value = {"trace_id": "b", "start_time": 5_000_000, "severity_number": 5, "start_unix_nano": 5}[name]
    too_low = {"trace_id": "a", "start_time": "1970-01-01T00:00:04.000Z", "severity_number": 4, "start_unix_nano": 4}[name]

    def bend(statistics: str) -> str:
        bent: dict[str, Any] = json.loads(statistics)
        bent["minValues"][name] = bent["maxValues"][name] = too_low
        return json.dumps(bent)

    row = dict.fromkeys(COLUMNS) | {name: value}
    predicate = (name, "=", value)
    right = write_table(tmp_path / "right", [[row]])
    assert [reader(right, predicate) for reader in READERS] == [[0], [0], [0]]
    bent = write_table(tmp_path / "wrong", [[row]], bend)
    assert full_scan(bent, predicate) == [0]
    assert [reader(bent, predicate) for reader in READERS] == [[], [], []]


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]) | st.sampled_from(EDGES), max_size=8), st.integers(1, 5), st.text(max_size=3))
def test_a_cut_maximum_is_never_below(value: str, chars_max: int, rest: str) -> None:
    cut = cut_above(value, chars_max)
    if cut is None:
        assert set(value[:chars_max]) == {"\U0010ffff"}
        return
    assert len(cut) <= chars_max
    assert cut.encode() >= value.encode()
    if len(value) > chars_max:
        assert cut.encode() > (value[:chars_max] + rest).encode()
