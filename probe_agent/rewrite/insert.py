"""Put insertions into a code object, and prove on the result that nothing else changed.

`instrument` is a pure function, for any thread. The variables, flags and first line of the
code object stay; constants are appended, and the name of an attribute; the stack may grow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import CodeType
from typing import TypeAlias

from probe_agent.errors import Unsupported
from probe_agent.rewrite.assembly import Constants, Place, make_unit
from probe_agent.rewrite.block import Block
from probe_agent.rewrite.flow import Flow, depths_of, flow_of, may_be_bound
from probe_agent.rewrite.insertion import Insertion
from probe_agent.rewrite.opcodes import FORWARD_TWIN, number
from probe_agent.rewrite.points import body_start, entries
from probe_agent.rewrite.units import Unit, decode, encode, verify_identity
from probe_agent.rewrite.variables import slots_of

_Group: TypeAlias = tuple[Insertion, ...]


@dataclass(slots=True)
class _Entered:
    """What runs in front of one unit: when it is come to from the unit before, and by each jump
    (unit numbers).
    """

    fallen: list[Insertion] = field(default_factory=list)
    jumped: dict[int, list[Insertion]] = field(default_factory=dict)


def instrument(code: CodeType, insertions: Sequence[Insertion]) -> CodeType:
    """Make a copy of `code` that runs the insertions, those at one place in the given order.

    Raises: LineNotExecutable: no code of `code` itself (nested functions are others) starts on a
    line. Unsupported: this code or interpreter is not what we know, or the result is not provably
    neutral.
    """
    units = verify_identity(code)
    flow = flow_of(units)
    splice = _Splice(code, flow)
    for at, entered in _plan(flow, insertions).items():
        splice.insert(at, entered)
    return splice.finish()


def _plan(flow: Flow, insertions: Sequence[Insertion]) -> dict[int, _Entered]:
    plan: dict[int, _Entered] = {}
    for insertion in insertions:
        for entry in entries(flow, insertion.line):
            entered = plan.setdefault(entry.at, _Entered())
            if entry.falls:
                entered.fallen.append(insertion)
            for jump in entry.jumps:
                entered.jumped.setdefault(jump, []).append(insertion)
    return plan


class _Splice:
    """One code object on its way to another: where blocks stand, and which jumps lead to them."""

    def __init__(self, code: CodeType, flow: Flow) -> None:
        self._code = code
        self._flow = flow
        self._constants = Constants(code)
        self._slots = slots_of(code, flow.units, body_start(flow.units))
        self._bound = may_be_bound(flow, self._slots.bound_at_entry)
        self._before: dict[Unit, list[Unit]] = {}
        self._tail: list[Unit] = []

    def insert(self, at: int, entered: _Entered) -> None:
        """Insert in front of unit `at`.

        One block stands in line. Jumps that enter with other insertions than it runs (the back edge
        of a `for` loop, whose first entry falls in from the same line) get a block out of line,
        which ends with the jump to the unit.
        """
        jumped = {jump: tuple(entered.jumped.get(jump, ())) for jump in self._flow.jumps_into[at]}
        in_line = tuple(entered.fallen)
        if not self._flow.falls_into[at]:
            in_line = max(jumped.values(), key=len)
        firsts: dict[_Group, Unit] = {}
        if in_line:
            firsts[in_line] = self._insert_in_line(at, in_line)
        for jump, group in jumped.items():
            if group and group not in firsts:
                firsts[group] = self._insert_out_of_line(at, group, self._flow.units[jump])
            if group:
                self._lead(self._flow.units[jump], firsts[group], is_forward=group != in_line)

    def _insert_in_line(self, at: int, group: _Group) -> Unit:
        unit = self._flow.units[at]
        location = None if unit.location is None else (unit.location[0], unit.location[0], -1, -1)
        place = Place(unit, unit, self._depth(at), self._bound[at], location)
        block = Block(group, place, self._slots, self._constants)
        self._before[unit] = block.units
        self._tail += block.stubs
        return block.units[0]

    def _insert_out_of_line(self, at: int, group: _Group, jump: Unit) -> Unit:
        """Stand behind all other code, without a line: with one, a tracer would see it twice."""
        unit = self._flow.units[at]
        is_quiet = jump.op == number("JUMP_BACKWARD_NO_INTERRUPT")
        name = "JUMP_BACKWARD_NO_INTERRUPT" if is_quiet else "JUMP_BACKWARD"
        back = make_unit(name, 0, location=None, row=unit.row)
        back.target = unit
        place = Place(unit, back, self._depth(at), self._bound[at], None)
        block = Block(group, place, self._slots, self._constants)
        self._tail += [*block.units, back, *block.stubs]
        return block.units[0]

    def _lead(self, jump: Unit, first: Unit, *, is_forward: bool) -> None:
        jump.target = first
        names = {number(name): twin for name, twin in FORWARD_TWIN.items()}
        if is_forward and jump.op in names:
            twin = make_unit(names[jump.op], 0, location=None, row=None)
            jump.op, jump.caches = twin.op, twin.caches

    def _depth(self, at: int) -> int:
        depth = self._flow.depths[at]
        assert depth is not None, "an entry is a unit that control reaches"
        return depth

    def finish(self) -> CodeType:
        """Write the new code object, and read it again as an interpreter would.

        Raises: Unsupported: a unit would run at another height of the stack than before, or the
        bytes say something else than the units they were made from.
        """
        units = [
            spliced for unit in self._flow.units for spliced in (*self._before.get(unit, ()), unit)
        ]
        units += self._tail
        depths = depths_of(units)
        self._require_same_heights(units, depths)
        encoded = encode(units, self._code.co_firstlineno)
        result = self._code.replace(
            co_code=encoded.code,
            co_linetable=encoded.lines,
            co_exceptiontable=encoded.exceptions,
            co_consts=tuple(self._constants.values),
            co_names=tuple(self._constants.names),
            co_stacksize=max(self._code.co_stacksize, *(depth or 0 for depth in depths)),
        )
        if _listing(decode(result)) != _listing(units):
            raise _unproved(self._code)
        return result

    def _require_same_heights(self, units: list[Unit], depths: list[int | None]) -> None:
        """Make sure that each original unit runs at the height of the stack at which it ran."""
        now = dict(zip(units, depths, strict=True))
        was = zip(self._flow.units, self._flow.depths, strict=True)
        if any(now[unit] != depth for unit, depth in was):
            raise _unproved(self._code)


def _listing(units: list[Unit]) -> list[tuple[object, ...]]:
    """Write units in a form that can be compared: pointers become numbers."""
    numbers: dict[Unit | None, int] = {unit: at for at, unit in enumerate(units)}
    rows = {
        unit.row: (numbers[unit.row.target], unit.row.depth, unit.row.pushes_lasti)
        for unit in units
        if unit.row is not None
    }
    return [
        (
            *(unit.op, unit.arg, unit.width, unit.caches, unit.location),
            numbers.get(unit.target),
            None if unit.row is None else rows[unit.row],
        )
        for unit in units
    ]


def _unproved(code: CodeType) -> Unsupported:
    return Unsupported(
        f"Cannot place a probe in {code.co_qualname}",
        "the rewritten code could not be proved to run as the original does",
        "Place the probe in a function that calls it",
    )
