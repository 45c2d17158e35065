"""What a lake asks of an object store, on a real one: conditional put, credentials, answers that never came, a server that is away."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.brokers import s3 as servers
from tests.brokers.kafka import free_ports
from tests.brokers.s3 import S3
from tests.brokers.s3_proxy import Proxy, in_front_of
from tests.unit.store.build import ONCE, P, Place, cycle, files_in_snapshots, files_on_disk, mixed, offsets, opened, partition, visible
from tracebraid import connect
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.store.conditional import PROBE, check_conditional_put
from tracebraid.pipeline.store.lake import Lake
from tracebraid.pipeline.store.ledger import Held

QUICK = {"max_retries": "2", "retry_timeout": "5s"}


def place_in(s3: S3, name: str) -> Place:
    return Place(f"s3://{s3.bucket}/{name}", {**s3.options, **QUICK}, s3.directory / "data" / s3.bucket / name)


@pytest.fixture
def proxy(s3: S3) -> Iterator[Proxy]:
    with in_front_of(s3) as running:
        yield running


def test_a_store_with_conditional_put_is_taken_and_asked_cheaply(proxy: Proxy) -> None:
    place = place_in(proxy.s3, "asked")
    opened(place)
    probe = f"/{proxy.s3.bucket}/asked/{PROBE}"
    assert [request for request in proxy.seen if PROBE in request[1]] == [("PUT", probe, "200"), ("PUT", probe, "412")]
    proxy.seen.clear()
    opened(place)
    assert [request for request in proxy.seen if PROBE in request[1]] == [("PUT", probe, "412")]
    proxy.seen.clear()
    Lake.open(place.url, place.options, Clock(), create=False)  # who only reads asks nothing, and needs no right to write
    assert {method for method, *_ in proxy.seen} <= {"GET", "HEAD"}


def test_a_store_without_conditional_put_is_refused_before_anything_is_made(proxy: Proxy) -> None:
    proxy.forgets = lambda *_: True
    place = place_in(proxy.s3, "forgetful")
    for _ in range(2):
        with pytest.raises(TracebraidError) as error:
            opened(place)
        assert str(error.value) == (
            f"the store of {place.url} has no conditional put: it took a second put of {PROBE} on condition that there is none. "
            "Two writers would overwrite each other's commits there: keep the lake in a store that heeds If-None-Match"
        )
    assert not error.value.transient
    assert [path.name for path in place.folder.iterdir()] == [PROBE]


def entry(table: str, version: int) -> str:
    return f"{table}/_delta_log/{version:020}.json"


def behind(proxy: Proxy, s3: S3, name: str, *partitions: Partition) -> Lake:
    """A lake whose log is reached through the proxy, and whose files are not: delta-rs holds Python's lock while it begins a file."""
    lake = opened(place_in(proxy.s3, name), *partitions)
    lake._files = opened(place_in(s3, name))._files
    return lake


@pytest.mark.parametrize("forgets", [False, True])
def test_two_that_publish_one_version_at_once(s3: S3, proxy: Proxy, forgets: bool) -> None:
    """With the condition one of them comes second and steps over the first; without, the first's rows are gone, and it was told that they are kept."""
    place, other = place_in(s3, f"race-{forgets}"), partition(1)
    opened(place)
    first, second = behind(proxy, s3, place.folder.name, P), behind(proxy, s3, place.folder.name, other)
    both = threading.Barrier(2, timeout=20)

    def meet(method: str, path: str, condition: str) -> bool:
        here = path.endswith(entry("logs", 1))
        if here and not both.broken:
            with suppress(threading.BrokenBarrierError):
                both.wait()
                both.abort()
        return forgets and here  # of this entry alone: a fence lost elsewhere would be found out, and stop its writer

    proxy.forgets = meet
    with ThreadPoolExecutor(2) as pool:
        work = [pool.submit(lake.commit, cycle(owner, 0, 4, None, logs=range(4))) for lake, owner in ((first, P), (second, other))]
        done = [each.result() for each in work]
    assert [committed.rows for committed in done] == [{"logs": 4, "intervals": 1}] * 2
    assert len(visible(place)["logs"]) == (4 if forgets else 8)
    if not forgets:
        assert sum(committed.others for committed in done) >= 1


@pytest.mark.parametrize(("table", "version"), [("logs", 1), ("spans", 1), ("spans", 2), ("rejects", 1), ("rejects", 2), ("intervals", 1), ("intervals", 2)])
def test_an_entry_that_was_written_and_whose_answer_never_came_is_found(s3: S3, proxy: Proxy, table: str, version: int) -> None:
    """The client asks again by itself, is told that the entry is there, and takes its own for another's. All but the first table are fenced first."""
    place = place_in(s3, f"lost-{table}-{version}")
    opened(place)
    lake = behind(proxy, s3, place.folder.name, P)
    lost: list[str] = []

    def lose(method: str, path: str, status: str) -> bool:
        hit = method == "PUT" and path.endswith(entry(table, version)) and not lost
        lost.extend([path] * hit)
        return hit

    proxy.loses = lose
    assert lake.commit(mixed()).rows == {"logs": 3, "spans": 4, "rejects": 2, "intervals": 1}
    assert len(lost) == 1
    assert visible(place) == ONCE
    assert files_on_disk(place) == files_in_snapshots(place)
    assert [place.delta(name).version() for name in ("logs", "spans", "rejects", "intervals")] == [1, 2, 2, 2]


def test_a_store_that_takes_all_and_answers_nothing(s3: S3, proxy: Proxy) -> None:
    """One line, in seconds; and the same cycle goes through once answers come again, without a row twice."""
    place = place_in(s3, "mute")
    opened(place)
    lake, whole = behind(proxy, s3, place.folder.name, P), mixed()
    proxy.loses = lambda method, path, status: "_delta_log" in path
    began_s = time.monotonic()
    with pytest.raises(TracebraidError, match=r"cannot (read|commit to) s3://lakes/mute/\w+: .*Look at the storage") as error:
        lake.commit(whole)
    assert error.value.transient
    assert "\n" not in str(error.value)
    assert time.monotonic() - began_s < 30
    proxy.loses = lambda method, path, status: False
    assert lake.commit(whole).rows == {"logs": 3, "spans": 4, "rejects": 2, "intervals": 1}
    assert visible(place) == ONCE


def test_a_server_that_is_away_and_comes_back() -> None:
    if why := servers.unavailable():
        pytest.skip(why)
    with servers.running_s3() as s3:
        place = place_in(s3, "away")
        lake = opened(place)
        lake.commit(mixed())
        whole = mixed(10, 10)
        for step in ("checked", "written", "committed spans"):
            lake.after_step = lambda name, step=step: s3.kill() if name == step else None  # type: ignore[misc]
            with pytest.raises(TracebraidError, match=r"cannot (write to|read|commit to) s3://lakes/away/.*Connection refused") as error:
                lake.commit(whole)
            assert error.value.transient
            assert "\x1b" not in str(error.value)
            s3.start()
        s3.kill()
        with pytest.raises(TracebraidError) as error:
            opened(place)
        assert str(error.value).startswith(f"cannot find out whether the store of {place.url} has conditional put: ")
        s3.start()
        lake.after_step = lambda name: None
        lake.commit(whole)
        assert [offset for _, offset in offsets(place, "spans")] == [0, 1, 2, 3, 10, 11, 12, 13]
        assert opened(place).read_ledger(P) == Held(20, {}, 20)


@pytest.mark.parametrize(
    ("place", "change", "says"),
    [
        ("s3://no-such-bucket/lake", {}, "NoSuchBucket: The specified bucket does not exist. Make the bucket, or set TRACEBRAID_LAKE to another place"),
        ("s3://lakes/refused", {"aws_secret_access_key": "wrong"}, "Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        ("s3://lakes/refused", {"aws_allow_http": "false"}, "The endpoint is plain http: set AWS_ALLOW_HTTP=true, or storage_options.aws_allow_http"),
    ],
)
@pytest.mark.parametrize("create", [True, False])
def test_what_is_set_wrong_is_one_line(s3: S3, place: str, change: dict[str, str], says: str, create: bool) -> None:
    with pytest.raises(TracebraidError) as error:
        Lake.open(place, {**s3.options, **QUICK, **change}, Clock(), create=create)
    assert says in str(error.value)
    assert not error.value.transient
    assert "\n" not in str(error.value)


def test_the_users_word_serves_where_the_store_cannot_be_asked() -> None:
    (port,) = free_ports(1)
    away = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "aws_endpoint_url": f"http://127.0.0.1:{port}", "aws_allow_http": "true", **QUICK}
    check_conditional_put("s3://lakes/lake", {**away, "aws_conditional_put": "etag"})
    with pytest.raises(TracebraidError, match=r"cannot find out whether .* set storage_options\.aws_conditional_put to etag"):
        check_conditional_put("s3://lakes/lake", away)


LINES = [b'{"level":"ERROR","trace_id":"%032x","message":"line %d","time":"2026-01-02T03:04:%02dZ"}' % (number, number, number) for number in range(1, 41)]


def run(environment: dict[str, str], *words: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TRACEBRAID_"))}
    done = subprocess.run([sys.executable, "-m", "tracebraid", *words], env={**kept, **environment}, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr
    return done.stdout


@pytest.mark.parametrize("given", ["variables", "settings"])
def test_every_reading_command_on_a_lake_in_s3(s3: S3, tmp_path: Path, given: str) -> None:
    (tmp_path / "lines.jsonl").write_bytes(b"\n".join(LINES) + b"\n")
    environment = {"TRACEBRAID_LAKE": f"s3://{s3.bucket}/read-{given}"}
    if given == "variables":
        environment |= s3.environment
    else:
        options = "".join(f'{name} = "{value}"\n' for name, value in s3.options.items())
        (tmp_path / "settings.toml").write_text(f"[storage_options]\n{options}")
        environment["TRACEBRAID_CONFIG"] = str(tmp_path / "settings.toml")
    assert json.loads(run(environment, "load", str(tmp_path / "lines.jsonl"), "--into-lake"))["logs"] == 40
    assert json.loads(run(environment, "load", str(tmp_path / "lines.jsonl"), "--into-lake"))["logs"] == 0  # the ledger holds it
    asked = "SELECT count(*) AS n, min(body) LIKE '%line 1%' AS first FROM logs WHERE severity_text = 'ERROR'"
    assert json.loads(run(environment, "sql", asked)) == {"n": 40, "first": True}
    summary = json.loads(run(environment, "verify", "--no-broker").splitlines()[-1])
    assert (summary["kind"], summary["findings"]) == ("summary", 0)
    if given == "settings":
        with connect(environment["TRACEBRAID_LAKE"], config=environment["TRACEBRAID_CONFIG"]) as connection:
            assert connection.execute("SELECT count(*) FROM logs").fetchall() == [(40,)]
        return
    assert [json.loads(line)["complete"] for line in run(environment, "status", "--no-broker").splitlines()] == [True, True]
    assert json.loads(run(environment, "lake").splitlines()[1])["rows"] == 40
    assert "line 7" in run(environment, "trace", f"{7:032x}")
    assert run(environment, "lake", "sweep", "--dry-run") == ""
