"""Making units for the inserted block: constants, calls, loads that may find nothing, and stubs.

`bytecode` makes the instructions, so that names, arguments and caches are right for every Python;
`units` lays them out. All of a block but its first and last unit is covered by a private handler
that turns a RecursionError, met because the stack is full, into going on at X, the unit that the
block stands in front of; any other exception goes on as if X itself had raised it. A variable that
may have no value is loaded by a unit that raises NameError then, which has a stub of its own. The
stubs carry no line: a debugger may not choose them as the target of a jump (SIGSEGV on 3.11). The
price: a tracer that is active while such a variable is met sees an `exception` event and the line a
second time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import TypeAlias, TypeVar

from bytecode import ConcreteInstr

from probe_agent.carrier import CARRIED, Carrier, carry_callable
from probe_agent.plain import UNBOUND
from probe_agent.rewrite.opcodes import DIALECT
from probe_agent.rewrite.tables import Location
from probe_agent.rewrite.units import Row, Unit
from probe_agent.rewrite.variables import Slot, Slots, first_value

_Value = TypeVar("_Value")
_Load: TypeAlias = Callable[[_Value, int], list[Unit]]


class Constants:
    """The constants of a code object, to which more are appended; one object is appended once.

    `names`: those of its attributes and globals, likewise.
    """

    def __init__(self, code: CodeType) -> None:
        self.values: list[object] = list(code.co_consts)
        self.names: list[str] = list(code.co_names)
        self._carriers: dict[int, Carrier] = {}
        self._numbers: dict[int, int] = {}

    def number(self, value: object) -> int:
        """Give the index under which `value` can be loaded."""
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self.values)
            self.values.append(value)
        return self._numbers[id(value)]

    def carry(self, callee: object) -> Carrier:
        """Give the carrier of what is called."""
        if id(callee) not in self._carriers:
            self._carriers[id(callee)] = carry_callable(callee)
        return self._carriers[id(callee)]

    def number_of_name(self, name: str) -> int:
        """Give the index of an attribute's name."""
        if name not in self.names:
            self.names.append(name)
        return self.names.index(name)


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


class Assembly:
    """Makes the units of one block.

    `stubs`: belong behind all other code. `depth`: height of the stack below the block.
    """

    def __init__(self, place: Place, slots: Slots, constants: Constants) -> None:
        self._place = place
        self._slots = slots
        self._constants = constants
        self.depth = place.depth
        self.stubs: list[Unit] = []
        self._returns: list[tuple[Unit, Unit]] = []  # a load that failed; the jump back behind it
        self._row = self.row(RecursionError, place.before)

    def finish(self, units: list[Unit]) -> list[Unit]:
        """Give the block's first and last unit the row of X.

        The first is where a tracer's line event is raised; the last would be blamed for what X
        calls (`Dialect.blames_unit_before_call`). Neither can meet a full stack, nor raise.
        """
        if units[0].row is not self._row:
            units.insert(0, self.unit("NOP"))
        units[0].row = units[-1].row = self._place.before.row
        following = dict(itertools.pairwise(units))
        for load, leave in self._returns:
            leave.target = following[load]
        return units

    def unit(self, name: str, arg: int | None = None, target: Unit | None = None) -> Unit:
        """Make a unit of the block; a jump's distance is set by its target later."""
        made = make_unit(name, arg, location=self._place.location, row=self._row)
        made.target = target
        return made

    def jump(self, name: str, target: Unit) -> Unit:
        """Make a jump forward."""
        return self.unit(name, 0, target)

    def constant(self, value: object) -> Unit:
        """Push a constant."""
        return self.unit("LOAD_CONST", self._constants.number(value))

    def carried(self, carrier: Carrier) -> list[Unit]:
        """Push what a carrier carries."""
        number = self._constants.number_of_name(CARRIED)
        read = self.unit("LOAD_ATTR", number << DIALECT.attribute_shift)
        return [self.constant(carrier), read]

    def call(self, callee: object, names: Sequence[str]) -> list[Unit]:
        """Call a constant with the values of variables; UNBOUND where one has none."""
        slots = [self._slots.by_name[name] for name in names]
        return self.call_with(callee, slots, self.depth, self._value)

    def call_with(
        self, callee: object, values: Iterable[_Value], depth: int, load: _Load[_Value]
    ) -> list[Unit]:
        """Call an object, with each value as `load` loads it, at this height of the stack."""
        units: list[Unit] = []
        for part in DIALECT.call_head:
            is_callee = part == "callable"
            units += self.carried(self._constants.carry(callee)) if is_callee else [self.unit(part)]
        first = depth + len(DIALECT.call_head)
        loads = [load(value, first + count) for count, value in enumerate(values)]
        units += itertools.chain.from_iterable(loads)
        if DIALECT.blames_unit_before_call and units[-1].row is not self._row:
            units.append(self.unit("NOP"))
        return units + [self.unit(name, len(loads)) for name in DIALECT.call_tail]

    def landing(self, names: Sequence[str], back: Unit) -> Unit:
        """Write a stub of these units that goes on at `back`. Returns: its first unit."""
        leave = self._stub("JUMP_BACKWARD_NO_INTERRUPT", 0)
        leave.target = back
        stub = [*map(self._stub, names), leave]
        self.stubs += stub
        return stub[0]

    def sure_slot(self, name: str) -> Slot | None:
        """Give the slot of a variable if it has one that never changes its nature, and that may
        hold a value here.
        """
        slots = self._slots.by_name[name]
        if len(slots) > 1 or slots[0].is_shifting:
            return None
        may_be_bound = slots[0].is_cell or self._place.may_be_bound >> slots[0].number & 1
        return slots[0] if may_be_bound else None

    def load(self, slot: Slot, row: Row) -> Unit:
        """Push a variable; `row` catches the NameError if it has no value."""
        unit = self.unit("LOAD_DEREF" if slot.is_cell else DIALECT.load_local, slot.number)
        unit.row = row
        return unit

    def load_again(self, slot: Slot, row: Row) -> Unit:
        """Push a variable that this block has loaded before."""
        if slot.is_cell:
            return self.load(slot, row)
        return self.unit(DIALECT.load_bound, slot.number)

    def row(self, caught: type[Exception], back: Unit) -> Row:
        """Catch one type of exception: cut the stack to the block's depth, and go on at `back`."""
        row, leave = self._catch(caught, self.depth, ())
        leave.target = back
        return row

    def _value(self, slots: tuple[Slot, ...], depth: int) -> list[Unit]:
        if len(slots) > 1 or slots[0].is_shifting:
            return self.call_with(first_value, slots, depth, self._content)
        return (
            self._load_or_unbound("LOAD_DEREF", slots[0], depth)
            if slots[0].is_cell
            else self._content(slots[0], depth)
        )

    def _content(self, slot: Slot, depth: int) -> list[Unit]:
        """Load what is in a slot, be it a cell."""
        if not slot.is_cell and not self._place.may_be_bound >> slot.number & 1:
            return [self.constant(UNBOUND)]
        return self._load_or_unbound(DIALECT.load_local, slot, depth)

    def _load_or_unbound(self, name: str, slot: Slot, depth: int) -> list[Unit]:
        """Load by a unit that raises NameError if there is nothing; a stub pushes UNBOUND then."""
        load = self.unit(name, slot.number)
        load.row, leave = self._catch(NameError, depth, (UNBOUND,))
        self._returns.append((load, leave))
        return [load]

    def _catch(
        self, caught: type[Exception], depth: int, pushed: Sequence[object]
    ) -> tuple[Row, Unit]:
        """Write a stub that catches one type of exception, cuts the stack to `depth`, and pushes.

        Returns: the row that leads to it, and its last jump, which has no target yet.
        """
        again = self._stub("RERAISE", 1)
        skip = self._stub(DIALECT.jump_if_false, 0)
        skip.target = again
        leave = self._stub("JUMP_BACKWARD_NO_INTERRUPT", 0)
        first = self._stub_constant(caught)
        self.stubs += [first, self._stub("CHECK_EXC_MATCH"), skip]
        self.stubs += [self._stub("POP_TOP"), self._stub("POP_TOP")]
        self.stubs += [*map(self._stub_constant, pushed), leave, again]
        return Row(first, depth, pushes_lasti=True), leave

    def _stub(self, name: str, arg: int | None = None) -> Unit:
        return make_unit(name, arg, location=None, row=self._place.before.row)

    def _stub_constant(self, value: object) -> Unit:
        return self._stub("LOAD_CONST", self._constants.number(value))
