"""Protobuf message types from a table of their fields.

In: message names and their fields, as a .proto file spells them. Out: classes of protobuf's own parser, which checks UTF-8 and nests at most 100
messages. Never: a generated file, or a name in the process's common pool, where another library may have registered the same messages.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError as ParseError

from tracebraid.pipeline.decode.rows import DecodeError

_Field = descriptor_pb2.FieldDescriptorProto


def message_types(package: str, messages: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """A class a message. A field is `type name number` with `repeated` before it where it is; a type is a scalar or one of `messages`."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field in fields:
            kind, label, number = field.removeprefix("repeated ").split()
            repeated = _Field.LABEL_REPEATED if field.startswith("repeated ") else _Field.LABEL_OPTIONAL
            if kind in messages:
                message.field.add(name=label, number=int(number), label=repeated, type=_Field.TYPE_MESSAGE, type_name=f".{package}.{kind}")
            else:
                message.field.add(name=label, number=int(number), label=repeated, type=_Field.Type.Value(f"TYPE_{kind.upper()}"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in messages}


def parsed(kind: Any, value: bytes, what: str) -> Any:
    """The message that `value` is. Raises DecodeError malformed, invalid_utf8, too_deep; `what` names the encoding there."""
    try:
        return kind.FromString(value)
    except ParseError as error:
        message = str(error).rpartition(": ")[2]
        reason = "invalid_utf8" if "UTF-8" in message else "too_deep" if "MaxDepth" in message else "malformed"
        raise DecodeError(reason, f"{what}: {message}") from None
