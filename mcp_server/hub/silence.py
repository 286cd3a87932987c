"""Why nothing was captured: the first reason that holds, in the contract's order.

The sentences are ours. What the application said stands in `sample` and `error` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from mcp_server.model import FleetCounts, Silence
from mcp_server.store import StatusRow
from probe_agent.probe import State

_MOST_SAMPLES: Final = 3


@dataclass(frozen=True, slots=True)
class _Case:
    """What the reasons look at. `connected`: rows of instances that are connected now."""

    state: State
    counts: FleetCounts
    rows: Sequence[StatusRow]

    @property
    def connected(self) -> list[StatusRow]:
        return [row for row in self.rows if row.is_connected]

    def in_state(self, state: State) -> int:
        """Count the connected instances that said they are in this state."""
        return sum(row.status is not None and row.status.state is state for row in self.connected)

    @property
    def armed(self) -> list[StatusRow]:
        """Rows of instances, connected or not, that had it in place at any time."""
        return [row for row in self.rows if row.status is not None and row.status.ever_armed]

    @property
    def frames_missed(self) -> int:
        return sum(row.status.frames_missed for row in self.rows if row.status)


_Reason: TypeAlias = Callable[[_Case], Silence | None]


def explain_silence(state: State, counts: FleetCounts, rows: Sequence[StatusRow]) -> Silence | None:
    """Name the first reason that holds. Called when nothing was captured."""
    case = _Case(state, counts, rows)
    return next(filter(None, (reason(case) for reason in _REASONS)), None)


def _removed(case: _Case) -> Silence | None:
    if case.state is not State.REMOVED:
        return None
    why = f"It was removed, or the session that placed it ended. {_seen(case)}"
    return Silence("removed", why, _samples(case), _last_error(case))


def _expired(case: _Case) -> Silence | None:
    if case.state is not State.EXPIRED:
        return None
    why = f"Its ttl_seconds passed. {_seen(case)}"
    return Silence("expired", why, _samples(case), _last_error(case))


def _no_instance(case: _Case) -> Silence | None:
    if case.connected:
        return None
    if not case.armed:
        why = (
            "No instance that fits service, environment, version, instances and labels is"
            " connected. It is armed as soon as one is."
        )
        return Silence("no_instance", why)
    why = f"Every instance that had it in place is gone; it is armed in the next. {_seen(case)}"
    return Silence("no_instance", why, _samples(case), _last_error(case))


def _not_armed_yet(case: _Case) -> Silence | None:
    if case.armed:
        return None
    unanswered = sum(row.status is None for row in case.connected)
    if unanswered:
        why = f"{unanswered} of {_instances(case)} have not answered yet; none has it in place."
        return Silence("not_armed_yet", why)
    if case.in_state(State.PENDING):
        return None
    refused = case.in_state(State.REFUSED) + case.in_state(State.FAILED)
    if refused:
        why = f"{refused} of {_instances(case)} could not take it; reach.not_armed says why."
        return Silence("not_armed_yet", why)
    return None


def _not_imported(case: _Case) -> Silence | None:
    pending = case.in_state(State.PENDING)
    if case.armed or not pending:
        return None
    return Silence(
        "not_imported",
        f"The module is not imported in {pending} of {_instances(case)}."
        " It is armed when the module is imported.",
    )


def _suspended(case: _Case) -> Silence | None:
    suspended = case.in_state(State.SUSPENDED)
    if not suspended:
        return None
    return Silence(
        "suspended",
        f"It cost more than its budget in {suspended} of {_instances(case)} and is out of the"
        f" code there for now. {_seen(case)}",
    )


def _all_dropped(case: _Case) -> Silence | None:
    if not case.counts.condition_true or not case.counts.dropped:
        return None
    reasons = ", ".join(f"{reason} {count}" for reason, count in case.counts.dropped_by.items())
    return Silence("all_dropped", f"All {_times(case.counts.dropped, 'hit')} dropped: {reasons}.")


def _condition_error(case: _Case) -> Silence | None:
    errors = case.counts.condition_errors
    if not errors:
        return None
    why = (
        f"The line ran {_times(case.counts.line_hits)}; the condition could not be evaluated"
        f" {_times(errors)} and was false {_times(case.counts.condition_false)}."
    )
    return Silence("condition_error", why, _samples(case), _last_error(case))


def _condition_false(case: _Case) -> Silence | None:
    false = case.counts.condition_false
    if not false:
        return None
    why = f"The line ran {_times(case.counts.line_hits)}; the condition was false {_times(false)}."
    return Silence("condition_false", why, _samples(case))


def _running_frame(case: _Case) -> Silence | None:
    if not case.frames_missed or case.counts.line_hits:
        return None
    return Silence("running_frame", f"{_missed(case)} Only calls that begin now can.")


def _not_reached(case: _Case) -> Silence | None:
    if case.counts.line_hits:
        return None
    return Silence(
        "not_reached",
        # What an instance counts is told by its heartbeat: a run of just now is not known yet.
        f"{_times(len(case.armed), 'instance')} had it in place and reported no run of the line;"
        " reports are up to 1 s old.",
    )


_REASONS: Final[tuple[_Reason, ...]] = (
    _removed,
    _expired,
    _no_instance,
    _not_armed_yet,
    _not_imported,
    _suspended,
    _all_dropped,
    _condition_error,
    _condition_false,
    _running_frame,
    _not_reached,
)


def _last_error(case: _Case) -> str | None:
    errors = (row.status.condition_error for row in case.rows if row.status is not None)
    return next(filter(None, errors), None)


def _samples(case: _Case) -> tuple[dict[str, str], ...]:
    samples = [
        {value.name: value.literal for value in sample}
        for row in case.rows
        if row.status is not None
        for sample in row.status.samples
    ]
    return tuple(samples[:_MOST_SAMPLES])


def _seen(case: _Case) -> str:
    """Tell what was seen of the line until then, and not more: where the probe never was, or in
    frames that cannot reach it, the line may have run unseen.
    """
    counts = case.counts
    if not case.armed:
        return "It was in place nowhere, so whether the line ran is not known."
    if counts.line_hits:
        return (
            f"The line ran {_times(counts.line_hits)}: condition false"
            f" {_times(counts.condition_false)}, errors {counts.condition_errors},"
            f" hits dropped {counts.dropped}."
        )
    missed = f" {_missed(case)}" if case.frames_missed else ""
    return f"No run of the line was reported while it was in place.{missed}"


def _missed(case: _Case) -> str:
    return (
        f"{_times(case.frames_missed, 'call')} that began before the probe was placed cannot"
        " reach it."
    )


def _instances(case: _Case) -> str:
    return _times(len(case.connected), "instance")


def _times(count: int, unit: str = "time") -> str:
    return f"{count:,} {unit}" + ("" if count == 1 else "s")
