"""A lake that is not a directory is read through the Delta reader's own storage, without an extension of DuckDB's."""

from pathlib import Path

from tests.unit.query.build import shop_lake
from tracebraid.pipeline.query import snapshot as snapshots
from tracebraid.pipeline.query.connection import bare, install
from tracebraid.pipeline.query.prune import files_needed
from tracebraid.pipeline.query.snapshot import KEPT, TABLES, Snapshot, take


def as_remote(lake: Path) -> Snapshot:
    """The lake as an object store would hold it."""
    url = f"file://{lake}"
    return Snapshot(url, True, {}, {table.name: snapshots._open(table, f"{url}", True, {}) for table in (*TABLES, *KEPT)})


def test_a_remote_lake_gives_what_a_local_one_gives(tmp_path: Path) -> None:
    shop_lake(tmp_path)
    local, remote = bare(), bare()
    install(local, take(str(tmp_path)))
    install(remote, as_remote(tmp_path))
    for view in ("spans", "logs", "rejects", "intervals", "traces", "trace_logs", "orphan_logs", "service_edges"):
        assert remote.execute(f"DESCRIBE {view}").fetchall() == local.execute(f"DESCRIBE {view}").fetchall()
        ordered = (
            f"SELECT * FROM {view} ORDER BY ALL" if view in ("traces", "service_edges", "intervals") else f"SELECT * FROM {view} ORDER BY kafka_offset, span_id"
        )
        ordered = ordered.replace(", span_id", "") if view == "rejects" else ordered
        assert sorted(map(repr, remote.execute(ordered).fetchall())) == sorted(map(repr, local.execute(ordered).fetchall()))
    assert remote.execute("SELECT count(*) FROM spans WHERE day = DATE '2026-01-02'").fetchall() == [(5,)]
    assert remote.execute("SELECT count(*) FROM spans WHERE day > DATE '2026-01-02'").fetchall() == [(0,)]


def test_files_of_a_remote_lake_are_chosen_alike(tmp_path: Path) -> None:
    shop_lake(tmp_path)
    snapshot = as_remote(tmp_path)
    sql = f"SELECT count(*) FROM spans WHERE trace_id = '{'b'.zfill(32)}'"
    connection = bare()
    files = files_needed(connection, snapshot, sql)
    install(connection, snapshot, files)
    assert (len(files["spans"]), connection.execute(sql).fetchall()) == (1, [(1,)])
