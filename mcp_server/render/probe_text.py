"""What a colleague would write about probes and their hits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from mcp_server.model import FleetCounts, NameSummary, Overhead, Reach, Silence
from mcp_server.render.answers import Hit, Place, Placed, Probe
from mcp_server.render.escape import literal, quoted, source_line, word
from mcp_server.render.structure import rfc3339

# A row of values longer than this is written one value a line.
_WIDE = 120
_MOST_NAMED = 6
_UNASKED = " No instance that fits is connected, so nobody could say whether that place is there."


def headline(placed: Placed, waited_s: float) -> str:
    """Answer the question first: what came, how fast, from where."""
    where = at(placed.location)
    if not placed.probe_id:
        asked = "" if placed.reach.instances else _UNASKED
        return f"Dry run, nothing placed. It would go to {where}.{asked}"
    if placed.counts.captured:
        shown = number(placed.counts.captured, "hit")
        return f"{shown} in {waited_s:.1f} s at {where} (probe {placed.probe_id}, {placed.state})."
    return (
        f"No hit in {waited_s:.1f} s at {where} (probe {placed.probe_id}, {placed.state})."
        " The probe was placed."
    )


def at(place: Place) -> str:
    """Name a place: `trades/validate.py:41 in check`."""
    line = "" if place.line is None else f":{place.line}"
    function = f" in {word(place.function)}" if place.function else ""
    moved = f" (moved from line {place.moved_from})" if place.moved_from else ""
    return f"{word(place.file)}{line}{function}{moved}"


def code_of(place: Place) -> list[str]:
    """Write the place's source line, if it is known."""
    return [source_line(place.code)] if place.code else []


def silence_lines(silence: Silence | None) -> Iterator[str]:
    """Say why nothing was captured."""
    if silence is None:
        return
    yield f"Why no hit: {silence.code}. {silence.why}"
    for sample in silence.sample:
        yield f"  condition false with: {values_of(sample)}"
    if silence.error:
        yield f"  last error of the condition: {quoted(silence.error)}"


def summary_lines(summary: Iterable[NameSummary]) -> Iterator[str]:
    """Write one line a name: `trade.amount: str x5 ('15000' x2, '9100' x3)`."""
    for name in summary:
        kinds = ", ".join(f"{word(kind)} x{count}" for kind, count in name.types.items())
        seen = ", ".join(literal(text) + _times(count) for text, count in name.distinct)
        hidden = f"; {name.redacted} redacted" if name.redacted else ""
        yield f"{word(name.name)}: {kinds}" + (f" ({seen})" if seen else "") + hidden


def hit_lines(hits: Sequence[Hit]) -> Iterator[str]:
    """Write hits as rows, equal ones folded with their count; what all share stands on top."""
    if not hits:
        return
    shared = _shared(hits)
    told = f"; all {', '.join(shared)}" if shared else ""
    yield f"Hits ({len(hits)}, equal ones folded{told}):"
    stacks = {hit.stack for hit in hits}
    for row in _folded(hits):
        yield from _row_lines(row, shared)
        if len(stacks) > 1:
            yield from _stack_lines("    Stack", row.first.stack)
    if len(stacks) == 1:
        yield from _stack_lines("Stack", hits[0].stack)


def values_of(values: dict[str, str]) -> str:
    """Write values on one line: `total=110  discount=11`."""
    return "  ".join(f"{word(name)}={literal(text)}" for name, text in values.items())


def probe_lines(probe: Probe) -> Iterator[str]:
    """Say how far a probe reached, what it counted and cost, and when it ends."""
    if not probe.probe_id:
        yield f"Reach: {number(probe.reach.instances, 'instance')}, refused {probe.reach.refused}"
    else:
        yield _reach_line(probe.reach)
    for missing in probe.reach.not_armed:
        yield f"  not on {missing.instance}: {missing.state.value}, {quoted(missing.why)}"
    yield counts_line(probe.counts)
    if probe.overhead is not None:
        yield cost_line(probe.overhead)
    yield f"Expires: {rfc3339(probe.expires_at)}"


def counts_line(counts: FleetCounts) -> str:
    """Write all counts on one line."""
    reasons = ", ".join(f"{reason} {count}" for reason, count in counts.dropped_by.items())
    return (
        f"Counts: line hits {counts.line_hits}, condition true {counts.condition_true},"
        f" false {counts.condition_false}, errors {counts.condition_errors},"
        f" captured {counts.captured}, dropped {counts.dropped}"
        + (f" ({reasons})" if reasons else "")
    )


def cost_line(cost: Overhead) -> str:
    """Write what a probe costs. Before the line runs there is nothing to measure."""
    if not cost.ns_per_hit:
        return "Cost: not measured"
    return f"Cost: {cost.ns_per_hit:g} ns per hit, {cost.core_share:g} of a core at most"


def left_out_line(more: int, left_out: dict[str, int]) -> Iterator[str]:
    """Count what is not shown. Args: left_out: by what it is, in the plural."""
    cut = [number(count, what.removesuffix("s")) for what, count in left_out.items()]
    if more:
        cut.insert(0, f"{more:,} more")
    if cut:
        yield f"Not shown: {', '.join(cut)}; the next call shows more."


def number(count: int, noun: str) -> str:
    """Write `1 hit`, `2 hits`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _reach_line(reach: Reach) -> str:
    rest = {
        "pending": reach.pending,
        "refused": reach.refused,
        "failed": reach.failed,
        "running frames missed": reach.frames_missed,
    }
    others = "".join(f", {what} {count}" for what, count in rest.items())
    return f"Reach: armed on {reach.armed} of {number(reach.instances, 'instance')}{others}"


@dataclass(slots=True)
class _Row:
    """Equal hits: the first, and who else had them."""

    first: Hit
    hits: list[Hit] = field(default_factory=list)


def _folded(hits: Sequence[Hit]) -> list[_Row]:
    rows: dict[object, _Row] = {}
    for hit in hits:
        key = (tuple(hit.values.items()), hit.message, hit.stack, hit.thread, hit.task)
        rows.setdefault((*key, hit.probe_id, hit.version), _Row(hit)).hits.append(hit)
    return list(rows.values())


def _row_lines(row: _Row, shared: Sequence[str]) -> Iterator[str]:
    """Write the values first, on one line if they fit, then who and when."""
    first = row.first
    times = f"x{len(row.hits)} " if len(row.hits) > 1 else ""
    said = [f"{word(name)}={literal(text)}" for name, text in first.values.items()]
    if first.message:
        said.insert(0, quoted(first.message))
    line = f"  {times}{'  '.join(said)}"
    where = f"[{_where(row, shared)}]"
    if len(line) + len(where) <= _WIDE:
        yield f"{line}  {where}"
    else:
        yield from [line] if len(line) <= _WIDE else [f"  {times}{said[0]}", *_indented(said[1:])]
        yield f"    {where}"


def _stack_lines(title: str, stack: Sequence[str]) -> Iterator[str]:
    if stack:
        yield f"{title}: {' < '.join(quoted(frame) for frame in stack)}"


def _times(count: int) -> str:
    return f" x{count}" if count > 1 else ""


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _where(row: _Row, shared: Sequence[str]) -> str:
    """Name instances with their sequence numbers and times; what else is told of these hits and not
    shared by all.
    """
    by_instance: dict[str, list[int]] = {}
    for hit in row.hits:
        by_instance.setdefault(hit.instance, []).append(hit.sequence)
    who = "; ".join(f"{name} {_ranges(numbers)}" for name, numbers in by_instance.items())
    first, last = row.hits[0], row.hits[-1]
    when = rfc3339(first.time) + (f" to {rfc3339(last.time)}" if last.time != first.time else "")
    ids = [hit.result_id for hit in row.hits if hit.result_id]
    rest = ["..."] if len(ids) > _MOST_NAMED else []
    own = [said for said in _circumstances(first) if said not in shared]
    return ", ".join([who, when, *own, *ids[:_MOST_NAMED], *rest])


def _ranges(numbers: Sequence[int]) -> str:
    """Write `#1-#3, #7`."""
    runs: list[list[int]] = []
    for value in sorted(numbers):
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    return ", ".join(f"#{a}" if a == b else f"#{a}-#{b}" for a, b in runs)


def _shared(hits: Sequence[Hit]) -> list[str]:
    """List the circumstances that are told of every hit."""
    others = [set(_circumstances(hit)) for hit in hits[1:]]
    return [said for said in _circumstances(hits[0]) if all(said in other for other in others)]


def _circumstances(hit: Hit) -> Iterator[str]:
    """Tell what equal hits have in common."""
    if hit.probe_id:
        yield hit.probe_id
    if hit.version:
        yield f"version {word(hit.version)}"
    if hit.thread:
        yield f"thread {quoted(hit.thread)}"
    if hit.task:
        yield f"task {quoted(hit.task)}"
