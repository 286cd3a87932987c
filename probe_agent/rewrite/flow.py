"""Where control can go from each unit, and what is certain at each unit because of it.

Stack depth is what the inserted block's private handler needs, and what proves that an insertion
left everything else alone.
"""

from __future__ import annotations

import dis
from dataclasses import dataclass, field

from probe_agent.errors import Unsupported
from probe_agent.rewrite.opcodes import (
    BINDS_IN_NIBBLES,
    BINDS_ONE,
    JUMPS,
    NEVER_FALLS,
    RETURN_GENERATOR,
    TAKES_ARGUMENT,
)
from probe_agent.rewrite.units import Row, Unit


@dataclass(slots=True)
class Flow:
    """The edges between units, by number in the list.

    `depths`: height of the stack before each unit; None: no way leads there. `falls_into`: whether
    control can come from the unit before. `jumps_into`: the jumps that lead there. `thrown_into`:
    the units whose exceptions lead there.
    """

    units: list[Unit]
    depths: list[int | None]
    falls_into: list[bool]
    jumps_into: list[list[int]]
    thrown_into: list[list[int]]
    numbers: dict[Unit, int] = field(default_factory=dict)

    def predecessors(self, at: int) -> list[int]:
        """List the units from which control can come to unit `at`, by whatever way."""
        fallen = [at - 1] if self.falls_into[at] else []
        return fallen + self.jumps_into[at] + self.thrown_into[at]


def flow_of(units: list[Unit]) -> Flow:
    """Find all edges between the units.

    Raises: Unsupported: as `depths_of`.
    """
    count = len(units)
    flow = Flow(
        units,
        depths_of(units),
        [False] * count,
        [[] for _ in units],
        [[] for _ in units],
        {unit: at for at, unit in enumerate(units)},
    )
    for at, unit in enumerate(units):
        if flow.depths[at] is not None:
            _add_edges(flow, at, unit)
    return flow


def _add_edges(flow: Flow, at: int, unit: Unit) -> None:
    if unit.op not in NEVER_FALLS:
        flow.falls_into[at + 1] = True
    if unit.target is not None and unit.op in JUMPS:
        flow.jumps_into[flow.numbers[unit.target]].append(at)
    if unit.row is not None:
        flow.thrown_into[flow.numbers[unit.row.target]].append(at)


def depths_of(units: list[Unit]) -> list[int | None]:
    """Find the height of the stack before each unit; None: no way leads there.

    Raises: Unsupported: two ways to one unit leave different heights.
    """
    numbers = {unit: at for at, unit in enumerate(units)}
    depths: list[int | None] = [None] * len(units)
    rows: set[Row] = set()
    waiting = [(0, 0)]
    while waiting:
        at, depth = waiting.pop()
        while (known := depths[at]) is None:
            depths[at] = depth
            unit = units[at]
            if unit.row is not None and depth < unit.row.depth:
                raise _contradiction()
            if unit.row is not None and unit.row not in rows:
                rows.add(unit.row)
                waiting.append((numbers[unit.row.target], unit.row.entry_depth))
            if unit.target is not None and unit.op in JUMPS:
                waiting.append((numbers[unit.target], depth + _effect(unit, jump=True)))
            depth += _effect(unit, jump=False)
            if unit.op in NEVER_FALLS:
                break
            at += 1
            if depth < 0 or at == len(units):
                raise _contradiction()
        else:
            if known != depth:
                raise _contradiction()
    return depths


def _effect(unit: Unit, *, jump: bool) -> int:
    if unit.op == RETURN_GENERATOR:
        return 1  # what the first send() brings; 3.11 and 3.12 say 0
    return dis.stack_effect(unit.op, unit.arg if unit.op in TAKES_ARGUMENT else None, jump=jump)


def _contradiction() -> Unsupported:
    return Unsupported(
        "Cannot rewrite this code",
        "the height of its value stack is not certain",
        "Place the probe in a function that calls it",
    )


def may_be_bound(flow: Flow, bound_at_entry: int) -> list[int]:
    """Tell which local slots may hold a value before each unit, as bits; a slot that is not there
    never does.

    Args: bound_at_entry: bits of the arguments.
    """
    states = [0] * len(flow.units)
    states[0] = bound_at_entry
    reached_by = [flow.predecessors(at) for at in range(len(flow.units))]
    binds = [_binds(unit) for unit in flow.units]
    changed = True
    while changed:
        changed = False
        for at, sources in enumerate(reached_by):
            state = states[at]
            for source in sources:
                state |= states[source] | binds[source]
            if state != states[at]:
                states[at], changed = state, True
    return states


def _binds(unit: Unit) -> int:
    if unit.op in BINDS_ONE:
        return 1 << unit.arg
    if unit.op in BINDS_IN_NIBBLES:
        return 1 << (unit.arg & 15) | 1 << (unit.arg >> 4)
    return 0
