"""Read items and slices of exact builtin containers without running code of the application's."""

from __future__ import annotations

from typing import Any, Final

from probe_agent.builtin_names import BUILTINS
from probe_agent.literal import brief
from probe_agent.reading.errors import EvaluationError
from probe_agent.reading.kinds import (
    ATOM_IDS,
    DICT_IDS,
    MISSING,
    MOST_KEYS,
    SEQUENCE_IDS,
    has_plain_keys,
    is_small,
    type_name,
)

__builtins__ = BUILTINS  # the application may replace its own

MOST_ITEMS: Final = 1_000
MOST_CHARACTERS: Final = 65_536
_BOUND_TYPES: Final = frozenset(map(id, (int, bool, type(None))))
_TEXT_IDS: Final = frozenset(map(id, (str, bytes, bytearray)))


def read_item(of: Any, key: Any) -> object:
    """Read `of[key]`: exact dicts by an exact builtin key, exact sequences by an exact int.

    Raises: EvaluationError: no such item, or the container or key is of another type.
    """
    kind = type(of)
    if kind is dict or id(kind) in DICT_IDS:
        return _value(of, key)
    if id(kind) not in SEQUENCE_IDS:
        raise EvaluationError(
            f"TypeError: items of {type_name(kind)} are not read, only those of exact builtins"
        )
    if type(key) is not int and type(key) is not bool:
        raise EvaluationError(
            f"TypeError: {type_name(kind)} indices must be int, not {type_name(type(key))}"
        )
    if not -len(of) <= key < len(of):
        raise EvaluationError(f"IndexError: {type_name(kind)} index out of range")
    item: object = of[key]
    return item


def read_slice(of: Any, start: Any, stop: Any, step: Any) -> object:
    """Read `of[start:stop:step]` of an exact list, tuple, str, bytes, bytearray or range.

    Raises: EvaluationError: another type, or a result of more than 1,000 items (65,536 characters).
    """
    kind = type(of)
    if id(kind) not in SEQUENCE_IDS or type_name(kind) == "deque":
        raise EvaluationError(f"TypeError: slices of {type_name(kind)} are not read")
    for bound in (start, stop, step):
        if id(type(bound)) not in _BOUND_TYPES:
            raise EvaluationError("TypeError: slice indices must be int or None")
    if step is not None and step == 0:
        raise EvaluationError("ValueError: slice step cannot be zero")
    wanted = slice(start, stop, step)
    length = len(range(*wanted.indices(len(of))))
    most = MOST_CHARACTERS if id(kind) in _TEXT_IDS else MOST_ITEMS
    if length > most and kind is not range:
        raise EvaluationError(f"a slice of {length} items is above the limit of {most}")
    part: object = of[wanted]
    return part


def _value(of: dict[Any, Any], key: Any) -> object:
    if id(type(key)) not in ATOM_IDS:
        raise EvaluationError(
            f"TypeError: keys of type {type_name(type(key))} are not looked up, only exact builtins"
        )
    if not is_small(key):
        raise EvaluationError("the key is too large to be looked up")
    if not has_plain_keys(of):
        raise EvaluationError(
            f"the dict has over {MOST_KEYS} keys, or keys whose __eq__ a lookup could run"
        )
    # Not `of[key]`: a defaultdict would insert.
    value: object = dict.get(of, key, MISSING)
    if value is MISSING:
        raise EvaluationError(f"KeyError: {brief(key)}")
    return value
