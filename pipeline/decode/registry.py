"""Which decoder reads which record, and what becomes of a record that its decoder refuses.

In: Records. Out: Decoded, rows in = spans + logs + rejects + dropped. Never: an exception for what a record holds, or a record that takes
its neighbors with it. A new encoding is a file beside this one and a line in DECODERS (and its name in kernel/settings.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.decode.avro import decode_avro
from tracebraid.pipeline.decode.inflate import inflated
from tracebraid.pipeline.decode.jaeger_json import decode_jaeger_documents, decode_jaeger_json, is_jaeger
from tracebraid.pipeline.decode.jaeger_proto import decode_jaeger_proto
from tracebraid.pipeline.decode.joined import joined_lines, may_be_line
from tracebraid.pipeline.decode.json_logs import decode_json
from tracebraid.pipeline.decode.log_rows import resource_number
from tracebraid.pipeline.decode.otlp_json import decode_documents, decode_otlp_json, is_otlp
from tracebraid.pipeline.decode.otlp_json_fields import documents
from tracebraid.pipeline.decode.otlp_proto import decode_otlp_proto, decode_signal
from tracebraid.pipeline.decode.raw import decode_raw
from tracebraid.pipeline.decode.rows import DecodeError, Rows, rows_max
from tracebraid.pipeline.decode.sniff import is_jaeger_span, is_text, is_zipkin_list, json_holds_otlp, json_may_hold_spans, otlp_signal, unframed
from tracebraid.pipeline.decode.text import decode_text
from tracebraid.pipeline.decode.walkers.batch import JSON, NEITHER, PROTOBUF, Walked, may_be_walked, walk_records
from tracebraid.pipeline.decode.walkers.memory import LOGS, OBJECTS, SPANS, Scratch
from tracebraid.pipeline.decode.walkers.object_rows import in_envelopes, may_be_object, walk_json
from tracebraid.pipeline.decode.walkers.text_rows import Texts, as_lines, in_order, walk_texts
from tracebraid.pipeline.decode.zipkin_json import decode_zipkin_json, decode_zipkin_spans, is_zipkin
from tracebraid.pipeline.decode.zipkin_proto import decode_zipkin_proto
from tracebraid.pipeline.decode.zipkin_thrift import decode_zipkin_thrift, is_installed
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.errors import UsageError
from tracebraid.pipeline.kernel.held import take_rows
from tracebraid.pipeline.kernel.records import Decoded, Records
from tracebraid.schemas.table import INT32

__all__ = ["DECODERS", "DECODER_VERSION", "Crowded", "Scratch", "choose", "decode", "pieces", "refuse"]
DECODER_VERSION = 5  # rises when the same bytes give other rows
DECODERS: dict[str, Callable[[bytes, int, Rows], None]] = {
    "otlp_proto": decode_otlp_proto,
    "otlp_json": decode_otlp_json,
    "jaeger_proto": decode_jaeger_proto,
    "jaeger_json": decode_jaeger_json,
    "zipkin_proto": decode_zipkin_proto,
    "zipkin_json": decode_zipkin_json,
    "zipkin_thrift": decode_zipkin_thrift,
    "raw": decode_raw,
    "json": decode_json,
    "text": decode_text,
}
# How a record is read once its encoding is known: read(record, rows).
Read = Callable[[int, Rows], None]
Numbers = npt.NDArray[np.int32]  # of records
# What of OTLP may be walked, by what settings or a header name.
_KINDS = {"auto": NEITHER, "json": NEITHER, "otlp_proto": PROTOBUF, "otlp_json": JSON, "protobuf": PROTOBUF, "any_json": JSON, "text": NEITHER}
_WALKED_SHARE = 0.9
_WALKED = {SPANS: "walked", LOGS: "walked_logs", OBJECTS: "walked_objects"}  # signal → field of Decoded
_NO_RECORDS = np.empty(0, np.int32)
_AS_THEY_ARE = frozenset({"text", "raw"})  # nothing is taken off their records, neither compression nor a frame
_NONE: Mapping[int, str] = {}
_BLANK = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"
_CONTENT_TYPES = {
    "application/x-protobuf": "protobuf",
    "application/protobuf": "protobuf",
    "application/json": "any_json",
    "application/x-ndjson": "any_json",
    "text/plain": "text",
    "application/avro": "avro",
    "avro/binary": "avro",
}
_MESSAGE_FORMATS = {"otlp": "protobuf"}


class Crowded(Exception):
    """The records before `record` are as many rows as may be made one by one at once."""

    def __init__(self, record: int) -> None:
        super().__init__(record)
        self.record = record


def decode(records: Records, *, kernels: bool = True, scratch: Scratch | None = None, together: int = 0) -> Decoded:
    """Decode a batch in its encoding; 'auto': what a record's header names, else what its bytes are. Raises UsageError for an encoding that is none.

    `kernels`: false leaves every record to the reference decoders, which read the same, slower. `scratch`: of the batch before, to be
    used again; then batches that are too small to be worth the kernels are left to the reference, too. `together`: where a record follows so many rows
    of the reference's, which are a kilobyte each until the batch is done, Crowded is raised; 0: never.
    """
    if records.encoding != "auto" and records.encoding not in DECODERS:
        raise UsageError(f"encoding {records.encoding!r} of topic {records.partition.topic} is unknown", f"Use auto, {', '.join(DECODERS)}")
    if records.encoding == "zipkin_thrift" and not is_installed():
        raise UsageError(f"encoding zipkin_thrift of topic {records.partition.topic} needs Apache Thrift's library", "pip install 'tracebraid[thrift]'")
    worthwhile = scratch is None or records.batch.nbytes >= limits.kernel_bytes_min
    walked, texts, fault = _walk(records, scratch or Scratch()) if kernels and worthwhile else ([], None, "")
    decoded = _finished(records, walked, texts, together)
    beside = _before_texts(decoded, walked)
    if len(beside):
        walked = [_without(each, beside) if each.signal == OBJECTS else each for each in walked]
        decoded = _finished(records, walked, texts, together)
    if kernels and worthwhile and not fault and decoded.logs.num_rows:
        decoded = replace(decoded, logs=as_lines(decoded.logs))
    for each in walked:
        decoded = _with_walked(decoded, each)
    return replace(decoded, fault=fault) if fault else decoded


def _finished(records: Records, walked: list[Walked], texts: Texts | None, together: int) -> Decoded:
    """What the reference decoders make of the records that are not walked, and the texts, whose resources they share."""
    done = np.zeros(records.batch.num_rows, np.bool_) if texts is None else texts.records.copy()
    for each in walked:
        done |= each.records
    try:
        return _with_texts(_read_all(records, {}, done, together), texts)
    except Crowded:
        raise
    except Exception:
        return _with_texts(_read_all(records, _unfinished(records, done), done, together), texts)


def _with_texts(rows: Rows, texts: Texts | None) -> Decoded:
    if texts is None:
        return rows.finish()
    used = set(texts.rows.column("resource").to_pylist())
    found = texts.with_resources([resource_number(frame.facts, rows) if number in used else 0 for number, frame in enumerate(texts.frames)])
    decoded = rows.finish()
    return replace(decoded, logs=in_order(decoded.logs, found))


def _before_texts(decoded: Decoded, walked: list[Walked]) -> Numbers:
    """Log objects that stand right before a line of which nothing is known: it may be of their stack trace, so the reference reads both."""
    logs, objects = decoded.logs, next((each.rows.column("record").to_numpy() for each in walked if each.signal == OBJECTS), _NO_RECORDS)
    if not len(objects) or logs.column("body").null_count == logs.num_rows:
        return _NO_RECORDS
    facts = np.diff(decoded.resources.column("attributes").offsets.to_numpy())
    unknown = (facts == 0)[logs.column("resource").to_numpy()] & logs.column("body").is_valid().to_numpy(zero_copy_only=False)
    places = np.searchsorted(objects, logs.column("record").to_numpy()[unknown])
    found: Numbers = objects[np.unique(places[places > 0]) - 1]
    return found


def _too_many(walked: Walked, values: pa.BinaryArray) -> Numbers:
    """Records that are more rows than their size allows, or have more events and links, for the reference to refuse."""
    own, found = walked.rows.column("record").to_numpy(), set[int]()
    parts = np.zeros(len(own), np.int64)
    if walked.signal == SPANS:
        for name in ("events", "links"):
            parts += np.diff(walked.rows.column(name).offsets.to_numpy())
    for each in (np.ones(len(own), np.int64), parts):
        if each.sum() <= limits.record_rows_any:
            continue
        counts = np.bincount(own, each, len(values))
        likely = np.flatnonzero(counts > limits.record_rows_any).tolist()
        found |= {record for record in likely if counts[record] > rows_max(len(values[record].as_buffer()))}
    return np.array(sorted(found), np.int32)


def _without(walked: Walked, records: Numbers) -> Walked:
    if not len(records):
        return walked
    kept = ~np.isin(walked.rows.column("record").to_numpy(), records)
    mask = walked.records.copy()
    mask[records] = False
    return replace(walked, rows=take_rows(walked.rows, np.flatnonzero(kept)), records=mask)


def _walk(records: Records, scratch: Scratch) -> tuple[list[Walked], Texts | None, str]:
    """What compiled kernels read: OTLP spans or logs, log objects, texts, all of them beyond doubt; and what kept them from it, a fault of ours."""
    values = records.batch.column("value")
    if records.encoding not in _KINDS or not len(values):
        return [], None, ""
    try:
        kinds, objects, lines = may_be_walked(values), may_be_object(values), may_be_line(records)
        for record, named in _named_encodings(records).items():
            kinds[record] *= kinds[record] == _KINDS.get(named)
            objects[record] &= named == "any_json"
            lines[record] &= named == "text"
        if records.encoding != "auto":
            kinds *= kinds == _KINDS[records.encoding]
            objects *= records.encoding == "json"
        found = [_without(each, _too_many(each, values)) for each in walk_records(values, kinds, scratch, records.firsts)]
        objects *= kinds != JSON
        if texts := (walk_texts(values, lines, objects, scratch) if (texts_first := in_envelopes(values, objects)) else None):
            objects[texts.records] = 0
        if logs := walk_json(values, objects, scratch):
            found.append(logs)
            objects[logs.records] = 0
        return found, texts if texts_first else walk_texts(values, lines, objects, scratch), ""
    except Exception as error:  # the reference decoders read them all
        return [], None, f"{type(error).__name__}: {error}"[: limits.reject_message_chars_max]


def _with_walked(decoded: Decoded, walked: Walked) -> Decoded:
    first, rows = decoded.resources.num_rows, walked.rows
    place = rows.schema.get_field_index("resource")
    rows = rows.set_column(place, rows.schema.field(place), pc.add(rows.column(place), pa.scalar(first, INT32)))
    resources = pa.concat_batches([decoded.resources, walked.resources])
    fields: dict[str, Any] = {_WALKED[walked.signal]: rows}
    return replace(decoded, resources=resources, **fields)


def pieces(records: Records, *, kernels: bool) -> list[Records]:
    """What to decode at once: all of it where kernels will read most; else few enough bytes that their Python objects fit into memory."""
    if kernels and records.encoding in _KINDS and _may_be_walked_mostly(records.batch.column("value")):
        return [records]
    return records.split(limits.decode_bytes_max)


def refuse(records: Records, message: str) -> Decoded:
    """Every record as a reject of reason internal_error: it was decoded, and what came behind failed."""
    rows, said = Rows(), message.encode("utf-8", "backslashreplace").decode()  # it may repeat half a surrogate pair, which no column takes
    for record, empty in enumerate(pc.equal(pc.fill_null(pc.binary_length(records.batch.column("value")), 0), 0).to_pylist()):
        if empty:
            rows.dropped["empty"] += 1
        else:
            _reject(rows, rows.mark(), record, DecodeError("internal_error", said), records.encoding)
    return rows.finish()


def _may_be_walked_mostly(values: pa.BinaryArray) -> bool:
    try:
        return int(np.count_nonzero(may_be_walked(values))) > _WALKED_SHARE * len(values)
    except Exception:  # decode() says what keeps kernels from working
        return False


def choose(value: bytes, named: str | None, schemas: Mapping[int, str] = _NONE) -> tuple[str, Read]:
    """The encoding of one record, and how to read it. `named`: what its header names. Raises DecodeError malformed, ambiguous, unknown_encoding."""
    if named == "unknown":
        raise DecodeError("unknown_encoding", "a header names an encoding that tracebraid does not read")
    if named == "text":
        return "text", partial(decode_text, value)
    framed = unframed(value)
    if framed is not None:
        schema = schemas.get(int.from_bytes(value[1:5], "big"))  # one of Avro: it leaves no doubt
        return ("avro", partial(decode_avro, value[5:], schema)) if schema is not None else _choose_framed(*framed)
    if named == "avro":
        raise DecodeError("unknown_encoding", "a header names Avro, and there is no Schema Registry frame that would name its schema")
    if named == "protobuf":
        return _choose_spans(value) or ("otlp_proto", partial(decode_otlp_proto, value))
    return _choose_json(value) if named == "any_json" else _choose_by_structure(value)


def _choose_spans(value: bytes) -> tuple[str, Read] | None:
    """The protobuf encodings other than OTLP: their structure leaves no doubt, so they are asked first."""
    if is_jaeger_span(value):
        return "jaeger_proto", partial(decode_jaeger_proto, value)
    return ("zipkin_proto", partial(decode_zipkin_proto, value)) if is_zipkin_list(value) else None


def _choose_by_structure(value: bytes) -> tuple[str, Read]:
    spans = _choose_spans(value)
    if spans:
        return spans
    # Protobuf first: a resource of 123 bytes begins with a line feed and a brace, but no JSON goes on as a resource does.
    signal = otlp_signal(value) if value[0] == 0x0A else None
    if signal in ("spans", "logs", "metrics"):
        return "otlp_proto", partial(decode_signal, value, signal)
    if value.removeprefix(_BOM)[:64].lstrip(_BLANK)[:1] in (b"{", b"[", b'"'):
        return _choose_json(value)
    if is_text(value):
        return "text", partial(decode_text, value)
    if signal is None:
        raise DecodeError("malformed", "neither OTLP, Jaeger, Zipkin, JSON nor text: the bytes break the structure of each")
    return "otlp_proto", partial(decode_signal, value, signal)


def _choose_json(value: bytes) -> tuple[str, Read]:
    """Spans or log objects. Large records of logs are not parsed to find out: spans have names in the text; where one is there a parse must tell."""
    holds = json_holds_otlp(value.removeprefix(_BOM))
    if holds is False and not json_may_hold_spans(value):
        return "json", partial(decode_json, value)
    try:
        parsed = documents(value)
    except DecodeError:  # one that begins as OTLP does is broken OTLP
        return ("otlp_json", partial(decode_otlp_json, value)) if holds else ("json", partial(decode_json, value))
    if any(is_otlp(document) for document in parsed):
        return "otlp_json", partial(decode_documents, parsed)
    if all(map(is_jaeger, parsed)):
        return "jaeger_json", partial(decode_jaeger_documents, parsed)
    if all(map(is_zipkin, parsed)):
        return "zipkin_json", partial(decode_zipkin_spans, [span for spans in parsed for span in spans])
    return "json", partial(decode_json, value)


def _choose_framed(as_json: bytes, as_protobuf: bytes) -> tuple[str, Read]:
    if as_json.lstrip(_BLANK)[:1] in (b"{", b"["):
        return _choose_json(as_json)
    spans = _choose_spans(as_protobuf) if as_protobuf else None
    if spans:
        return spans
    signal = otlp_signal(as_protobuf) if as_protobuf else None
    if signal is None:
        raise DecodeError(
            "unknown_encoding", "a Schema Registry frame whose payload is neither JSON nor protobuf that is known; Avro needs schema_registry.url"
        )
    return "otlp_proto", partial(decode_signal, as_protobuf, signal)


def _configured(encoding: str, value: bytes) -> Read:
    """The reader of a configured encoding; a Schema Registry frame, which is valid in no other, is taken off first."""
    framed = unframed(value) if encoding not in _AS_THEY_ARE else None
    if framed is not None:
        value = framed[1] if encoding.endswith("_proto") else framed[0]
    return partial(DECODERS[encoding], value)


def _read_all(records: Records, refused: Mapping[int, str], done: npt.NDArray[np.bool_], together: int = 0) -> Rows:
    rows, values = Rows(), records.batch.column("value")
    left = np.flatnonzero(~done).tolist()
    headers, lines = (_named_encodings(records), {} if refused else joined_lines(records)) if left else ({}, {})
    for record in left:
        value: bytes | None = lines.get(record, b"") or values[record].as_py()
        if record in lines and lines[record] is None:
            rows.dropped["joined"] += 1
            continue
        mark, encoding = rows.mark(), records.encoding
        if together and mark[0] + mark[1] >= together:
            raise Crowded(record)
        try:
            if value and len(value) > limits.record_bytes_max:
                raise DecodeError("too_large", f"the record has {len(value)} bytes; {limits.record_bytes_max} is the limit")
            if record in refused:
                raise DecodeError("decoder_error", refused[record])
            if value and encoding not in _AS_THEY_ARE:
                value = inflated(value)
            if value:
                if encoding == "auto":
                    encoding, read = choose(value, headers.get(record), records.schemas)
                else:
                    read = _configured(encoding, value)
                rows.begin(len(value))
                read(record, rows)
                _check_repetition(rows, mark, len(value))
        except DecodeError as error:
            _reject(rows, mark, record, error, encoding)
        except Exception as error:  # a fault of ours must not stop the partition
            _reject(rows, mark, record, DecodeError("decoder_error", f"{type(error).__name__}: {error}"), encoding)
        if rows.mark()[:3] == mark[:3]:
            rows.rollback(mark)
            rows.dropped["empty"] += 1
    return rows


def _check_repetition(rows: Rows, mark: tuple[int, int, int, int], size: int) -> None:
    """Rows repeat their resource and scope: a megabyte of resource with ten thousand spans would be ten gigabytes. Raises DecodeError too_large."""
    added = rows.spans.rows - mark[0] + rows.logs.rows - mark[1]
    if added <= limits.repetition_ratio_max:
        return
    repeated = rows.repeated_bytes(mark, limits.repetition_ratio_max)  # what fewer rows share cannot exceed the record as often
    if repeated > size * limits.repetition_ratio_max:
        raise DecodeError("too_large", f"its {added} rows would repeat {repeated} bytes of resources and scopes; the record itself has {size}")


def _reject(rows: Rows, mark: tuple[int, int, int, int], record: int, error: DecodeError, encoding: str) -> None:
    rows.rollback(mark)
    values = {"record": record, "record_index": 0, "reason": error.reason, "message": error.message, "encoding": encoding}
    rows.rejects.append(values)


def _unfinished(records: Records, done: npt.NDArray[np.bool_]) -> dict[int, str]:
    """Records whose rows Arrow does not take (text that is no Unicode, a number beyond its column), found by finishing each by itself."""
    found = {}
    for record in np.flatnonzero(~done).tolist():
        alone = replace(records, batch=records.batch.slice(record, 1))
        try:
            _read_all(alone, {}, np.zeros(1, np.bool_)).finish()
        except Exception as error:
            found[record] = f"{type(error).__name__}: {error}"
    return found


def _named_encodings(records: Records) -> dict[int, str]:
    """What each record's headers name, for the records that have such a header: protobuf, any_json, text, avro, unknown."""
    column = records.batch.column("headers")
    if records.encoding != "auto" or not len(column.flatten()):
        return {}
    found = {}
    for record, headers in enumerate(column.to_pylist()):
        named = _named(headers or ())
        if named is not None:
            found[record] = named
    return found


def _named(headers: Any) -> str | None:
    for header in headers:
        key, text = header["key"].lower(), (header["value"] or b"").decode("utf-8", "replace").strip().lower()
        if key == "messageformat":
            return _MESSAGE_FORMATS.get(text, "unknown")
        if key in ("content-type", "content_type") and text.partition(";")[0].strip() in _CONTENT_TYPES:
            return _CONTENT_TYPES[text.partition(";")[0].strip()]
    return None
