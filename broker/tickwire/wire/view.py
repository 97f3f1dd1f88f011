"""A frame as JSON and back, for whoever writes a client in another language."""

from __future__ import annotations

import base64
import dataclasses
import math
import types
import typing
from collections.abc import Sequence
from typing import Any

from .errors import WireError
from .messages import KIND_NAMES, Message

_MESSAGES: tuple[type[Any], ...] = typing.get_args(Message)
_CLASSES: dict[str, type[Any]] = {KIND_NAMES[cls.kind].lower(): cls for cls in _MESSAGES}


def to_json(message: Message) -> dict[str, Any]:
    """The message as what `json.dumps` takes: its kind by name, its fields, bytes as {"$bytes": base64}."""
    return {"kind": KIND_NAMES[message.kind].lower(), **plain(dataclasses.asdict(message))}


def plain(value: Any) -> Any:
    """Any msgpack value as JSON can hold it: bytes as {"$bytes": base64}, NaN and infinities as null."""
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {_key(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (str, int, float)):
        return value
    return str(value)


def from_plain(value: Any) -> Any:
    """The opposite of `plain`: {"$bytes": base64} becomes bytes. Raises ValueError where the base64 is wrong."""
    if isinstance(value, dict):
        if len(value) == 1 and isinstance(value.get("$bytes"), str):
            return base64.b64decode(value["$bytes"], validate=True)
        return {key: from_plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [from_plain(item) for item in value]
    return value


def from_json(value: Any) -> Message:
    """The message that `to_json` would show like this. Raises WireError naming the kind or field that is wrong."""
    if not isinstance(value, dict):
        raise WireError("bad_frame", 'a frame is a JSON object with a "kind"')
    fields = dict(value)
    name = fields.pop("kind", None)
    cls = _CLASSES.get(name) if isinstance(name, str) else None
    if cls is None:
        raise WireError("unknown_kind", f"kind must be one of {', '.join(_CLASSES)}, not {name!r}")
    try:
        return typing.cast(Message, _build(cls, from_plain(fields), str(name)))
    except ValueError as error:
        raise WireError("bad_field", f"{name}: {error}") from None


def _build(cls: type[Any], fields: dict[str, Any], where: str) -> Any:
    hints = typing.get_type_hints(cls)
    known = {field.name: field for field in dataclasses.fields(cls)}
    for name in fields:
        if name not in known:
            raise WireError("bad_field", f"{where} has no field {name!r}; it has {', '.join(known)}")
    for name, field in known.items():
        if name not in fields and field.default is field.default_factory is dataclasses.MISSING:
            raise WireError("bad_field", f"{where} needs the field {name!r}")
    return cls(**{name: _convert(hints[name], item, f"{where}.{name}") for name, item in fields.items()})


def _convert(hint: Any, value: Any, where: str) -> Any:
    """The value as the field's type wants it; lists of messages are built, everything else is the codec's to judge."""
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        hint = next(option for option in typing.get_args(hint) if option is not type(None))
    origin, parameters = typing.get_origin(hint), typing.get_args(hint)
    if origin is Sequence:
        origin = list
    if origin is list and isinstance(value, list):
        return [_convert(parameters[0], item, where) for item in value]
    if origin is tuple and isinstance(value, list):
        return tuple(value)
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return _build(typing.cast(type[Any], hint), value, where)
    wanted = origin or hint
    if isinstance(wanted, type) and wanted is not object and type(value) is not wanted:
        raise WireError("bad_field", f"{where} must be {wanted.__name__}, not {type(value).__name__}")
    return value


def _key(key: Any) -> str:
    return key if isinstance(key, str) else str(plain(key))
