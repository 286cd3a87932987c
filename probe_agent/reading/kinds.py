"""What an object's type is, and what its class says: facts that only the interpreter can tell.

Everything asks the type's own slots (`type.__dict__[...]`), never the object or its metaclass.
Types are told apart by `is` or by `id`: a set or dict of types would run `__hash__` and `__eq__` of
a metaclass.
"""

from __future__ import annotations

import sys
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

from probe_agent.builtin_names import BUILTINS
from probe_agent.plain import ATOMS
from probe_agent.reading.keys import TEXT_KEYED_SIZES

__builtins__ = BUILTINS  # the application may replace its own

# None while the class is being made, as its metaclass sees it in `mro`.
MRO_OF: Final[Callable[[type], tuple[type, ...] | None]] = type.__dict__["__mro__"].__get__
CLASS_DICT_OF: Final[Callable[[type], MappingProxyType[str, Any]]] = type.__dict__[
    "__dict__"
].__get__
FLAGS_OF: Final[Callable[[type], int]] = type.__dict__["__flags__"].__get__
BASIC_SIZE_OF: Final[Callable[[type], int]] = type.__dict__["__basicsize__"].__get__
ITEM_SIZE_OF: Final[Callable[[type], int]] = type.__dict__["__itemsize__"].__get__
DICT_OFFSET_OF: Final[Callable[[type], int]] = type.__dict__["__dictoffset__"].__get__
_NAME_OF: Final[Callable[[type], str]] = type.__dict__["__name__"].__get__
# `is_subtype(base, type)`: walks the MRO in C, where `issubclass` asks the metaclass.
is_subtype: Final[Callable[[type, type], bool]] = type.__subclasscheck__

# Bits of `tp_flags` (CPython Include/object.h).
HEAP_TYPE: Final = 1 << 9
MANAGED_DICT: Final = 1 << 4
DICT_SUBCLASS: Final = 1 << 29
EXCEPTION_SUBCLASS: Final = 1 << 30
TYPE_SUBCLASS: Final = 1 << 31

# From 3.13 on, `__dict__` is a view on the inline values and slows nothing.
DICT_IS_FREE: Final = sys.version_info >= (3, 13)

STR_ID: Final = id(str)
ATOM_IDS: Final = frozenset(map(id, ATOMS))
DICT_IDS: Final = frozenset(map(id, (dict, OrderedDict, defaultdict)))
SEQUENCE_IDS: Final = frozenset(map(id, (list, tuple, str, bytes, bytearray, range, deque)))

MISSING: Final = object()
# More keys than this are not looked at: 1,000 take about 40 us.
MOST_KEYS: Final = 1_000
# Hashing or comparing a million characters takes under a millisecond.
_QUICK_SIZE: Final = 1_000_000
_FIRST_CHARACTERS: Final = slice(0, 100)


def type_name(of: type) -> str:
    """Name a type, at most 100 characters. A name may be a `str` subclass; the result is exact."""
    return str.__getitem__(_NAME_OF(of), _FIRST_CHARACTERS)


def are_atoms(values: Iterable[object]) -> bool:
    """True if every value is an exact str, bytes, number, bool or None."""
    return ATOM_IDS.issuperset(map(id, map(type, values)))


def is_small(value: Any) -> bool:
    """True if an exact atom is quickly hashed and compared: at most 10**6 characters or bits."""
    kind = type(value)
    if kind is str or kind is bytes:
        return len(value) <= _QUICK_SIZE
    return kind is not int or value.bit_length() <= _QUICK_SIZE


def has_plain_keys(of: dict[Any, Any]) -> bool:
    """True if a lookup in this dict can run no code of the application's.

    A lookup compares with keys of equal hash, and so runs their `__eq__`: only exact builtin keys
    are known not to have one of their own. False too for more than 1,000 keys not all of which are
    exact strings.
    """
    if type(of) is dict and of.__sizeof__() in TEXT_KEYED_SIZES:
        return True
    return dict.__len__(of) <= MOST_KEYS and are_atoms(dict.__iter__(of))


def are_class_dicts_plain(of: type) -> bool:
    """True if looking a name up in the class and its bases can run no code of the application's."""
    bases = MRO_OF(of)
    return bases is not None and all(
        {STR_ID}.issuperset(map(id, map(type, CLASS_DICT_OF(base))))
        for base in bases
        if FLAGS_OF(base) & HEAP_TYPE
    )


def find_in_class(of: type, name: str) -> Any:
    """Look a name up in the class and its bases, binding nothing; MISSING if it is not there."""
    for base in MRO_OF(of) or ():
        found = CLASS_DICT_OF(base).get(name, MISSING)
        if found is not MISSING:
            return found
    return MISSING


def first_items(of: Iterable[Any], count: int) -> tuple[Any, ...]:
    """Copy the first items of an exact builtin's iterable in one C call.

    Never the whole: copying a dict of a million keys holds the interpreter for 26-288 ms.
    """
    return tuple(islice(of, count))
