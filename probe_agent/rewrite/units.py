"""Code as a list of units: decoding, layout and encoding, byte for byte.

A unit is one instruction with its EXTENDED_ARG prefixes and its caches. Units point at each other
(jump targets, the handler that covers them), so that something can be inserted anywhere and the
numbers are only made when it is written down again. Every original unit keeps its width, its caches
and its location; only distances change.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from types import CodeType

from probe_agent.errors import Unsupported
from probe_agent.rewrite.opcodes import (
    BACKWARD,
    CACHE,
    DIALECT,
    EXTENDED_ARG,
    WITH_TARGET,
    require_supported,
)
from probe_agent.rewrite.tables import (
    Location,
    Region,
    read_locations,
    read_regions,
    write_locations,
    write_regions,
)


@dataclass(slots=True, eq=False)
class Row:
    """One row of the exception table: what catches an exception in the units that hold it.

    `depth`: height to which the stack is cut; `pushes_lasti`: the failing unit's number is pushed
    before the exception. Two rows are the same only by identity: neighbours that look alike stay
    apart, as the compiler left them.
    """

    target: Unit
    depth: int
    pushes_lasti: bool

    @property
    def entry_depth(self) -> int:
        """Height of the stack at the target's first unit, the exception included."""
        return self.depth + self.pushes_lasti + 1


@dataclass(slots=True, eq=False)
class Unit:
    """One instruction. `width`: code units without the caches, at least 1; never shrinks."""

    op: int
    arg: int
    width: int
    caches: int
    location: Location
    target: Unit | None = None
    row: Row | None = None

    @property
    def line(self) -> int | None:
        """Line of the source, 1-based, or None."""
        return None if self.location is None else self.location[0]


@dataclass(frozen=True, slots=True)
class Encoded:
    """The three parts of a code object that a list of units makes."""

    code: bytes
    lines: bytes
    exceptions: bytes


def width_of(arg: int) -> int:
    """Count the code units that an argument needs: one for each byte."""
    return max(1, (arg.bit_length() + 7) // 8)


def decode(code: CodeType) -> list[Unit]:
    """Take a code object apart.

    Raises: Unsupported: it is not laid out as CPython lays it out.
    """
    try:
        starts = _decode_units(code)
        _set_targets(starts, len(code.co_code) // 2)
        _set_rows(starts, read_regions(code.co_exceptiontable), len(code.co_code) // 2)
    except (IndexError, KeyError) as error:
        raise _unreadable(code) from error
    return list(starts.values())


def _unreadable(code: CodeType) -> Unsupported:
    return Unsupported(
        f"Cannot read the bytecode of {code.co_qualname}",
        "it is not laid out as CPython's compiler lays it out; another tool may have rewritten it",
        "Place the probe in a function that calls it",
    )


def _decode_units(code: CodeType) -> dict[int, Unit]:
    """Map the number of each unit's first code unit to it, in order."""
    raw = code.co_code
    locations = [
        location
        for size, location in read_locations(code.co_linetable, code.co_firstlineno)
        for _ in range(size)
    ]
    if len(locations) != len(raw) // 2:
        raise _unreadable(code)
    units: dict[int, Unit] = {}
    at, end = 0, len(raw)
    while at < end:
        start, arg = at, raw[at + 1]
        while raw[at] == EXTENDED_ARG:
            at += 2
            arg = arg << 8 | raw[at + 1]
        op, last = raw[at], at
        at += 2
        while at < end and raw[at] == CACHE:
            at += 2
        width, caches = (last - start) // 2 + 1, (at - last) // 2 - 1
        units[start // 2] = Unit(op, arg, width, caches, locations[start // 2])
    return units


def _set_targets(starts: dict[int, Unit], end: int) -> None:
    for start, unit in starts.items():
        if unit.op in WITH_TARGET:
            after = start + unit.width + unit.caches
            unit.target = starts[after - unit.arg if unit.op in BACKWARD else after + unit.arg]
            if not 0 <= after <= end:
                raise IndexError


def _set_rows(starts: dict[int, Unit], regions: list[Region], end: int) -> None:
    for start, size, target, depth, pushes_lasti in regions:
        row = Row(starts[target], depth, pushes_lasti)
        if start not in starts or not (start + size in starts or start + size == end):
            raise KeyError(start)
        for at in range(start, start + size):
            if at in starts:
                starts[at].row = row


def encode(units: list[Unit], first_line: int) -> Encoded:
    """Write units down; sets the distances of jumps and widens units that need it.

    Raises: Unsupported: a jump would have to go the other way.
    """
    starts = _lay_out(units)
    code = bytearray()
    for unit in units:
        for byte in range(unit.width - 1, 0, -1):
            code += bytes((EXTENDED_ARG, unit.arg >> 8 * byte & 255))
        code += bytes((unit.op, unit.arg & 255))
        code += bytes(2 * unit.caches)
    sizes = ((unit.width + unit.caches, unit.location) for unit in units)
    return Encoded(
        bytes(code),
        write_locations(sizes, first_line, merge=DIALECT.merges_locations),
        write_regions(_regions(units, starts)),
    )


def _lay_out(units: list[Unit]) -> dict[Unit, int]:
    """Give every unit its place. Widths only grow, so this ends."""
    for unit in units:
        unit.width = max(unit.width, width_of(unit.arg)) if unit.target is None else unit.width
    while True:
        starts, at = {}, 0
        for unit in units:
            starts[unit] = at
            at += unit.width + unit.caches
        if not _set_distances(units, starts):
            return starts


def _set_distances(units: list[Unit], starts: dict[Unit, int]) -> bool:
    """Set the argument of every jump; True if one became too wide for its place."""
    grown = False
    for unit in units:
        if unit.target is None:
            continue
        distance = starts[unit.target] - (starts[unit] + unit.width + unit.caches)
        unit.arg = -distance if unit.op in BACKWARD else distance
        if unit.arg < 0:
            raise Unsupported(
                "Cannot rewrite this code",
                "a jump would have to change its direction",
                "Place the probe on another line",
            )
        if width_of(unit.arg) > unit.width:
            unit.width, grown = width_of(unit.arg), True
    return grown


def _regions(units: list[Unit], starts: dict[Unit, int]) -> list[Region]:
    regions: list[Region] = []
    for _, group in groupby(units, key=lambda unit: id(unit.row)):
        covered = list(group)
        row = covered[0].row
        if row is not None:
            start, last = starts[covered[0]], covered[-1]
            size = starts[last] + last.width + last.caches - start
            regions.append((start, size, starts[row.target], row.depth, row.pushes_lasti))
    return regions


def verify_identity(code: CodeType) -> list[Unit]:
    """Take a code object apart, and make sure that putting it together gives the same bytes.

    This is what makes an interpreter that we have never seen safe: if its layout is not what we
    believe, nothing is done.
    Returns: its units. Raises: Unsupported: not byte for byte the same, or not an interpreter that
    we know.
    """
    require_supported()
    units = decode(code)
    again = encode(units, code.co_firstlineno)
    if again != Encoded(code.co_code, code.co_linetable, code.co_exceptiontable):
        raise _unreadable(code)
    return units
