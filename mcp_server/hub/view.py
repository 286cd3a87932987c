"""What is so about one probe over all its instances: the arithmetic of the tool contract.

Pure functions over the store's evidence; `silence` has the reasons for no hit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from mcp_server.hub.silence import explain_silence
from mcp_server.model import (
    FleetCounts,
    NotArmed,
    Overhead,
    ProbeView,
    Reach,
)
from mcp_server.reconcile import is_wanted
from mcp_server.store import Evidence, ProbeFacts, StatusRow, to_time
from probe_agent.probe import Counts, State

# The contract's order: the first of these that is present is the fleet's state.
_FIRST_OF: Final = (
    State.ARMED,
    State.SUSPENDED,
    State.PENDING,
    State.FAILED,
    State.REFUSED,
    State.DONE,
    State.EXPIRED,
    State.REMOVED,
)
_WHY: Final = {
    State.PENDING: "the module is not imported there yet",
    State.SUSPENDED: "it went over its budget there before it was in place",
    State.DONE: "it was done before it was in place there",
    State.EXPIRED: "its time had passed before it was in place there",
    State.REMOVED: "it was removed before it was in place there",
}


def make_view(evidence: Evidence, now_ms: int) -> ProbeView:
    """Say everything about a probe, from one snapshot of the store."""
    probe = evidence.facts.probe
    state = fleet_state(evidence.facts, evidence.rows, now_ms)
    counts = fleet_counts(evidence.rows)
    location = probe.location or next(
        (r.status.location for r in evidence.rows if r.status and r.status.location), None
    )
    return ProbeView(
        probe_id=probe.probe_id,
        state=state,
        kind=probe.kind,
        service=probe.target.service,
        environment=probe.target.environment or "default",
        where=probe.where,
        location=location,
        reach=reach(evidence.facts, evidence.rows, now_ms),
        counts=counts,
        summary=evidence.summary,
        silence=explain_silence(state, counts, evidence.rows) if not counts.captured else None,
        overhead=overhead(evidence.rows),
        expires_at=probe.expires_at,
        owner=probe.owner,
        reason=probe.reason,
        age_seconds=max(0.0, (to_time(now_ms) - probe.created_at).total_seconds()),
        condition=probe.condition,
        max_hits=probe.max_hits,
        results=evidence.results,
    )


def fleet_state(facts: ProbeFacts, rows: Sequence[StatusRow], now_ms: int) -> State:
    """Fold the instances' states into one.

    While the probe is wanted, only connected instances count: a gone one may come back as another.
    Afterwards a gone one counts by its final word, and what it left open is over with it.
    """
    wanted = is_wanted(facts, now_ms)
    present = {
        instance_state(facts, row, now_ms)
        for row in rows
        if row.is_connected or (not wanted and has_ended(row))
    }
    for state in _FIRST_OF:
        if state in present:
            return state
    return State.PENDING if wanted else _end_of(facts, now_ms)


def instance_state(facts: ProbeFacts, row: StatusRow, now_ms: int) -> State:
    """Name one instance's state. Removed by us for want of further hits or time means just that."""
    if row.status is None:
        return State.PENDING
    if row.status.state is State.REMOVED:
        return _end_of(facts, now_ms)
    return row.status.state


def has_ended(row: StatusRow) -> bool:
    """True if the instance is through with the probe: its originals are back."""
    return row.status is not None and row.status.state.is_final


def _end_of(facts: ProbeFacts, now_ms: int) -> State:
    if facts.probe.removed_at is not None:
        return State.REMOVED
    if facts.result_count >= facts.probe.max_hits:
        return State.DONE
    if facts.probe.expires_at <= to_time(now_ms):
        return State.EXPIRED
    return State.REMOVED


def reach(facts: ProbeFacts, rows: Sequence[StatusRow], now_ms: int) -> Reach:
    """Count the instances that the probe got to. One that went before it was armed is left out."""
    armed = [r for r in rows if r.status is not None and r.status.ever_armed]
    others = [r for r in rows if r not in armed and r.is_connected]
    not_armed = tuple(_not_armed(facts, row, now_ms) for row in others)
    states = Counter(n.state for n in not_armed)
    return Reach(
        instances=len(armed) + len(others),
        armed=len(armed),
        pending=states[State.PENDING],
        refused=states[State.REFUSED],
        failed=states[State.FAILED],
        frames_missed=sum(r.status.frames_missed for r in rows if r.status),
        not_armed=not_armed,
    )


def _not_armed(facts: ProbeFacts, row: StatusRow, now_ms: int) -> NotArmed:
    state = instance_state(facts, row, now_ms)
    if row.status is None:
        return NotArmed(row.instance, state, "it has not answered yet")
    problem = row.status.problem
    if problem is not None:
        return NotArmed(row.instance, state, f"{problem.what}: {problem.why}")
    return NotArmed(row.instance, state, _WHY.get(state, "its agent gave no reason"))


def fleet_counts(rows: Iterable[StatusRow]) -> FleetCounts:
    """Sum the instances' counts.

    What an instance captured beyond the fleet's max_hits counts as dropped. Where stored results
    prove more hits than its last status knew, the results are believed.
    """
    total: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    for row in rows:
        counts = row.status.counts if row.status else Counts()
        captured = counts.captured - row.overflow
        unreported = max(0, row.stored - captured)
        total["line_hits"] += counts.line_hits + unreported
        total["condition_true"] += counts.condition_true + unreported
        total["condition_false"] += counts.condition_false
        total["condition_errors"] += counts.condition_errors
        total["captured"] += captured + unreported
        dropped["hit_limit"] += counts.dropped_hit_limit + row.overflow
        dropped["rate"] += counts.dropped_rate
        dropped["budget"] += counts.dropped_budget
        dropped["outbox"] += counts.dropped_outbox
        dropped["capture_failed"] += counts.dropped_capture_failed
    return FleetCounts(
        line_hits=total["line_hits"],
        condition_true=total["condition_true"],
        condition_false=total["condition_false"],
        condition_errors=total["condition_errors"],
        captured=total["captured"],
        dropped=dropped.total(),
        dropped_by={reason: count for reason, count in dropped.items() if count},
    )


def overhead(rows: Iterable[StatusRow]) -> Overhead | None:
    """Weigh the instances' cost per hit by their hits; None if the probe was in place nowhere."""
    measured = [r.status for r in rows if r.status is not None and r.status.ever_armed]
    if not measured:
        return None
    hits = sum(status.counts.line_hits for status in measured)
    cost_ns = sum(status.ns_per_hit * status.counts.line_hits for status in measured)
    return Overhead(cost_ns / hits if hits else 0.0, max(s.core_share for s in measured))
