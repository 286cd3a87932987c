"""The two tables beside the code: where each unit comes from (line table), and who catches what
(exception table).

Read and written as CPython does it (Objects/locations.md, Objects/exception_handling_notes.txt).
Sizes, starts and targets are in code units of two bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

# (line, end line, column, end column), columns in bytes from 0; -1: not known. None: no line at
# all.
Location: TypeAlias = tuple[int, int, int, int] | None
# (start, size, target, stack depth, whether the failing unit's number is pushed)
Region: TypeAlias = tuple[int, int, int, int, bool]

_LONGEST_ENTRY: Final = 8
_NO_LOCATION: Final = 15
_LONG: Final = 14
_NO_COLUMNS: Final = 13
_ONE_LINE: Final = 10


def read_locations(table: bytes, first_line: int) -> Iterator[tuple[int, Location]]:
    """Yield (size, location) for each entry of a line table.

    Raises: IndexError: the table ends inside an entry.
    """
    line, at = first_line, 0
    while at < len(table):
        head = table[at]
        form, size, at = head >> 3 & 15, (head & 7) + 1, at + 1
        if form == _NO_LOCATION:
            yield size, None
            continue
        location, line, at = _read_location(table, at, form, line)
        yield size, location


def _read_location(table: bytes, at: int, form: int, line: int) -> tuple[Location, int, int]:
    if form >= _NO_COLUMNS:
        delta, at = _read_signed(table, at)
        line += delta
        if form == _NO_COLUMNS:
            return (line, line, -1, -1), line, at
        down, at = _read_unsigned(table, at)
        column, at = _read_unsigned(table, at)
        end_column, at = _read_unsigned(table, at)
        return (line, line + down, column - 1, end_column - 1), line, at
    if form >= _ONE_LINE:
        line += form - _ONE_LINE
        return (line, line, table[at], table[at + 1]), line, at + 2
    column = form << 3 | table[at] >> 4
    return (line, line, column, column + (table[at] & 15)), line, at + 1


def write_locations(
    entries: Iterable[tuple[int, Location]], first_line: int, *, merge: bool
) -> bytes:
    """Encode (size, location) pairs; `merge`: neighbours at one location become one entry."""
    table, line = bytearray(), first_line
    for size, location in _merged(entries) if merge else entries:
        left = size
        while left > 0:
            _write_entry(table, min(left, _LONGEST_ENTRY), location, line)
            left -= _LONGEST_ENTRY
            line = line if location is None else location[0]
    return bytes(table)


def _merged(entries: Iterable[tuple[int, Location]]) -> Iterator[tuple[int, Location]]:
    total, current = 0, None
    for size, location in entries:
        if total and location != current:
            yield total, current
            total = 0
        total, current = total + size, location
    yield total, current


def _write_entry(table: bytearray, size: int, location: Location, line: int) -> None:
    if location is None:
        table.append(0x80 | _NO_LOCATION << 3 | size - 1)
        return
    start, end, column, end_column = location
    delta = start - line
    has_columns = column >= 0 and end_column >= 0
    if not has_columns and end in (start, -1):
        form, rest = _NO_COLUMNS, _signed(delta)
    elif has_columns and end == start and _is_short(delta, column, end_column):
        form, rest = column >> 3, bytes([(column & 7) << 4 | end_column - column])
    elif has_columns and end == start and 0 <= delta < 3 and column < 128 and end_column < 128:
        form, rest = _ONE_LINE + delta, bytes([column, end_column])
    else:
        form = _LONG
        rest = b"".join(
            (
                _signed(delta),
                _unsigned(end - start),
                _unsigned(column + 1),
                _unsigned(end_column + 1),
            )
        )
    table.append(0x80 | form << 3 | size - 1)
    table += rest


def _is_short(delta: int, column: int, end_column: int) -> bool:
    return delta == 0 and column < 80 and 0 <= end_column - column < 16


def _read_unsigned(table: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte, at = table[at], at + 1
        value |= (byte & 63) << shift
        shift += 6
        if not byte & 64:
            return value, at


def _read_signed(table: bytes, at: int) -> tuple[int, int]:
    value, at = _read_unsigned(table, at)
    return (-(value >> 1) if value & 1 else value >> 1), at


def _unsigned(value: int) -> bytes:
    out = bytearray()
    while value >= 64:
        out.append(64 | value & 63)
        value >>= 6
    out.append(value)
    return bytes(out)


def _signed(value: int) -> bytes:
    return _unsigned(-value << 1 | 1 if value < 0 else value << 1)


def read_regions(table: bytes) -> list[Region]:
    """Decode an exception table.

    Raises: IndexError: the table ends inside an entry.
    """
    regions, at = [], 0
    while at < len(table):
        start, at = _read_big(table, at)
        size, at = _read_big(table, at)
        target, at = _read_big(table, at)
        depth, at = _read_big(table, at)
        regions.append((start, size, target, depth >> 1, bool(depth & 1)))
    return regions


def write_regions(regions: Iterable[Region]) -> bytes:
    """Encode regions, which must be sorted by start and not overlap."""
    table = bytearray()
    for start, size, target, depth, pushes_lasti in regions:
        entry = len(table)
        for value in (start, size, target, depth << 1 | pushes_lasti):
            table += _big(value)
        table[entry] |= 0x80
    return bytes(table)


def _read_big(table: bytes, at: int) -> tuple[int, int]:
    byte, at = table[at], at + 1
    value = byte & 63
    while byte & 64:
        byte, at = table[at], at + 1
        value = value << 6 | byte & 63
    return value, at


def _big(value: int) -> bytes:
    out = [value & 63]
    while value := value >> 6:
        out.append(64 | value & 63)
    return bytes(reversed(out))
