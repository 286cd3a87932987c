"""The structured form: an answer as JSON, and the JSON schema of its type.

Absent means none, zero, empty or false (tool contract); measured numbers and `next_cursor` are
never left out. Every text passes `escape` here, captured or not.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from datetime import datetime
from typing import Final, TypeAlias

from mcp_server.render.escape import escape

JSON: TypeAlias = dict[str, "JSON"] | list["JSON"] | str | int | float | bool | None

_KEPT_WHEN_EMPTY: Final = frozenset({"next_cursor", "arguments"})
# Numbers that are no measurement: how many were left out or hidden.
_LEFT_OUT_AT_ZERO: Final = frozenset({"more", "redacted"})
# Below the second level the contract leaves objects open.
_DEEPEST: Final = 2
_SCALARS: Final[dict[object, dict[str, JSON]]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    datetime: {"type": "string"},
}


def structured(answer: object) -> dict[str, JSON]:
    """Write an answer (a dataclass) as a JSON object."""
    written = _write(answer)
    assert isinstance(written, dict)
    return written


def rfc3339(moment: datetime) -> str:
    """Write a UTC time with milliseconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"


def output_schema(answer: type) -> dict[str, JSON]:
    """Describe what `structured` writes for an answer of this type."""
    return _describe(answer, 0)


def _write(value: object) -> JSON:
    if isinstance(value, str):
        return escape(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, dict):
        return {escape(key): _write(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_write(item) for item in value]
    assert dataclasses.is_dataclass(value)
    pairs = ((part.name, getattr(value, part.name)) for part in dataclasses.fields(value))
    return {name: _write(item) for name, item in pairs if _is_said(name, item)}


def _is_said(name: str, value: object) -> bool:
    if name in _KEPT_WHEN_EMPTY:
        return True
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value != 0 or name not in _LEFT_OUT_AT_ZERO
    return bool(value)


def _describe(of: object, depth: int) -> dict[str, JSON]:
    if of in _SCALARS:
        return dict(_SCALARS[of])
    origin, arguments = typing.get_origin(of), typing.get_args(of)
    if origin in (typing.Union, types.UnionType):
        (some,) = (a for a in arguments if a is not type(None))
        return _describe(some, depth)
    if origin is tuple:
        item = arguments[0]
        is_open = depth >= _DEEPEST or typing.get_origin(item) is not None
        return {"type": "array"} if is_open else {"type": "array", "items": _describe(item, depth)}
    if not dataclasses.is_dataclass(of) or depth >= _DEEPEST:
        return {"type": "object"}
    hints = typing.get_type_hints(of)
    parts = dataclasses.fields(of)
    required = [p.name for p in parts if _is_required(p, hints[p.name])]
    return {
        "type": "object",
        "properties": {p.name: _describe(hints[p.name], depth + 1) for p in parts},
        **({"required": list[JSON](required)} if required else {}),
    }


def _is_required(part: dataclasses.Field[object], hint: object) -> bool:
    if part.name in _KEPT_WHEN_EMPTY:
        return True
    has_default = (
        part.default is not dataclasses.MISSING or part.default_factory is not dataclasses.MISSING
    )
    can_be_empty = typing.get_origin(hint) in (tuple, dict, types.UnionType, typing.Union)
    return not has_default and not can_be_empty
