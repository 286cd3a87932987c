"""Plain values of the standard library's exact types that are neither atoms nor containers.

Each function takes an object of exactly one type and runs nothing but that type's own C code, or
reads its slots where the type is written in Python.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final
from uuid import UUID

from probe_agent import plain
from probe_agent.builtin_names import BUILTINS
from probe_agent.literal import MOST_BITS
from probe_agent.plain import Plain
from probe_agent.reading.attributes import get_attribute
from probe_agent.reading.kinds import first_items, type_name

__builtins__ = BUILTINS  # the application may replace its own

_NAME_LENGTH: Final = slice(0, 100)
_DECIMAL_BYTES: Final = 1_000
_MOST_PARTS: Final = 100
_MODULE_DICT: Final = vars(ModuleType)["__dict__"].__get__
_METHOD_FUNCTION: Final = MethodType.__dict__["__func__"].__get__
_UTC: Final = datetime.UTC


def _decimal(of: Decimal) -> Plain:
    if Decimal.__sizeof__(of) > _DECIMAL_BYTES:
        return (plain.VERBATIM, "Decimal", "<Decimal with too many digits>")
    return (plain.VERBATIM, "Decimal", Decimal.__repr__(of), of)


def _fraction(of: Fraction) -> Plain:
    top, bottom = get_attribute(of, "_numerator"), get_attribute(of, "_denominator")
    if not (_is_printable(top) and _is_printable(bottom)):
        return (plain.VERBATIM, "Fraction", "<Fraction with too many digits>")
    return (plain.VERBATIM, "Fraction", f"Fraction({top}, {bottom})")


def _uuid(of: UUID) -> Plain:
    number = get_attribute(of, "int")
    if type(number) is not int or not 0 <= number < 1 << 128:
        return (plain.VERBATIM, "UUID", "<UUID>")
    h = f"{number:032x}"
    return (plain.VERBATIM, "UUID", f"UUID('{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}')")


def _range(of: range) -> Plain:
    bounds = (of.start, of.stop, of.step)
    if not all(map(_is_printable, bounds)):
        return (plain.VERBATIM, "range", "<range with too many digits>")
    return (plain.VERBATIM, "range", range.__repr__(of))


def _date(of: datetime.date) -> Plain:
    return (plain.VERBATIM, "date", _short(datetime.date.__repr__(of)), of)


def _timedelta(of: datetime.timedelta) -> Plain:
    return (plain.VERBATIM, "timedelta", _short(datetime.timedelta.__repr__(of)), of)


def _datetime(of: datetime.datetime) -> Plain:
    zone = of.tzinfo
    if zone is None:
        return (plain.VERBATIM, "datetime", _short(datetime.datetime.__repr__(of)), of)
    # `repr` of an aware one would ask the zone, which may be the application's.
    text = _with_zone(datetime.datetime.__repr__(of.replace(tzinfo=None)), zone)
    return (plain.VERBATIM, "datetime", text, *((of,) if zone is _UTC else ()))


def _time(of: datetime.time) -> Plain:
    zone = of.tzinfo
    if zone is None:
        return (plain.VERBATIM, "time", _short(datetime.time.__repr__(of)), of)
    text = _with_zone(datetime.time.__repr__(of.replace(tzinfo=None)), zone)
    return (plain.VERBATIM, "time", text, *((of,) if zone is _UTC else ()))


def _short(text: str) -> str:
    """Write `datetime.date(...)` as the contract does."""
    return text.removeprefix("datetime.")


def _with_zone(text: str, zone: datetime.tzinfo) -> str:
    if zone is _UTC:
        name = "UTC"
    elif type(zone) is datetime.timezone:
        name = f"timezone({_short(repr(datetime.timezone.utcoffset(zone, None)))})"
    else:
        name = f"<{type_name(type(zone))}>"
    return f"{_short(text)[:-1]}, tzinfo={name})"


def _function(of: FunctionType) -> Plain:
    name = str.__getitem__(of.__qualname__, _NAME_LENGTH)
    return (plain.VERBATIM, "function", f"<function {name}>")


def _builtin_function(of: BuiltinFunctionType) -> Plain:
    return (plain.VERBATIM, "builtin_function_or_method", f"<function {of.__name__}>")


def _method(of: MethodType) -> Plain:
    function = _METHOD_FUNCTION(of)
    if type(function) is not FunctionType:
        return (plain.VERBATIM, "method", "<method>")
    name = str.__getitem__(function.__qualname__, _NAME_LENGTH)
    return (plain.VERBATIM, "method", f"<method {name}>")


def _module(of: ModuleType) -> Plain:
    names = _MODULE_DICT(of)
    # A lookup might meet keys of the application's; `__name__` is the first thing in the dict.
    for name, value in first_items(names.items(), 5) if type(names) is dict else ():
        if type(name) is str and name == "__name__" and type(value) is str:
            return (plain.VERBATIM, "module", f"<module {value[:100]}>")
    return (plain.VERBATIM, "module", "<module>")


def path_text(of: PurePath) -> str | None:
    """Read the text of an exact path without filling its caches; None if it cannot be had."""
    known = _slot(of, "_str")
    if type(known) is str:
        return known
    separator = "\\" if type(of) is WindowsPath or type(of) is PureWindowsPath else "/"
    given = _texts(_slot(of, "_raw_paths"))
    if given is not None:
        # As joining does: a later absolute part starts anew.
        starts = [i for i, part in enumerate(given) if part.startswith("/")]
        return separator.join(given[starts[-1] if starts else 0 :]) or "."
    parts = _texts(_slot(of, "_parts"))
    if parts is None:
        return None
    anchored = bool(_slot(of, "_drv") or _slot(of, "_root")) and len(parts) > 0
    return (parts[0] if anchored else "") + separator.join(parts[anchored:]) or "."


def _slot(of: object, name: str) -> object:
    try:
        return get_attribute(of, name)
    except AttributeError as error:
        if type(error) is not AttributeError:
            raise
        return None


def _texts(parts: object) -> list[str] | None:
    if type(parts) is not list or not all(type(p) is str for p in parts[:_MOST_PARTS]):
        return None
    return parts[:_MOST_PARTS]


def _is_printable(number: object) -> bool:
    return type(number) is int and number.bit_length() <= MOST_BITS


VERBATIM: Final[dict[int, Callable[[Any], Plain]]] = {
    id(Decimal): _decimal,
    id(Fraction): _fraction,
    id(UUID): _uuid,
    id(range): _range,
    id(datetime.date): _date,
    id(datetime.datetime): _datetime,
    id(datetime.time): _time,
    id(datetime.timedelta): _timedelta,
    id(FunctionType): _function,
    id(BuiltinFunctionType): _builtin_function,
    id(MethodType): _method,
    id(ModuleType): _module,
    id(type(...)): lambda _: (plain.VERBATIM, "ellipsis", "Ellipsis"),
    id(type(NotImplemented)): lambda _: (plain.VERBATIM, "NotImplementedType", "NotImplemented"),
    id(plain.Unbound): lambda _: (plain.MARK, plain.UNBOUND.value),
}

PATH_IDS: Final = frozenset(map(id, (PosixPath, WindowsPath, PurePosixPath, PureWindowsPath)))
