"""Read all stored fields of an instance without running code of the application's.

On 3.11 and 3.12 reading `__dict__` makes every later attribute read of that object three times as
slow, for good. There the names come from what the class's methods store, the values one by one; the
collector's view tells whether any is missing, and only then `__dict__` is read.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from dis import opmap
from enum import Enum, EnumType
from functools import cached_property
from gc import get_referents
from time import monotonic
from types import CodeType, FunctionType, MemberDescriptorType
from typing import Any, Final

from probe_agent.builtin_names import BUILTINS
from probe_agent.plain import MARK, Plain
from probe_agent.reading.attributes import (
    get_attribute,
    getter_of,
    has_own_dict,
    has_readable_dict,
    is_dict_plain,
    is_plain_layout,
    runs_nothing,
)
from probe_agent.reading.kinds import (
    CLASS_DICT_OF,
    DICT_IS_FREE,
    DICT_SUBCLASS,
    EXCEPTION_SUBCLASS,
    FLAGS_OF,
    HEAP_TYPE,
    MOST_KEYS,
    MRO_OF,
    TYPE_SUBCLASS,
    are_class_dicts_plain,
    find_in_class,
    first_items,
    is_subtype,
)

__builtins__ = BUILTINS  # the application may replace its own

_STORE_ATTR: Final = bytes([opmap["STORE_ATTR"]])
_EXTENDED_ARG: Final = opmap["EXTENDED_ARG"]
_BUILTINS: Final = (
    *(str, bytes, bytearray, int, float, complex),
    *(list, tuple, dict, set, frozenset, deque),
)
_MOST_NAMES: Final = 200
_MOST_CODE_BYTES: Final = 65_536
_CACHE_S: Final = 1.0
_CACHED_TYPES: Final = 256

_PROPERTY_IDS: Final = frozenset(map(id, (property, cached_property)))


Getter = Callable[[object, str], Any]


class Nature(Enum):
    """What the instances of a class are."""

    OBJECT = "object"
    CLASS = "class"
    ENUM_MEMBER = "enum member"
    EXCEPTION = "exception"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the instances of one class keep their fields.

    `slots`: names, bases first. `names`: that methods store (empty where `__dict__` is free).
    `properties`: public ones, which are not run, each with the mark that says so. `tuple_fields`: a
    named tuple's. `builtin`: the builtin class that it is or derives from, whose content an
    instance has. `get`: reads one of the `slots` or `names`. `has_dict`: one that can be read.
    `is_plain`: see `attributes`.
    """

    kind: weakref.ref[type]
    slots: tuple[str, ...]
    names: tuple[str, ...]
    properties: tuple[tuple[str, Plain], ...]
    tuple_fields: tuple[str, ...]
    builtin: type | None
    nature: Nature
    get: Getter
    has_dict: bool
    is_plain: bool


def make_layouts() -> Callable[[type], Layout]:
    """Make a function that describes a class, with a cache of its own that lives for a second."""
    known: dict[int, Layout] = {}
    until_s = 0.0

    def layout_of(kind: type) -> Layout:
        nonlocal until_s
        layout = known.get(id(kind))
        if layout is not None and layout.kind() is kind and monotonic() < until_s:
            return layout
        now = monotonic()
        if now >= until_s or len(known) >= _CACHED_TYPES:
            known.clear()
            until_s = now + _CACHE_S
        layout = known[id(kind)] = _describe(kind)
        return layout

    return layout_of


def read_fields(of: object, layout: Layout, most: int) -> tuple[list[tuple[str, object]], int]:
    """Read the stored fields of an instance: at most `most` (name, value), and how many there are.

    A field that is bound to nothing (an empty slot) is left out.
    """
    fields = _named(of, layout.slots, layout.get)
    if not layout.has_dict:
        return fields[:most], len(fields)
    if not DICT_IS_FREE and layout.is_plain:
        inline = _inline_fields(of, layout)
        if inline is not None:
            return inline[:most], len(inline)
    stored: Any = get_attribute(of, "__dict__") if has_own_dict(of) else None
    if type(stored) is not dict:
        return fields[:most], len(fields)
    total = len(fields) + len(stored)
    pairs = first_items(stored.items(), max(0, most - len(fields)))
    fields += [pair for pair in pairs if type(pair[0]) is str]
    return fields[:most], total


def _named(of: object, names: tuple[str, ...], get: Getter) -> list[tuple[str, object]]:
    """Read those of the names that are bound; each was found to run nothing."""
    fields = []
    for name in names:
        try:
            fields.append((name, get(of, name)))
        except AttributeError as error:
            if type(error) is not AttributeError:
                raise
    return fields


def _inline_fields(of: object, layout: Layout) -> list[tuple[str, object]] | None:
    """Read the fields of an instance that has no dict, or None if it has one or some stay unknown.

    An instance of a plain layout refers to its class and either to each value or to one dict.
    """
    refers_to = get_referents(of)
    expected = len(refers_to) - 1
    may_have_dict = expected == 1 and any(FLAGS_OF(type(r)) & DICT_SUBCLASS for r in refers_to)
    if may_have_dict and not is_dict_plain(of):
        return None
    fields = _named(of, layout.names, layout.get)
    if may_have_dict and not (len(fields) == 1 and fields[0][1] is refers_to[0]):
        return None
    if len(fields) == expected:
        return fields
    # Some of these are not the instance's own, but defaults of its class.
    own = [(n, v) for n, v in fields if v is not find_in_class(type(of), n)]
    return own if len(own) == expected else None


def _describe(kind: type) -> Layout:
    if not are_class_dicts_plain(kind):
        return Layout(
            *(weakref.ref(kind), (), (), (), (), None, _nature(kind), get_attribute),
            has_dict=False,
            is_plain=False,
        )
    has_dict = has_readable_dict(kind)
    is_plain = is_plain_layout(kind)
    slots, properties = _slots_and_properties(kind)
    stored = _stored_names(kind) if is_plain and not DICT_IS_FREE else ()
    names = tuple(n for n in stored if runs_nothing(kind, find_in_class(kind, n)))
    return Layout(
        kind=weakref.ref(kind),
        slots=slots,
        names=names,
        properties=tuple((n, (MARK, f"<property {n}: not run>")) for n in properties),
        tuple_fields=_tuple_fields(kind),
        builtin=next((b for b in _BUILTINS if is_subtype(b, kind)), None),
        nature=_nature(kind),
        get=getter_of(kind),
        has_dict=has_dict,
        is_plain=is_plain,
    )


def _nature(kind: type) -> Nature:
    if FLAGS_OF(kind) & TYPE_SUBCLASS:
        return Nature.CLASS
    if FLAGS_OF(kind) & EXCEPTION_SUBCLASS:
        return Nature.EXCEPTION
    return Nature.ENUM_MEMBER if is_subtype(EnumType, type(kind)) else Nature.OBJECT


def _tuple_fields(kind: type) -> tuple[str, ...]:
    fields = find_in_class(kind, "_fields") if is_subtype(tuple, kind) else ()
    if type(fields) is not tuple or not all(type(name) is str for name in fields):
        return ()
    return fields


def _slots_and_properties(kind: type) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """List the slots and the public properties that the class's instances show, bases first."""
    slots: list[str] = []
    properties: list[str] = []
    for base in reversed(MRO_OF(kind) or ()):
        if not FLAGS_OF(base) & HEAP_TYPE:
            continue
        for name, found in first_items(CLASS_DICT_OF(base).items(), MOST_KEYS):
            if type(found) is MemberDescriptorType and find_in_class(kind, name) is found:
                if runs_nothing(kind, found):
                    slots.append(name)
            elif _is_public_property(kind, name, found):
                properties.append(name)
    return tuple(slots), tuple(properties)


def _is_public_property(kind: type, name: str, found: object) -> bool:
    return (
        id(type(found)) in _PROPERTY_IDS
        and not name.startswith("_")
        and find_in_class(kind, name) is found
    )


def _stored_names(kind: type) -> tuple[str, ...]:
    """Collect the names that a class's methods store on instances, and its annotated ones, in the
    order in which they stand, bases first.
    """
    names: dict[str, None] = {}
    room = _MOST_CODE_BYTES
    for base in reversed(MRO_OF(kind) or ()):
        if not FLAGS_OF(base) & HEAP_TYPE:
            continue
        inside = CLASS_DICT_OF(base)
        annotations = inside.get("__annotations__")
        if type(annotations) is dict:
            names.update((n, None) for n in annotations if type(n) is str)
        for method in first_items(inside.values(), MOST_KEYS):
            if type(method) is FunctionType and len(names) < _MOST_NAMES:
                code = method.__code__
                room -= len(code.co_code)
                if room > 0:
                    names.update((n, None) for n in _names_stored_by(code))
    return tuple(names)[:_MOST_NAMES]


def _names_stored_by(code: CodeType) -> Iterator[str]:
    """Yield what follows each STORE_ATTR; the object stored to may be another than `self`."""
    units = code.co_code
    at = units.find(_STORE_ATTR)
    while at >= 0:
        # Two bytes a unit; an index above 255 has an EXTENDED_ARG in front.
        if at % 2 == 0:
            high = units[at - 1] if at and units[at - 2] == _EXTENDED_ARG else 0
            yield code.co_names[(high << 8) + units[at + 1]]
        at = units.find(_STORE_ATTR, at + 1)
