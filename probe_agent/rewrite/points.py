"""Where control enters a line: the places in front of which an insertion for that line stands.

A line is entered each time control comes to one of its units from a unit of another line. That
counts what a tracer counts: the copies of a `finally` body, the test of a `while` at the top and at
the bottom, a `for` line once for each iteration, a `with` line on leaving too. Two differences are
meant. A statement over several lines is entered once, on whichever of them (a tracer sees its first
line again for the call, and a decorator's line for calling it); but what `and`, `or` and `if` may
pass over, and what a comprehension does in each round, counts by itself where it has lines of its
own. And a loop that stands on one line together with its body, such as an inlined comprehension, is
entered once and not for each of its rounds.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from probe_agent.errors import LineNotExecutable
from probe_agent.rewrite.flow import Flow
from probe_agent.rewrite.opcodes import (
    BUILDS,
    CALL,
    CHECK_EG_MATCH,
    EXPRESSIONS,
    FILLS,
    FOR_ITER,
    GET_ANEXT,
    GOES_ON,
    INSEPARABLE,
    LOAD_CONST,
    LOAD_FAST_AND_CLEAR,
    NEVER_BEFORE,
    REDIRECTABLE,
    RESUME,
    STEPPED_OVER,
)
from probe_agent.rewrite.units import Unit

# At most so far from GET_ANEXT to what stores the item: LOAD_CONST, SEND, YIELD_VALUE, RESUME, a
# jump, CLEANUP_THROW, END_SEND.
_STEPS_TO_ANEXT: Final = 8


@dataclass(frozen=True, slots=True)
class Entry:
    """One unit at which a line is entered: from the unit before (`falls`), and by these jumps (unit
    numbers).
    """

    at: int
    falls: bool
    jumps: tuple[int, ...]


def body_start(units: list[Unit]) -> int:
    """Number the first unit after the prologue, which makes cells and the generator and ends with
    RESUME.
    """
    return next((at + 1 for at, unit in enumerate(units) if unit.op == RESUME), len(units))


def entries(flow: Flow, line: int) -> list[Entry]:
    """Find where `line` is entered.

    Raises: LineNotExecutable: nowhere; names the nearest lines that are.
    """
    found = _entries(flow, line)
    if not found:
        raise _not_executable(flow, line)
    return found


def entered(flow: Flow, lines: Iterable[int]) -> Iterator[int]:
    """Yield those of some lines that are entered somewhere."""
    return (line for line in lines if _entries(flow, line))


def _entries(flow: Flow, line: int) -> list[Entry]:
    first, last = _extent(flow.units, line)
    inside = _inside(flow, first, last)
    found = [entry for at in range(len(inside)) if inside[at] for entry in _entry(flow, inside, at)]
    return _without_resumed(flow, found)


def _not_executable(flow: Flow, line: int) -> LineNotExecutable:
    lines = sorted({unit.line for unit in flow.units if unit.line is not None})
    # A line of units is not enough: 3.11 leaves lines of dead code on clean-up units.
    below = entered(flow, (n for n in reversed(lines) if n < line))
    above = entered(flow, (n for n in lines if n > line))
    nearest = [*itertools.islice(below, 1), *itertools.islice(above, 1)]
    return LineNotExecutable(
        f"Cannot place a probe at line {line}",
        "no code of this function starts there",
        f"The nearest lines that run are {' and '.join(map(str, nearest))}"
        if nearest
        else "Choose another function",
    )


def _without_resumed(flow: Flow, found: list[Entry]) -> list[Entry]:
    """Leave out entries that can only go on with a statement that another entry has begun.

    As `z = (a` for storing what the lines below it made of `a`; not `z = (` alone.
    """
    begun = {entry.at for entry in found if not _goes_on(flow.units, entry.at)}
    if len(begun) == len(found):
        return found
    past = [at == 0 for at in range(len(flow.units))]  # can be reached without passing one of those
    changed = True
    while changed:
        changed = False
        for at, is_past in enumerate(past):
            if not is_past and any(past[p] for p in flow.predecessors(at) if p not in begun):
                past[at] = changed = True
    return [entry for entry in found if entry.at in begun or past[entry.at]]


def _goes_on(units: list[Unit], at: int) -> bool:
    """True if a unit uses what was made before it, and that is not a loop's next item."""
    brings_item = units[at - 1].op == FOR_ITER or any(
        unit.op == GET_ANEXT for unit in units[max(0, at - _STEPS_TO_ANEXT) : at]
    )
    return units[at].op in GOES_ON and not brings_item


def _extent(units: list[Unit], line: int) -> tuple[int, int]:
    """Find first and last line of the statement around `line`, as far as its expressions tell."""
    first = last = line
    spans = _expression_spans(units, line)
    grown = True
    while grown:
        grown = False
        for start, end in spans:
            if start <= last and end >= first and (start < first or end > last):
                first, last, grown = min(first, start), max(last, end), True
    return first, last


def _expression_spans(units: list[Unit], line: int) -> set[tuple[int, int]]:
    """Find the lines of each expression that has several, without those that hold an inlined
    comprehension in whose rounds `line` is.
    """
    clauses = {unit.location for unit in units if unit.op == CHECK_EG_MATCH}
    spans, rounds = set(), []
    for at, unit in enumerate(units):
        if unit.location is None or unit.op not in EXPRESSIONS:
            continue
        start, end, _, _ = unit.location
        if start == end or unit.location in clauses or _is_step_of_loop(unit):
            continue
        if unit.op == LOAD_FAST_AND_CLEAR and start < line <= end:
            rounds.append((start, end))
        elif not _is_exit_of_with(units, at):
            spans.add((start, end))
    return {
        span
        for span in spans
        if not any(span[0] <= start and end <= span[1] for start, end in rounds)
    }


def _is_step_of_loop(unit: Unit) -> bool:
    """True for what a comprehension does before its loop and in each round: its location is that of
    the whole, but control comes there again and again.
    """
    return (unit.op in FILLS and unit.arg > 1) or (unit.op in BUILDS and unit.arg == 0)


def _is_exit_of_with(units: list[Unit], at: int) -> bool:
    """True for the call of `__exit__`: 3.11 and 3.12 give it the location of the whole `with` with
    its body.
    """
    if units[at].op != CALL:
        return False
    before = units[max(0, at - 4) : at]
    return [u.op for u in before].count(LOAD_CONST) >= 3 and all(
        u.location == units[at].location for u in before[-3:]
    )


def _inside(flow: Flow, first: int, last: int) -> list[bool]:
    """Tell for each unit whether it belongs to these lines; one without a line goes with what leads
    to it.
    """
    inside = [False] * len(flow.units)
    for at in range(body_start(flow.units), len(flow.units)):
        line = flow.units[at].line
        if flow.depths[at] is None:
            continue
        if line is not None:
            inside[at] = first <= line <= last
        else:
            sources = flow.predecessors(at)
            inside[at] = all(inside[source] for source in sources)
    return inside


def _entry(flow: Flow, inside: list[bool], at: int) -> Iterable[Entry]:
    falls = flow.falls_into[at] and not inside[at - 1]
    jumps = tuple(
        source
        for source in flow.jumps_into[at]
        if not inside[source] and flow.units[source].op in REDIRECTABLE
    )
    thrown = any(not inside[source] for source in flow.thrown_into[at])
    if not (falls or jumps or thrown):
        return
    if flow.units[at].op in STEPPED_OVER:
        yield from _stepped_over(flow, inside, at + 1)
    elif may_stand_before(flow.units, at) and (falls or jumps):
        yield Entry(at, falls, jumps)


def _stepped_over(flow: Flow, inside: list[bool], at: int) -> Iterable[Entry]:
    if inside[at] and may_stand_before(flow.units, at):
        yield Entry(at, falls=True, jumps=())


def may_stand_before(units: list[Unit], at: int) -> bool:
    """True if something may be inserted between unit `at` and the one before it."""
    pair = (units[at - 1].op, units[at].op)
    return units[at].op not in NEVER_BEFORE and pair not in INSEPARABLE
