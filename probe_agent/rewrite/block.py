"""The block that is inserted: for each probe a guard stage and a hit stage, and stubs out of line.

    [guard: callable, values, CALL; is True? else next]  [hit: callable, values, CALL; POP_TOP]  X

`bytecode` makes the instructions, so that names, arguments and caches are right for every Python;
`units` lays them out. Nothing of the block touches what lies on the stack below it. All of it but
its first and last unit is covered by a private handler that turns a RecursionError, met because the
stack is full, into going on at X; any other exception goes on as if X itself had raised it. A
variable that may have no value is loaded by a unit that raises NameError then, which has a stub of
its own. The stubs carry no line: a debugger may not choose them as the target of a jump (SIGSEGV on
3.11). The price: a tracer that is active while such a variable is met sees an `exception` event and
the line a second time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import TypeAlias, TypeVar

from bytecode import ConcreteInstr

from probe_agent.plain import UNBOUND
from probe_agent.rewrite.insertion import Insertion
from probe_agent.rewrite.opcodes import DIALECT
from probe_agent.rewrite.tables import Location
from probe_agent.rewrite.units import Row, Unit
from probe_agent.rewrite.variables import Slot, Slots, first_value

_Value = TypeVar("_Value")
_Load: TypeAlias = Callable[[_Value, int], list[Unit]]


class Constants:
    """The constants of a code object, to which more are appended; one object is appended once."""

    def __init__(self, code: CodeType) -> None:
        self.values: list[object] = list(code.co_consts)
        self._numbers: dict[int, int] = {}

    def number(self, value: object) -> int:
        """Give the index under which `value` can be loaded."""
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self.values)
            self.values.append(value)
        return self._numbers[id(value)]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a block goes.

    `before`: X. `end`: where the block's own jumps leave it forwards: X, or the jump to X that ends
    a block out of line. `depth`: height of the stack there. `may_be_bound`: bits of the locals that
    may have a value.
    """

    before: Unit
    end: Unit
    depth: int
    may_be_bound: int
    location: Location


def make_unit(name: str, arg: int | None = None, *, location: Location, row: Row | None) -> Unit:
    """Make one unit of this interpreter."""
    instruction = ConcreteInstr(name) if arg is None else ConcreteInstr(name, arg)
    caches = instruction.use_cache_opcodes()
    return Unit(instruction.opcode, arg or 0, 1, caches, location, None, row)


class Block:
    """Insertions in front of one unit, assembled.

    `units`: run in placing order, then go on to what stands next. `stubs`: belong behind all other
    code.
    """

    def __init__(
        self, insertions: Sequence[Insertion], place: Place, slots: Slots, constants: Constants
    ) -> None:
        self._place = place
        self._slots = slots
        self._constants = constants
        self._returns: list[
            tuple[Unit, Unit]
        ] = []  # (the load that failed, the jump back behind it)
        self.stubs: list[Unit] = []
        self._row = self._add_row(RecursionError, (), place.depth, place.before)
        self.units = self._stages(insertions)
        # The first unit is where a tracer's line event is raised; the last one would be blamed for
        # what X calls (`Dialect.blames_unit_before_call`). Neither can meet a full stack.
        self.units[0].row = self.units[-1].row = place.before.row
        following = dict(zip(self.units, self.units[1:], strict=False))
        for load, back in self._returns:
            back.target = following[load]

    def _stages(self, insertions: Sequence[Insertion]) -> list[Unit]:
        """Assemble from the last to the first, so that each guard knows where to go on."""
        units: list[Unit] = []
        for insertion in reversed(insertions):
            following = units[0] if units else self._place.end
            guard = self._guard(insertion, following)
            hit = self._call(insertion.hit, insertion.hit_names)
            units = [*guard, *hit, self._unit("POP_TOP"), *units]
        return units

    def _guard(self, insertion: Insertion, following: Unit) -> list[Unit]:
        if insertion.guard is None:
            return []
        leave = self._unit(DIALECT.jump_if_false, 0)
        leave.target = following
        call = self._call(insertion.guard, insertion.guard_names)
        return [*call, self._constant(value=True), self._unit("IS_OP", 0), leave]

    def _call(self, callee: object, names: Sequence[str]) -> list[Unit]:
        values = [self._slots.by_name[name] for name in names]
        return self._call_with(callee, values, self._place.depth, self._value)

    def _call_with(
        self, callee: object, values: Iterable[_Value], depth: int, load: _Load[_Value]
    ) -> list[Unit]:
        """Call a constant, with each value as `load` loads it, at this height of the stack."""
        units = [
            self._constant(callee) if name == "callable" else self._unit(name)
            for name in DIALECT.call_head
        ]
        first = depth + len(units)
        loads = [load(value, first + count) for count, value in enumerate(values)]
        units += itertools.chain.from_iterable(loads)
        if DIALECT.blames_unit_before_call and units[-1].row is not self._row:
            units.append(self._unit("NOP"))
        return units + [self._unit(name, len(loads)) for name in DIALECT.call_tail]

    def _value(self, slots: tuple[Slot, ...], depth: int) -> list[Unit]:
        if len(slots) > 1 or slots[0].is_shifting:
            return self._call_with(first_value, slots, depth, self._content)
        return (
            self._load("LOAD_DEREF", slots[0], depth)
            if slots[0].is_cell
            else self._content(slots[0], depth)
        )

    def _content(self, slot: Slot, depth: int) -> list[Unit]:
        """Load what is in a slot, be it a cell."""
        if not slot.is_cell and not self._place.may_be_bound >> slot.number & 1:
            return [self._constant(UNBOUND)]
        return self._load(DIALECT.load_local, slot, depth)

    def _load(self, name: str, slot: Slot, depth: int) -> list[Unit]:
        """Load by a unit that raises NameError if there is nothing; a stub pushes UNBOUND then."""
        load = self._unit(name, slot.number)
        load.row = self._add_row(NameError, (UNBOUND,), depth, load)
        return [load]

    def _add_row(
        self, caught: type[Exception], pushed: tuple[object, ...], depth: int, origin: Unit
    ) -> Row:
        """Catch one type of exception: cut the stack to `depth`, push, and go on.

        Where: behind `origin` if it is a load, which failed; at it if it is X.
        """
        again = self._stub("RERAISE", 1)
        skip = self._stub(DIALECT.jump_if_false, 0)
        skip.target = again
        back = self._stub("JUMP_BACKWARD_NO_INTERRUPT", 0)
        if origin is self._place.before:
            back.target = origin
        else:
            self._returns.append((origin, back))
        first = self._stub_constant(caught)
        self.stubs += [first, self._stub("CHECK_EXC_MATCH"), skip]
        self.stubs += [self._stub("POP_TOP"), self._stub("POP_TOP")]
        self.stubs += [*map(self._stub_constant, pushed), back, again]
        return Row(first, depth, pushes_lasti=True)

    def _unit(self, name: str, arg: int | None = None) -> Unit:
        return make_unit(name, arg, location=self._place.location, row=self._row)

    def _constant(self, value: object) -> Unit:
        return self._unit("LOAD_CONST", self._constants.number(value))

    def _stub(self, name: str, arg: int | None = None) -> Unit:
        return make_unit(name, arg, location=None, row=self._place.before.row)

    def _stub_constant(self, value: object) -> Unit:
        return self._stub("LOAD_CONST", self._constants.number(value))
