"""`tracebraid load --topic` on a real broker."""

import gzip
import json
import time
from collections import Counter
from pathlib import Path

import pytest
import zstandard
from click.testing import CliRunner

from tests.brokers.kafka import Broker, free_ports
from tracebraid.jobs.loading import Loading, load_onto_topic
from tracebraid.jobs.main import tracebraid
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError, UsageError
from tracebraid.pipeline.kernel.records import Records
from tracebraid.pipeline.kernel.settings import Settings, TopicSettings
from tracebraid.pipeline.publish.topics import retention_ms
from tracebraid.pipeline.source.kafka import KafkaSource, Owner

pytestmark = pytest.mark.broker
BASE_MS = 1_674_981_729_000


def lines(count: int) -> list[bytes]:
    return [b'{"log":"line %d","time":"2023-01-29T08:42:%02d.000Z"}' % (number, 9 + number % 50) for number in range(count)]


def load(broker: Broker, *arguments: str | Path) -> dict[str, int]:
    result = CliRunner().invoke(tracebraid, ["load", *map(str, arguments)], env={"TRACEBRAID_BOOTSTRAP_SERVERS": broker.address}, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    summary: dict[str, int] = json.loads(result.stdout)
    return summary


def read(broker: Broker, topic: str) -> list[Records]:
    owner = Owner(lambda partitions: dict.fromkeys(partitions, "earliest"), lambda _: None, lambda _: None)
    kafka = KafkaSource(broker.client, [TopicSettings(name=topic)], broker.unique("group"), owner, Clock())
    found: list[Records] = []
    while not kafka.drained():
        found += kafka.poll()
    kafka.close()
    return found


def column(found: list[Records], name: str) -> list[object]:
    return [value for records in found for value in records.batch.column(name).to_pylist()]


def test_files_go_onto_a_topic_that_is_made_and_keeps_old_captures(broker: Broker, tmp_path: Path) -> None:
    topic, content = broker.unique("loaded"), b"\n".join(lines(100)) + b"\n"
    (tmp_path / "a.jsonl").write_bytes(content)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(content))
    summary = load(broker, tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz", "--topic", topic, "--partitions", "4")
    assert summary == {"files": 2, "records": 200, "bytes": 2 * sum(map(len, lines(100))), "too_large": 0}
    found = read(broker, topic)
    assert Counter(column(found, "value")) == Counter(lines(100) * 2)
    assert Counter(records.partition.number for records in found for _ in range(records.batch.num_rows)) == dict.fromkeys(range(4), 50)
    assert set(column(found, "kafka_time_ms")) == {BASE_MS + 1000 * second for second in range(50)}
    assert retention_ms(broker.client, topic) == -1


def test_stamp_now_shifts_the_capture_and_keeps_its_pace(broker: Broker, tmp_path: Path) -> None:
    topic = broker.unique("shifted")
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines(50)))
    began = time.time() * 1000
    load(broker, tmp_path / "a.jsonl", "--topic", topic, "--partitions", "1", "--stamp", "now")
    times = [int(str(each)) for each in column(read(broker, topic), "kafka_time_ms")]
    assert began - 1 <= times[-1] <= time.time() * 1000
    assert [each - times[0] for each in times] == [1000 * second for second in range(50)]


def test_the_rate_is_held(broker: Broker, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines(100)))
    slept: list[float] = []
    clock = Clock(monotonic_s=lambda: sum(slept), sleep=slept.append)
    settings = Settings(bootstrap_servers=broker.address)
    topic = broker.create_topic(broker.unique("rate"))
    load_onto_topic(settings, [tmp_path / "a.jsonl"], Loading(topic, rate=20), lambda done, total: None, clock)
    assert sum(slept) == pytest.approx(5.0)
    assert max(slept) <= 0.1 + 1e-9


def test_a_broken_file_is_one_line_after_its_whole_records(broker: Broker, tmp_path: Path) -> None:
    topic, path = broker.unique("broken"), tmp_path / "a.jsonl.zst"
    path.write_bytes(zstandard.compress(b"\n".join(lines(1000)))[:-20])
    with pytest.raises(TracebraidError, match=r"a\.jsonl\.zst is broken after \d+ records, near byte \d+ of \d+: "):
        load(broker, path, "--topic", topic)


@pytest.mark.parametrize("arguments", [[], ["--topic", "t", "--into-lake"], ["--into-lake", "--rate", "1"]])
def test_wrong_use_is_told(broker: Broker, tmp_path: Path, arguments: list[str]) -> None:
    with pytest.raises(UsageError):
        load(broker, tmp_path / "a", *arguments)


def test_a_missing_file_and_a_missing_broker_are_one_line(broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "broker_wait_s", 1.0)
    with pytest.raises(TracebraidError, match="No such file"):
        load(broker, tmp_path / "none", "--topic", "t")
    (tmp_path / "a").write_bytes(b"{}")
    with pytest.raises(TracebraidError, match="connecting to Kafka: no broker answers"):
        load(Broker(f"127.0.0.1:{free_ports(1)[0]}"), tmp_path / "a", "--topic", "t")


def test_a_real_capture_arrives_whole(broker: Broker, shared: Path) -> None:
    topic, path = broker.unique("capture"), shared / "data/trainticket/spans.otlp.jsonl.zst"
    summary = load(broker, path, "--topic", topic)
    found = read(broker, topic)
    assert (summary["records"], len(column(found, "value"))) == (1285, 1285)
    assert sum(str(value).count('"traceId":"') for value in column(found, "value")) == 328_848
    assert min(column(found, "kafka_time_ms")) == 1_674_981_729_488  # type: ignore[type-var]
