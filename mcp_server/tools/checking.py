"""Check a tool's arguments, and say in our own words what is wrong with them.

Nothing of a refused value is repeated beyond its first characters, and those are escaped: it may be
a megabyte, or written to mislead whoever reads the error.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn, TypeVar, cast

from pydantic import ValidationError

from mcp_server.errors import InvalidArgument
from mcp_server.render.structure import JSON
from mcp_server.tools.inputs import Input

_SHOWN: Final = 40
_PLAINLY_WRITTEN: Final = 10**15
_KEY: Final = "[key]"  # how pydantic says that the key is to blame, behind the key
# What pydantic adds and a model can do without, and bounds that only guard against abuse.
_NOISE: Final = frozenset(
    {"title", "default", "minItems", "maxItems", "maxProperties", "propertyNames"}
)
_TEXT_BOUNDS: Final = frozenset({"minLength", "maxLength"})

I = TypeVar("I", bound=Input)  # noqa: E741 - an input


def check(tool: str, model: type[I], arguments: Mapping[str, object]) -> I:
    """Read a call's arguments. An optional one that is null counts as not given.

    Raises: InvalidArgument.
    """
    known = model.model_fields
    for name in arguments:
        if name not in known:
            _refuse_unknown(tool, name, list(known))
    given = {
        name: value
        for name, value in arguments.items()
        if value is not None or known[name].is_required()
    }
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = min(
            error.errors(include_url=False, include_context=False, include_input=False), key=_order
        )
        _refuse(tool, model, first["loc"], given)


def given_arguments(call: Input) -> dict[str, object]:
    """List the arguments that were given, as they can be given again."""
    return call.model_dump(exclude_unset=True)


def input_schema(model: type[Input]) -> dict[str, JSON]:
    """Describe a tool's input without what a model has no use for."""
    schema = _full_schema(model)
    defaults = {
        name: field.default
        for name, field in model.model_fields.items()
        if field.default is not None and not field.is_required()
    }
    properties = cast("dict[str, dict[str, JSON]]", schema["properties"])
    described: dict[str, JSON] = {
        name: {
            **cast("dict[str, JSON]", _slim(part)),
            **({"default": defaults[name]} if name in defaults else {}),
        }
        for name, part in properties.items()
    }
    required = {"required": schema["required"]} if "required" in schema else {}
    return {"type": "object", "properties": described, **required, "additionalProperties": False}


def shown(value: str) -> str:
    """Quote the first characters of a caller's text, in ASCII."""
    return ascii(value[:_SHOWN]) + (" (cut)" if len(value) > _SHOWN else "")


def unknown_tool(name: str, known: Sequence[str]) -> InvalidArgument:
    """Say that there is no such tool."""
    return InvalidArgument(
        f"Cannot call {shown(name)}", "there is no tool of this name", _nearest(name, known)
    )


def _refuse_unknown(tool: str, name: str, known: Sequence[str]) -> NoReturn:
    raise InvalidArgument(
        f"Cannot call {tool}", f"it has no argument {shown(name)}", _nearest(name, known)
    )


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name[:_SHOWN], known, n=1, cutoff=0.5)
    listed = f"Use one of: {', '.join(known)}"
    return f"Did you mean {near[0]}? {listed}" if near else listed


def _order(error: object) -> int:
    """Name what is missing first."""
    return 0 if cast("dict[str, object]", error)["type"] == "missing" else 1


def _refuse(
    tool: str, model: type[Input], where: tuple[str | int, ...], given: Mapping[str, object]
) -> NoReturn:
    name = str(where[0])
    properties = cast("dict[str, dict[str, JSON]]", _full_schema(model)["properties"])
    if name in given:
        value, item = _blamed(given[name], where[1:])
        why = f"{item}{name} is {_got(value)}"
    else:
        why = f"{name} is missing"
    raise InvalidArgument(f"Cannot call {tool}", why, f"Give {name} as {_wanted(properties[name])}")


def _blamed(value: object, path: Sequence[str | int]) -> tuple[object, str]:
    """Find what of a list or an object is to blame. Returns: it, and how to call it."""
    last = path[-1] if path else None
    if isinstance(value, dict) and path[1:] == (_KEY,):
        return path[0], "a key of "
    if isinstance(value, dict) and last in value:
        return value[last], f"{shown(str(last))} of "
    index = next((part for part in path if isinstance(part, int)), None)
    if index is None or not isinstance(value, list):
        return value, ""
    return value[index], f"item {index + 1} of "


def _got(value: object) -> str:
    """Say what a value is without repeating it at length."""
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return f"{value}" if abs(value) < _PLAINLY_WRITTEN else "no number of a usable size"
        case str():
            return _got_text(value)
        case list():
            return f"a list of {len(value):,} item" + ("" if len(value) == 1 else "s")
        case dict():
            return f"an object of {len(value):,} entr" + ("y" if len(value) == 1 else "ies")
        case _:
            return "null"


def _got_text(value: str) -> str:
    if not value.strip():
        return "empty"
    if len(value) > _SHOWN:
        return f"text of {len(value):,} characters"
    return f"the text {shown(value)}"


def _wanted(schema: Mapping[str, JSON]) -> str:
    """Say in words what a schema asks for."""
    if "anyOf" in schema:
        choices = cast("list[dict[str, JSON]]", schema["anyOf"])
        return ", or ".join(_wanted(choice) for choice in choices if choice["type"] != "null")
    if "enum" in schema:
        return f"one of {', '.join(map(str, cast('list[JSON]', schema['enum'])))}"
    match schema["type"]:
        case "string":
            return f"text of {schema['minLength']} to {_number(schema['maxLength'])} characters"
        case "integer" | "number" as kind:
            what = "a whole number" if kind == "integer" else "a number"
            return f"{what} from {schema['minimum']} to {_number(schema['maximum'])}"
        case "array":
            items = cast("dict[str, JSON]", schema["items"])
            return f"a list of 1 to {schema['maxItems']}, each {_wanted(items)}"
        case "object":
            entry = cast("dict[str, JSON]", schema["additionalProperties"])
            most = schema["maxProperties"]
            return f"an object of at most {most} entries, keys and values {_wanted(entry)}"
        case _:
            return "true or false"


def _number(value: JSON) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _full_schema(model: type[Input]) -> dict[str, JSON]:
    return cast("dict[str, JSON]", model.model_json_schema())


def _slim(part: JSON) -> JSON:
    """Drop noise, and the null that stands for an argument that is not given."""
    if isinstance(part, list):
        return [_slim(item) for item in part]
    if not isinstance(part, dict):
        return part
    noise = _NOISE if part.get("minLength", 1) != 1 else _NOISE | _TEXT_BOUNDS
    slim = {key: _slim(item) for key, item in part.items() if key not in noise}
    choices = [c for c in cast("list[JSON]", slim.get("anyOf", [])) if c != {"type": "null"}]
    if len(choices) == 1:
        del slim["anyOf"]
        return {**cast("dict[str, JSON]", choices[0]), **slim}
    return {**slim, "anyOf": choices} if choices else slim
