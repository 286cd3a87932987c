"""How the inserted block decides whether a hit counts: by a call of the guard, or by a quick test.

A quick test is written out as bytecode, so that a condition that is false costs what a hand-written
`if` costs. Where it cannot tell (a variable of another type, or without a value) it goes on at the
call of the guard, which stands behind it:

    [test: false -> count; no answer -> guard; true -> hit]
    [guard: callable, values, CALL; is True? else next]  [hit; JUMP_FORWARD next]  [count]  next

These units are in line and have the line of X; all their jumps go forward.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, assert_never

from probe_agent.quick import (
    Compared,
    ComparedPair,
    Constant,
    Flag,
    Joined,
    Negated,
    QuickTest,
    Same,
    Tally,
)
from probe_agent.rewrite.assembly import Assembly
from probe_agent.rewrite.insertion import Insertion
from probe_agent.rewrite.opcodes import COMPARISONS, DIALECT
from probe_agent.rewrite.units import Row, Unit
from probe_agent.rewrite.variables import Slot

_MEMBERSHIP: Final = {"in": 0, "not in": 1}


def call_guard(assembly: Assembly, insertion: Insertion, following: Unit) -> list[Unit]:
    """Call the guard; go on at `following` unless it returns exactly True."""
    call = assembly.call(insertion.guard, insertion.guard_names)
    leave = assembly.jump(DIALECT.jump_if_false, following)
    return [*call, assembly.constant(value=True), assembly.unit("IS_OP", 0), leave]


def decide_quickly(
    assembly: Assembly, insertion: Insertion, guard: list[Unit], hit: list[Unit], following: Unit
) -> list[Unit]:
    """Write a whole stage with its quick test, if the variables allow one; else [].

    Args: guard, hit: the parts of the stage. following: what stands behind the stage.
    """
    slots = {name: assembly.sure_slot(name) for name in insertion.guard_names}
    sure = {name: slot for name, slot in slots.items() if slot is not None}
    if insertion.quick is None or len(sure) < len(slots):
        return []
    count = _count(assembly, insertion.quick.tally, guard[0])
    test = _Test(assembly, sure, assembly.row(NameError, guard[0]), guard[0])
    ways = _Ways(yes=hit[0], no=count[0], next=guard[0])
    leave = assembly.jump("JUMP_FORWARD", following)
    return [*test.write(insertion.quick.test, ways), *guard, *hit, leave, *count]


def _count(assembly: Assembly, tally: Tally, guard: Unit) -> list[Unit]:
    """Take the next item of the tally's iterator; where it has none left, go on at the guard."""
    return [
        *assembly.carried(tally.carrier),
        assembly.jump("FOR_ITER", assembly.landing(DIALECT.after_for, guard)),
        assembly.unit("POP_TOP"),
        assembly.unit("POP_TOP"),
    ]


@dataclass(frozen=True, slots=True)
class _Ways:
    """Where a test goes on. `next`: the unit that stands behind it, which may be one of the two."""

    yes: Unit
    no: Unit
    next: Unit


class _Test:
    """Writes the tests of one insertion. `unbound`: catches what has no value; `guard`: decides
    what a test cannot.
    """

    def __init__(
        self, assembly: Assembly, slots: dict[str, Slot], unbound: Row, guard: Unit
    ) -> None:
        self._assembly = assembly
        self._slots = slots
        self._unbound = unbound
        self._guard = guard

    def write(self, test: QuickTest, ways: _Ways) -> list[Unit]:
        match test:
            case Compared():
                return self._compared(test, ways)
            case ComparedPair():
                return self._compared_pair(test, ways)
            case Same():
                return [*self._is(test.name, test.constant), *self._leave(ways)]
            case Flag():
                return self._flag(test.name, ways)
            case Negated():
                return self.write(test.test, _Ways(ways.no, ways.yes, ways.next))
            case Joined():
                return self._joined(test, ways)
            case _:
                assert_never(test)

    def _joined(self, test: Joined, ways: _Ways) -> list[Unit]:
        units: list[Unit] = []
        for part in reversed(test.tests):
            following = units[0] if units else ways.next
            if not units:
                these = ways
            elif test.is_and:
                these = _Ways(following, ways.no, following)
            else:
                these = _Ways(ways.yes, following, following)
            units = [*self.write(part, these), *units]
        return units

    def _compared(self, test: Compared, ways: _Ways) -> list[Unit]:
        compare = [
            self._assembly.load_again(self._slots[test.name], self._unbound),
            self._assembly.constant(test.constant),
            self._comparison(test.symbol),
            *self._leave(ways),
        ]
        return [*self._typed(test.name, test.types, compare[0]), *compare]

    def _compared_pair(self, test: ComparedPair, ways: _Ways) -> list[Unit]:
        compare = [
            self._assembly.load_again(self._slots[test.left], self._unbound),
            self._assembly.load_again(self._slots[test.right], self._unbound),
            self._comparison(test.symbol),
            *self._leave(ways),
        ]
        second = self._typed(test.right, test.types, compare[0])
        return [*self._typed(test.left, test.types, second[0]), *second, *compare]

    def _comparison(self, symbol: str) -> Unit:
        if symbol in _MEMBERSHIP:
            return self._assembly.unit("CONTAINS_OP", _MEMBERSHIP[symbol])
        return self._assembly.unit("COMPARE_OP", COMPARISONS[symbol])

    def _typed(self, name: str, types: tuple[type, ...], then: Unit) -> list[Unit]:
        """Go on at `then`, which stands next, if the variable is exactly of one of these types."""
        units: list[Unit] = []
        for number, kind in enumerate(types):
            is_last = number == len(types) - 1
            units += self._type_of(name)
            units += [self._assembly.constant(kind), self._assembly.unit("IS_OP", 0)]
            units.append(
                self._assembly.jump(DIALECT.jump_if_false, self._guard)
                if is_last
                else self._assembly.jump(DIALECT.jump_if_true, then)
            )
        return units

    def _type_of(self, name: str) -> list[Unit]:
        slot = self._slots[name]
        head = [
            self._assembly.constant(type) if part == "callable" else self._assembly.unit(part)
            for part in DIALECT.call_head
        ]
        return [*head, self._load(slot), *(self._assembly.unit(n, 1) for n in DIALECT.call_tail)]

    def _flag(self, name: str, ways: _Ways) -> list[Unit]:
        """Tell True from False and None; anything else is for the guard."""
        jump, assembly = DIALECT.jump_if_true, self._assembly
        last = [*self._is(name, None), assembly.jump(DIALECT.jump_if_false, self._guard)]
        return [
            *(*self._is(name, constant=True), assembly.jump(jump, ways.yes)),
            *(*self._is(name, constant=False), assembly.jump(jump, ways.no)),
            *last,
            *self._go(ways.no, ways),
        ]

    def _is(self, name: str, constant: Constant) -> list[Unit]:
        load = self._load(self._slots[name])
        return [load, self._assembly.constant(constant), self._assembly.unit("IS_OP", 0)]

    def _load(self, slot: Slot) -> Unit:
        return self._assembly.load(slot, self._unbound)

    def _leave(self, ways: _Ways) -> list[Unit]:
        """Go by the bool on the stack."""
        if ways.next is ways.no:
            return [self._assembly.jump(DIALECT.jump_if_true, ways.yes)]
        leave = self._assembly.jump(DIALECT.jump_if_false, ways.no)
        return [leave, *self._go(ways.yes, ways)]

    def _go(self, to: Unit, ways: _Ways) -> list[Unit]:
        return [] if ways.next is to else [self._assembly.jump("JUMP_FORWARD", to)]
