"""The operations that a compiled expression may perform: exact builtin types only, and bounded
before they begin.

A timer cannot interrupt C code, and a budget that is checked afterwards bounds nothing. So every
function here looks at types and sizes first, and raises EvaluationError where Python would run
code of the application's or take long. No exception is caught but those that the one builtin
operation in the `try` can raise itself, by exact type: what the application's signal handlers raise
passes.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from typing import Any, Final, NoReturn

from probe_agent.builtin_names import BUILTINS
from probe_agent.reading import EvaluationError, type_name
from probe_agent.reading.items import MOST_CHARACTERS
from probe_agent.reading.kinds import (
    ATOM_IDS,
    DICT_IDS,
    MOST_KEYS,
    are_atoms,
    has_plain_keys,
    is_small,
)

__builtins__ = BUILTINS  # the application may replace its own

LARGEST_BITS: Final = 4_096
_LARGEST_EXPONENT: Final = 64
_LARGEST_BASE_BITS: Final = 64
# Characters that a search may compare, and a comparison of collections; an element counts as 1,000.
_MOST_SEARCHED: Final = 10_000_000
_MOST_COMPARED: Final = 1_000_000
_ELEMENT_COST: Final = 1_000
_DEEPEST_COLLECTION: Final = 2

_NUMBERS: Final = frozenset(map(id, (int, float, complex, bool)))
_TEXTS: Final = frozenset(map(id, (str, bytes)))
_LISTS: Final = frozenset(map(id, (list, tuple)))
_SETS: Final = frozenset(map(id, (set, frozenset)))
_COLLECTIONS: Final = _LISTS | _SETS | {id(dict)}
_OUR_IDS: Final = frozenset(map(id, (ZeroDivisionError, OverflowError, TypeError, ValueError)))

_BYTES_ID: Final = id(bytes)
# `python -b` warns, and `-bb` raises, wherever bytes are compared with a text or an int, inside of
# collections too: those are not compared then.
_WARNS_OF_BYTES: Final = bool(sys.flags.bytes_warning)

Binary = Callable[[Any, Any], Any]


def unbound(name: str) -> NoReturn:
    """Refuse to use a variable that has no value yet."""
    raise EvaluationError(f"NameError: '{name}' is not bound yet")


def make_comparison(symbol: str) -> Callable[[Any, Any], bool]:
    """Make one of `== != < <= > >=` for exact atoms and short exact collections of them."""
    compare = _COMPARISONS[symbol]
    is_equality = symbol in ("==", "!=")

    def comparison(left: Any, right: Any) -> bool:
        if type(left) is str and type(right) is str and len(left) <= MOST_CHARACTERS:
            return bool(compare(left, right))
        left_id, right_id = id(type(left)), id(type(right))
        if not (
            (is_small(left) if left_id in ATOM_IDS else _left_over(left) >= 0)
            and (is_small(right) if right_id in ATOM_IDS else _left_over(right) >= 0)
        ):
            raise _refused(symbol, left, right)
        if is_equality and left_id != right_id and _BYTES_ID in (left_id, right_id):
            # Never equal, and `python -b` would warn.
            return compare is operator.ne
        result: bool = _apply(compare, left, right)
        return result

    return comparison


def is_in(item: Any, container: Any) -> bool:
    """Tell `item in container` for exact builtins."""
    kind = id(type(container))
    if not _is_searchable(item, container, kind):
        raise _refused("in", item, container)
    found: bool = _apply(lambda i, c: i in c, item, container)
    return found


def is_not_in(item: Any, container: Any) -> bool:
    """Tell `item not in container` for exact builtins."""
    return not is_in(item, container)


def negative(of: Any) -> Any:
    """Compute `-of` for an exact number."""
    if not _is_number(of):
        raise EvaluationError(f"TypeError: - on {type_name(type(of))} is not run")
    return -of


def positive(of: Any) -> Any:
    """Compute `+of` for an exact number."""
    if not _is_number(of):
        raise EvaluationError(f"TypeError: + on {type_name(type(of))} is not run")
    return +of


def make_arithmetic(symbol: str) -> Binary:
    """Make one of `+ - * / // % **` for exact numbers, and `+` and `*` for exact texts."""
    compute, is_text_bounded = _ARITHMETIC[symbol]

    def arithmetic(left: Any, right: Any) -> Any:
        if _is_number(left) and _is_number(right):
            if compute is operator.pow and not _is_power_bounded(left, right):
                raise EvaluationError(f"OverflowError: {symbol} would make too large a number")
        elif not is_text_bounded(left, right):
            raise _refused(symbol, left, right)
        return _apply(compute, left, right)

    return arithmetic


def _apply(operation: Binary, left: Any, right: Any) -> Any:
    try:
        return operation(left, right)
    except Exception as error:  # a tuple of classes is not looked through where the stack is full
        if id(type(error)) not in _OUR_IDS:
            raise
        reason = f"{type(error).__name__}: {error}"
    raise EvaluationError(reason)


def _refused(symbol: str, left: Any, right: Any) -> EvaluationError:
    names = f"{type_name(type(left))} and {type_name(type(right))}"
    return EvaluationError(f"TypeError: `{symbol}` of {names} is not run, or they are too large")


def _is_number(of: Any) -> bool:
    return id(type(of)) in _NUMBERS and (type(of) is not int or of.bit_length() <= LARGEST_BITS)


def _is_power_bounded(base: Any, exponent: Any) -> bool:
    if not (isinstance(base, int) and isinstance(exponent, int)):
        return True
    return -_LARGEST_EXPONENT <= exponent <= _LARGEST_EXPONENT and (
        base.bit_length() <= _LARGEST_BASE_BITS
    )


def _joins(left: Any, right: Any) -> bool:
    return (
        type(left) is type(right)
        and id(type(left)) in _TEXTS
        and len(left) + len(right) <= MOST_CHARACTERS
    )


def _repeats(left: Any, right: Any) -> bool:
    text, times = (left, right) if id(type(left)) in _TEXTS else (right, left)
    return id(type(text)) in _TEXTS and type(times) is int and len(text) * times <= MOST_CHARACTERS


def _never(left: Any, right: Any) -> bool:
    return False


def _left_over(of: Any, room: int = _MOST_COMPARED, levels: int = _DEEPEST_COLLECTION) -> int:
    """Count what comparing an exact collection could cost; negative if it is too much, or if it
    could run code of the application's.
    """
    kind = id(type(of))
    if kind in ATOM_IDS:
        return room - _ELEMENT_COST - (len(of) if kind in _TEXTS else 0) if is_small(of) else -1
    if levels == 0 or _WARNS_OF_BYTES or kind not in _COLLECTIONS or len(of) * _ELEMENT_COST > room:
        return -1
    if type(of) is dict and not has_plain_keys(of):
        return -1
    for element in [*of.values()] if type(of) is dict else [*of]:
        room = _left_over(element, room, levels - 1)
        if room < 0:
            return -1
    return room


def _is_searchable(item: Any, container: Any, kind: int) -> bool:
    item_kind = id(type(item))
    if kind in _TEXTS:
        return kind == item_kind and len(item) * len(container) <= _MOST_SEARCHED
    if kind in _LISTS:
        return _left_over(item) >= 0 and _left_over(container) >= 0
    if item_kind not in ATOM_IDS or not is_small(item) or _WARNS_OF_BYTES:
        return False
    if kind in _SETS:
        return len(container) <= MOST_KEYS and are_atoms(container)
    if kind == id(range):
        return item_kind == id(int)
    return kind in DICT_IDS and has_plain_keys(container)


_COMPARISONS: Final[dict[str, Binary]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ARITHMETIC: Final[dict[str, tuple[Binary, Callable[[Any, Any], bool]]]] = {
    "+": (operator.add, _joins),
    "-": (operator.sub, _never),
    "*": (operator.mul, _repeats),
    "/": (operator.truediv, _never),
    "//": (operator.floordiv, _never),
    "%": (operator.mod, _never),
    "**": (operator.pow, _never),
}
