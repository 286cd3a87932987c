"""From the model's types to the parts of answers that several tools have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

from mcp_server.model import NameSummary, Overhead, ProbeView, Reach, StoredResult
from mcp_server.render.answers import Hit, ListedProbe, Place, Probe
from probe_agent.probe import State

P = TypeVar("P", bound=Probe)


def place_of(view: ProbeView) -> Place:
    """Say where a probe is, or what was asked for while it has not been found."""
    if view.location is None:
        return Place(file=view.where.file, line=view.where.line)
    found = view.location
    return Place(
        file=found.file,
        line=found.line,
        function=found.function,
        code=found.code,
        moved_from=found.moved_from,
    )


def probe_of(view: ProbeView, kind: type[P]) -> P:
    """Say everything about a probe but its results. Args: kind: of answer, results to be filled."""
    return kind(
        probe_id=view.probe_id or "",
        state=view.state.value,
        expires_at=view.expires_at,
        location=place_of(view),
        reach=_reach_of(view),
        counts=view.counts,
        summary=view.summary,
        silence=view.silence,
        overhead=_rounded(view.overhead),
    )


def bare(probe: P) -> P:
    """Take away what is captured and what can be long."""
    silence = None if probe.silence is None else replace(probe.silence, sample=(), error=None)
    return replace(
        probe,
        summary=(),
        silence=silence,
        overhead=None,
        reach=replace(probe.reach, not_armed=()),
    )


def fewer_distinct(summary: Sequence[NameSummary], most: int) -> tuple[NameSummary, ...]:
    """Keep at most so many literals of each name."""
    return tuple(replace(name, distinct=name.distinct[:most]) for name in summary)


def full_hit(stored: StoredResult) -> Hit:
    """Say all that is known of a result."""
    result = stored.result
    return Hit(
        result_id=result.result_id,
        probe_id=result.probe_id,
        instance=stored.instance,
        version=stored.version,
        time=datetime.fromtimestamp(result.time_ms / 1000, UTC),
        sequence=result.sequence,
        thread=result.thread,
        task=result.task or "",
        values={value.name: value.literal for value in result.values},
        message=result.message or "",
        stack=result.stack,
    )


def short_hit(stored: StoredResult, *, names_probe: bool) -> Hit:
    """Say what a result brought back, when and where.

    Args: names_probe: results of several probes stand together.
    """
    full = full_hit(stored)
    return Hit(
        probe_id=full.probe_id if names_probe else "",
        instance=full.instance,
        time=full.time,
        sequence=full.sequence,
        values=full.values,
        message=full.message,
    )


def first_values(hit: Hit, most: int) -> Hit:
    """Keep the first values of a result."""
    return replace(hit, values=dict(list(hit.values.items())[:most]))


def listed_probe(view: ProbeView) -> ListedProbe:
    """Say in one row what a probe is."""
    return ListedProbe(
        probe_id=view.probe_id or "",
        state=view.state.value,
        kind=view.kind.value,
        location=place_of(view),
        counts=view.counts,
        overhead=_rounded(view.overhead),
        expires_at=view.expires_at,
        owner=_owner(view),
        reason=view.reason,
        age_seconds=round(view.age_seconds, 1),
    )


def shortest_row(row: ListedProbe) -> ListedProbe:
    """Keep what tells one probe from another."""
    return ListedProbe(
        probe_id=row.probe_id,
        state=row.state,
        kind=row.kind,
        age_seconds=row.age_seconds,
    )


def _reach_of(view: ProbeView) -> Reach:
    """In a rehearsal nobody has been asked to arm it, so nobody owes an answer."""
    if view.probe_id is not None:
        return view.reach
    refusing = tuple(n for n in view.reach.not_armed if n.state is not State.PENDING)
    return replace(view.reach, not_armed=refusing)


def _owner(view: ProbeView) -> str:
    """Name who placed it: the assistant for its person, never as the person."""
    owner = view.owner
    return f"{owner.client} for {owner.principal}" if owner.client else owner.principal


def _rounded(cost: Overhead | None) -> Overhead | None:
    return cost and Overhead(round(cost.ns_per_hit, 1), round(cost.core_share, 6))
