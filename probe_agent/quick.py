"""Conditions that a few bytecode instructions can decide, with no call.

`expression` finds out which conditions these are, `rewrite` writes them into the probed code, `hit`
takes the others and every doubt: a variable of another type than the test expects, or without a
value, is decided by the called guard. All that a test does is compare exact builtins with constants
or with each other, so no code of the application's runs and nothing is changed.

`Tally` counts what a test found false, without a lock and without a call of Python: the inserted
code takes the next item of an iterator in C.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat
from typing import Final, TypeAlias

from probe_agent.carrier import Carrier

_MOST: Final = 1 << 62

Constant: TypeAlias = int | float | str | bytes | bool | tuple["Constant", ...] | None


@dataclass(frozen=True, slots=True)
class Compared:
    """`name symbol constant`, where the variable is exactly of one of `types`, the likeliest first.

    `symbol`: `== != < <= > >= in`, and `not in`.
    """

    name: str
    symbol: str
    constant: Constant
    types: tuple[type, ...]


@dataclass(frozen=True, slots=True)
class ComparedPair:
    """`left symbol right`, where both variables are exactly of one of `types`."""

    left: str
    symbol: str
    right: str
    types: tuple[type, ...]


@dataclass(frozen=True, slots=True)
class Same:
    """`name is constant`, where the constant is None, True or False."""

    name: str
    constant: bool | None


@dataclass(frozen=True, slots=True)
class Flag:
    """`name` alone, where it is True, False or None."""

    name: str


@dataclass(frozen=True, slots=True)
class Negated:
    """`not test`."""

    test: QuickTest


@dataclass(frozen=True, slots=True)
class Joined:
    """`test and test ...`, or with `or`."""

    tests: tuple[QuickTest, ...]
    is_and: bool


QuickTest: TypeAlias = Compared | ComparedPair | Same | Flag | Negated | Joined


class Tally:
    """How often a quick test was false; and the way to ask for one in full.

    The inserted code takes the next item of the iterator in `carrier` each time; when it has none
    left, the called guard decides instead, which can look at the values.
    """

    __slots__ = ("_endless", "carrier")

    def __init__(self) -> None:
        self._endless = repeat(None, _MOST)
        self.carrier = Carrier(repeat(None, 0), iter(()))

    @property
    def count(self) -> int:
        """How many were counted so far."""
        return _MOST - self._endless.__length_hint__()

    def go_on(self) -> None:
        """Count in the inserted code from now on."""
        self.carrier.put(self._endless)

    def ask(self) -> None:
        """Have the next one that is false decided by the called guard."""
        self.carrier.put(repeat(None, 0))


@dataclass(frozen=True, slots=True)
class Quick:
    """A quick test and where it counts."""

    test: QuickTest
    tally: Tally
