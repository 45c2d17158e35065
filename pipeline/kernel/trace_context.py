"""Every spelling of a trace context → trace ids of 32 lower-case hex characters, span ids of 16.

In: texts as they were on the wire. Out: canonical ids, or nothing. Never: a guess. A text that fits no form gives null and is told apart from
an absent one. Forms, in the order in which they are tried (a text fits at most one of them):

- bare hex of 32 or 16 characters, either case; 16 are padded on the left to a trace id
- W3C traceparent (https://www.w3.org/TR/trace-context/): lower case only, version ff and all-zero ids invalid, version 00 without a tail
- a UUID, whatever its version: its dashes dropped
- B3 single header (https://github.com/openzipkin/b3-propagation)
- Jaeger's uber-trace-id, whose leading zeros were stripped, also percent-encoded
- AWS X-Ray's `Root=1-…;Parent=…;Sampled=…` in any order, or `1-…` alone
- Google's `projects/P/traces/T`, and the header `T/SPAN_DECIMAL;o=1`
- 17 to 20 decimal digits below 2^64 (Datadog, Snowflake), but in a typed id, whose digits are hex. Shorter decimals are believed only where the
  caller says so: sixteen digits are hex.
- SkyWalking's `HEX.NUMBER.NUMBER`, or its `[service,instance,trace,segment,span]`: folded to 128 and 64 bits as the Collector's SkyWalking receiver does it, so
  that logs find the spans that came that way
- base64 with its padding of 16 or 8 bytes: protobuf's own JSON mapping, and Jaeger's

Bare hex of another length is no id: only uber-trace-id strips zeros, and a typed id of 15 or 17 bytes is broken.
"""

import binascii
import re
from typing import NamedTuple

ZERO_TRACE_ID = "0" * 32
ZERO_SPAN_ID = "0" * 16
# What loggers write where there is no trace; not an id, and not a broken one.
ABSENT = frozenset({"", "0", "-", "--", "null", "none", "nil", "<nil>", "undefined", "n/a", "none,none"})
CONTEXT_CHARS_MAX = 256  # no form is longer but for tails that say nothing of ids

HEX = re.compile(r"[0-9a-f]+")
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_B3 = re.compile(r"([0-9a-f]{32}|[0-9a-f]{16})-([0-9a-f]{16})(?:-([01d])(?:-[0-9a-f]{16})?)?")
_UBER = re.compile(r"([0-9a-f]{1,32}):([0-9a-f]{1,16}):[0-9a-f]{1,16}:([0-9a-f]{1,2})")
_XRAY_ROOT = re.compile(r"1-([0-9a-f]{8})-([0-9a-f]{24})")
_GOOGLE_NAME = re.compile(r"projects/[^/]+/traces/([0-9a-f]{32})")
_GOOGLE_HEADER = re.compile(r"([0-9a-f]{32})/([0-9]{1,20})(?:;o=([0-9]+))?")
_SKYWALKING = re.compile(r"([0-9a-f]{32})(?:\.([0-9]{1,10})\.([0-9]{1,20}))?")
_SKYWALKING_CONTEXT = re.compile(r"\[[^,\[\]]*,[^,\[\]]*,([0-9a-f.-]{32,64}),([0-9a-f.]{32,64}),(-?[0-9]{1,9})\]")
_DECIMAL = re.compile(r"[0-9]{17,20}")
_ANY_DECIMAL = re.compile(r"[0-9]{1,20}")
_BASE64 = re.compile(r"[0-9A-Za-z+/]{22}==|[0-9A-Za-z+/]{11}=")


class Context(NamedTuple):
    """A trace context: canonical ids, and W3C flags where the text told whether the trace is sampled."""

    trace_id: str | None
    span_id: str | None = None
    flags: int | None = None


def parse_context(text: str, *, decimal: bool = False) -> Context | None:
    """The context that `text` writes, in any form of this module; None where it is none. `decimal`: digits alone are decimal, however few."""
    if len(text) > CONTEXT_CHARS_MAX:
        return None
    text = text.strip()
    if decimal and _ANY_DECIMAL.fullmatch(text):
        return _context(_from_decimal(text, 32))
    low = text.lower()
    if HEX.fullmatch(low):
        if len(low) in (16, 32):
            return _context(low.zfill(32))
        return _context(_from_decimal(low, 32)) if _DECIMAL.fullmatch(low) else None
    for form in (_traceparent, _uuid, _b3, _uber, _xray, _google, _skywalking):
        found = form(text if form is _traceparent else low)
        if found is not None:
            return found if found.trace_id else None
    return _context(_from_base64(text).zfill(32)) if _BASE64.fullmatch(text) else None


def parse_trace_id(text: str, *, decimal: bool = False) -> str | None:
    """The trace id in `text`: 32 lower-case hex characters, or None."""
    context = parse_context(text, decimal=decimal)
    return context.trace_id if context else None


def parse_span_id(text: str, *, decimal: bool = False) -> str | None:
    """The span id in `text` (bare hex, decimal, base64, or within a context): 16 lower-case hex characters, or None."""
    text = text.strip()
    low = text.lower()
    span_id: str | None = None
    if _ANY_DECIMAL.fullmatch(low) and (decimal or _DECIMAL.fullmatch(low)):
        span_id = _from_decimal(low, 16)
    elif HEX.fullmatch(low):
        span_id = low if len(low) == 16 else None
    elif _BASE64.fullmatch(text):
        decoded = _from_base64(text)
        span_id = decoded if len(decoded) == 16 else None
    else:
        context = parse_context(text)
        span_id = context.span_id if context else None
    return None if span_id == ZERO_SPAN_ID else span_id


def _context(trace_id: str | None, span_id: str | None = None, flags: int | None = None) -> Context | None:
    if trace_id is None or trace_id == ZERO_TRACE_ID:
        return None
    return Context(trace_id, None if span_id == ZERO_SPAN_ID else span_id, flags)


# Each form: None where the text is not of the form; a Context without trace id where it is, but holds no valid id.
_NO_ID = Context(None)


def _traceparent(text: str) -> Context | None:
    match = _TRACEPARENT.fullmatch(text)
    if match is None:
        return None
    version, trace_id, span_id, flags, tail = match.groups()
    if version == "ff" or (version == "00" and tail) or span_id == ZERO_SPAN_ID:
        return _NO_ID
    return _context(trace_id, span_id, int(flags, 16)) or _NO_ID


def _uuid(low: str) -> Context | None:
    return (_context(low.replace("-", "")) or _NO_ID) if _UUID.fullmatch(low) else None


def _b3(low: str) -> Context | None:
    match = _B3.fullmatch(low)
    if match is None:
        return None
    trace_id, span_id, sampled = match.groups()
    return _context(trace_id.zfill(32), span_id, None if sampled is None else int(sampled != "0")) or _NO_ID


def _uber(low: str) -> Context | None:
    match = _UBER.fullmatch(low.replace("%3a", ":"))
    if match is None:
        return None
    trace_id, span_id, flags = match.groups()
    return _context(trace_id.zfill(32), span_id.zfill(16), int(flags, 16) & 1) or _NO_ID


def _xray(low: str) -> Context | None:
    if low.startswith("1-"):
        low = "root=" + low
    elif "root=1-" not in low:
        return None
    parts = dict(part.strip().partition("=")[::2] for part in low.split(";"))
    root = _XRAY_ROOT.fullmatch(parts.get("root", ""))
    if root is None:
        return _NO_ID
    parent, sampled = parts.get("parent", ""), parts.get("sampled", "")
    span_id = parent if len(parent) == 16 and HEX.fullmatch(parent) else None
    return _context("".join(root.groups()), span_id, int(sampled) if sampled in ("0", "1") else None) or _NO_ID


def _google(low: str) -> Context | None:
    name = _GOOGLE_NAME.fullmatch(low)
    if name:
        return _context(name.group(1)) or _NO_ID
    header = _GOOGLE_HEADER.fullmatch(low)
    if header is None:
        return None
    trace_id, span, options = header.groups()
    return _context(trace_id, _from_decimal(span, 16), None if options is None else int(options[-1]) & 1) or _NO_ID


def _skywalking(low: str) -> Context | None:
    context = _SKYWALKING_CONTEXT.fullmatch(low.removeprefix("sw_ctx:").strip())
    if context is None:
        if "." not in low:
            return None
        trace_id = _folded(low)
        return None if trace_id is None else _context(trace_id) or _NO_ID
    trace, segment, number = context.groups()
    trace_id = trace.replace("-", "") if _UUID.fullmatch(trace) else _folded(trace)
    span = _folded(segment, int(number)) if int(number) >= 0 else None
    span_id = f"{int(span[:16], 16) ^ int(span[16:], 16):016x}" if span else None
    return _context(trace_id, span_id) or _NO_ID


def _folded(text: str, span: int = 0) -> str | None:
    """SkyWalking's id in 128 bits: its hex, XOR a span's number, a thread's and a time's as little-endian integers of 32, 32 and 64 bits."""
    found = _SKYWALKING.fullmatch(text)
    if found is None:
        return None
    thread, time = int(found.group(2) or 0), int(found.group(3) or 0)
    mask = b"".join((number & (1 << 8 * size) - 1).to_bytes(size, "little") for number, size in ((span, 4), (thread, 4), (time, 8)))
    return f"{int(found.group(1), 16) ^ int.from_bytes(mask, 'big'):032x}"


def _from_decimal(digits: str, width: int) -> str | None:
    number = int(digits)
    return f"{number:0{width}x}" if number < 1 << 64 else None


def _from_base64(text: str) -> str:
    return binascii.a2b_base64(text).hex()
