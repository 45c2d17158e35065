"""What must hold of the tables and the rejects' topic, looked at from outside: shares nothing with the product.

In: the virtual tables, every record that ever was in a topic, what was published. Out: nothing, or a Violation that says what and where.
Never: a ledger believed: rows are counted, positions are compared with the records that were produced.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from tests.simulation.broker import Broker, Log
from tests.simulation.tables import TABLE_NAMES, Store
from tests.simulation.transform import event_time_us, place_of, verdict
from tests.simulation.world import Violation

LETTERS = {"spans": "s", "logs": "l", "rejects": "r"}
Held = dict[str, dict[int, dict[int, str]]]  # place → offset → index → table


def places(broker: Broker) -> Iterator[tuple[str, Log]]:
    """Every partition that ever was, by `<topic id>/<number>`."""
    for topic in broker.history:
        for number, log in enumerate(topic.logs):
            yield place_of(topic.id, number), log


def check_lake(store: Store, broker: Broker, start: str) -> None:
    """Holds at any moment: what the ledger of intervals says is in the tables, once, and adds up."""
    logs = dict(places(broker))
    held = _rows(store, logs)
    intervals: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for path in store.logs["intervals"].paths() if "intervals" in store.logs else ():
        for row in _file(store, "intervals", path):
            intervals[place_of(row["kafka_topic_id"], row["kafka_partition"])].append(row)
    ledgers = store.logs["intervals"].ledgers() if "intervals" in store.logs else {}
    for place, rows in intervals.items():
        rows.sort(key=lambda row: (row["first_offset"], row["last_offset"]))
        if place not in logs:  # a topic was made again, with more partitions, while its start was pinned
            if [row["kind"] for row in rows] != ["start"]:
                raise Violation(f"{place} is in intervals and was never in a topic: {rows}")
            continue
        _check_chain(place, rows, ledgers[f"virtual/{place}"])
        there = place.rsplit("/", 1)[0] in {topic.id for topic in broker.topics.values()}
        if there and (start == "earliest" or logs[place].later) and rows[0]["first_offset"] > logs[place].start:
            raise Violation(f"missing: {place} starts at {rows[0]['first_offset']}, its records at {logs[place].start}")
        for row in rows[1:]:
            _check_interval(place, row, held[place], logs[place], there)
    for place, by_offset in held.items():
        first = intervals[place][0]["first_offset"] if place in intervals else 0
        if any(offset < first for offset in by_offset):
            raise Violation(f"{place}: rows at offset {min(by_offset)}, the partition starts at {first}")


def _file(store: Store, table: str, path: str) -> tuple[Any, ...]:
    file = store.files.get((table, path))
    if file is None or file.rows is None:
        raise Violation(f"the snapshot of {table} has the file {path}, which is {'not there' if file is None else 'broken'}")
    return file.rows


def _rows(store: Store, logs: dict[str, Log]) -> Held:
    held: Held = defaultdict(lambda: defaultdict(dict))
    for table in TABLE_NAMES:
        for path in store.logs[table].paths() if table in store.logs and table != "intervals" else ():
            for place, offset, index, value in _file(store, table, path):
                if index in held[place][offset]:
                    raise Violation(f"doubled: {place} offset {offset} index {index} is in {held[place][offset][index]} and again in {table}")
                held[place][offset][index] = table
                if logs[place].ever.get(offset) != value:
                    raise Violation(f"misplaced: {place} offset {offset} has {value!r} in {table}, the topic had {logs[place].ever.get(offset)!r}")
                if all(verdict(value, decoder)[index : index + 1] != LETTERS[table] for decoder in (1, 2)):
                    raise Violation(f"misplaced: {place} offset {offset} index {index} of {value!r} is in {table}")
    return held


def _check_chain(place: str, rows: list[dict[str, Any]], ledger: int) -> None:
    """One start, then interval behind interval up to the ledger."""
    kinds = [row["kind"] for row in rows]
    if kinds[0] != "start" or "start" in kinds[1:] or rows[0]["last_offset"] != rows[0]["first_offset"] - 1:
        raise Violation(f"{place}: the intervals begin with {kinds[:2]}")
    end = rows[0]["first_offset"]
    for row in rows:
        if row["first_offset"] != end:
            raise Violation(f"{place}: after an interval up to {end - 1} comes one from {row['first_offset']} on")
        end = row["last_offset"] + 1
    if end != ledger:
        raise Violation(f"{place}: the intervals end at {end - 1}, the ledger is {ledger}")


def _check_interval(place: str, row: dict[str, Any], held: dict[int, dict[int, str]], log: Log, there: bool) -> None:
    """`there`: the topic was not deleted meanwhile; what is lost of one that was, is lost."""
    first, last = row["first_offset"], row["last_offset"]
    where = f"{place} interval {first}..{last} ({row['kind']})"
    present = {offset: indexes for offset, indexes in held.items() if first <= offset <= last}
    for table in LETTERS:
        count = sum(each == table for indexes in present.values() for each in indexes.values())
        told = row["rows_rejected" if table == "rejects" else f"rows_{table}"]
        if count != told:
            raise Violation(f"{where} tells of {told} rows in {table}, there are {count}")
    if row["kind"] == "lost":
        if there and (whole := [offset for offset in log.offsets if first <= offset <= last and offset not in log.damaged]):
            raise Violation(f"{where} says that records are lost which the topic has: {whole}")
        return
    records = [offset for offset in log.ever if first <= offset <= last]
    for offset in records:
        fewest, most = sorted(len(verdict(log.ever[offset], decoder)) for decoder in (1, 2))
        if not fewest <= len(present.get(offset, ())) <= most:
            raise Violation(f"missing: {where}: offset {offset} {log.ever[offset]!r} has the rows {dict(present.get(offset, {}))}")
    if row["records_in"] != len(records) and not (log.truncated or (row["records_in"] < len(records) and first < log.start)):
        raise Violation(f"{where} tells of {row['records_in']} records, there were {len(records)}")


def check_rejects(broker: Broker, expired: set[str]) -> dict[str, set[int]]:
    """Published under read_committed: offsets by place, each once. `expired`: places whose group offsets were lost, where twice is allowed."""
    found: dict[str, set[int]] = defaultdict(set)
    logs = dict(places(broker))
    for value, facts in broker.published:
        place, offset = place_of(facts["tracebraid.topic_id"], int(facts["tracebraid.partition"])), int(facts["tracebraid.offset"])
        if offset in found[place] and place not in expired:
            raise Violation(f"doubled: the reject {place} offset {offset} is published twice")
        if logs[place].ever.get(offset) != value:
            raise Violation(f"misplaced: the reject {place} offset {offset} has {value!r}, the topic had {logs[place].ever.get(offset)!r}")
        found[place].add(offset)
    return found


def check_watermarks(broker: Broker, expired: set[str]) -> None:
    """Told under read_committed: no source is told of beyond the offset that moves with it, none goes back, no event time is of a record to come."""
    logs = dict(places(broker))
    told: dict[str, int] = {}
    for value, offsets in broker.told:
        for source in json.loads(value)["sources"]:
            place, next_offset, time_us = place_of(source["topic_id"], source["partition"]), source["next_offset"], source["event_time_us"]
            moved = offsets.get((source["topic"], source["partition"]), (-1, ""))[0]
            if next_offset > moved:
                raise Violation(f"the watermark of {place} is at {next_offset}, the group's offset beside it at {moved}")
            if next_offset < told.get(place, 0) and place not in expired:
                raise Violation(f"the watermark of {place} goes back from {told[place]} to {next_offset}")
            told[place] = next_offset
            if time_us is not None and time_us not in {event_time_us(record) for offset, record in logs[place].ever.items() if offset < next_offset}:
                raise Violation(f"the watermark of {place} is at {next_offset} and of time {time_us}, which no record before it has")


def behind(store: Store, broker: Broker) -> list[str]:
    """What either sink does not have yet of the topics that there are."""
    found = []
    ledgers = store.logs["intervals"].ledgers() if "intervals" in store.logs else {}
    for topic in broker.topics.values():
        for number, log in enumerate(topic.logs):
            place, wanted = place_of(topic.id, number), max((offset for offset in log.ever if offset < log.end), default=-1) + 1
            lake = ledgers.get(f"virtual/{place}")
            stream, topic_id = broker.committed.get((topic.name, number), (-1, ""))
            if log.truncated and max(lake or 0, stream) > log.end:
                continue  # it is not read any more, and says so
            if lake is None or lake < wanted:
                found.append(f"{place}: the lake is at {lake}, the topic at {wanted}")
            elif log.offsets and (stream < wanted or topic_id != topic.id) and _has(log, store, place):
                found.append(f"{place}: the stream is at {stream}, the topic at {wanted}")
    return found


def _has(log: Log, store: Store, place: str) -> bool:
    """Whether there is a record behind the partition's first start."""
    first = min(row["first_offset"] for path in store.logs["intervals"].paths() for row in _file(store, "intervals", path) if _is_of(row, place))
    return log.offsets[-1] >= first


def _is_of(row: dict[str, Any], place: str) -> bool:
    return place_of(row["kafka_topic_id"], row["kafka_partition"]) == place


def check_end(store: Store, broker: Broker, expired: set[str]) -> None:
    """Once all is drained: nothing is missing in either sink."""
    published = check_rejects(broker, expired)
    check_watermarks(broker, expired)
    starts = {}
    for path in store.logs["intervals"].paths():
        starts.update(
            {place_of(row["kafka_topic_id"], row["kafka_partition"]): row["first_offset"] for row in _file(store, "intervals", path) if row["kind"] == "start"}
        )
    ledgers, held = store.logs["intervals"].ledgers(), _rows(store, dict(places(broker)))
    for topic in broker.topics.values():
        for number, log in enumerate(topic.logs):
            place = place_of(topic.id, number)
            if not log.truncated and max(held[place], default=-1) >= ledgers.get(f"virtual/{place}", 0):
                raise Violation(f"{place}: rows at offset {max(held[place])}, the ledger is {ledgers.get(f'virtual/{place}')}")
            wanted = {offset for offset in log.offsets if offset >= starts.get(place, 0) and _is_reject(log.values[offset]) and offset not in log.damaged}
            if not log.truncated and place not in expired and (missing := wanted - published[place]):
                raise Violation(f"missing: the rejects {place} offsets {sorted(missing)} are not published")


def _is_reject(value: str) -> bool:
    """For every decoder."""
    return all("r" in verdict(value, decoder) for decoder in (1, 2))
