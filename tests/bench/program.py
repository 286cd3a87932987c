"""The program that is measured: a small function, and the same with each condition by hand.

Imports nothing of Sonde's: ddtrace's debugger works on it too, in another environment.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import FunctionType


class Order:
    """What a service works on: attributes in a dict of its own."""

    def __init__(self) -> None:
        self.limit = 5
        self.items = {"a": 1}


def report():
    raise AssertionError("the condition was true")


def plain(amount, status, a, b, order):
    total = amount + 1
    total -= 1  # probe: here
    return total


def by_hand_amount(amount, status, a, b, order):
    total = amount + 1
    if amount > 1000:
        report()
    total -= 1
    return total


def by_hand_status(amount, status, a, b, order):
    total = amount + 1
    if status == "PAID":
        report()
    total -= 1
    return total


def by_hand_both(amount, status, a, b, order):
    total = amount + 1
    if a > 1 and b < 5:
        report()
    total -= 1
    return total


def by_hand_attribute(amount, status, a, b, order):
    total = amount + 1
    if order.limit > 1000:
        report()
    total -= 1
    return total


def by_hand_item(amount, status, a, b, order):
    total = amount + 1
    if order.items["a"] > 5:
        report()
    total -= 1
    return total


@dataclass(frozen=True)
class Case:
    """A condition, the function that has it by hand, and arguments of which it is false."""

    condition: str
    by_hand: FunctionType
    arguments: tuple[object, ...]


_ORDER = Order()
_ARGUMENTS = (5, "NEW", 0, 9, _ORDER)
# By row.
CASES: dict[str, Case] = {
    "condition false, `amount > 1000`": Case("amount > 1000", by_hand_amount, _ARGUMENTS),
    "condition false, `status == 'PAID'`": Case("status == 'PAID'", by_hand_status, _ARGUMENTS),
    "condition false, `a > 1 and b < 5`, by a": Case("a > 1 and b < 5", by_hand_both, _ARGUMENTS),
    "condition false, `a > 1 and b < 5`, by b": Case(
        "a > 1 and b < 5", by_hand_both, (5, "NEW", 2, 9, _ORDER)
    ),
    "condition false, `order.limit > 1000`": Case(
        "order.limit > 1000", by_hand_attribute, _ARGUMENTS
    ),
    "condition false, `order.items['a'] > 5`": Case(
        "order.items['a'] > 5", by_hand_item, _ARGUMENTS
    ),
}
