"""The contract's arithmetic, by table."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from mcp_server.hub.view import fleet_counts, fleet_state, make_view, overhead, reach
from mcp_server.model import FleetCounts, Owner, StoredProbe, Target
from mcp_server.store import Evidence, ProbeFacts, StatusRow, to_time
from probe_agent.probe import Counts, Kind, Problem, State, Status, Value, Where

NOW_MS = 1_700_000_000_000
PROBE = StoredProbe(
    probe_id="p-1",
    owner=Owner("ada", "s-1", ""),
    target=Target("trades", "prod"),
    kind=Kind.SNAPSHOT,
    where=Where("a.py", 1),
    location=None,
    condition=None,
    captures=(),
    message=None,
    stack_frames=5,
    max_hits=5,
    reason="because",
    created_at=to_time(NOW_MS - 1000),
    expires_at=to_time(NOW_MS) + timedelta(seconds=600),
    removed_at=None,
)
REMOVED = {"removed_at": to_time(NOW_MS)}
EXPIRED = {"expires_at": to_time(NOW_MS)}


def facts(**changed: Any) -> ProbeFacts:
    own = {k: changed.pop(k) for k in ("result_count", "is_session_alive") if k in changed}
    known = {"position": 1, "result_count": 0, "is_session_alive": True, **own}
    return ProbeFacts(dataclasses.replace(PROBE, **changed), **known)


def row(state: State | None, *, gone: bool = False, **said: Any) -> StatusRow:
    stored = {k: said.pop(k) for k in ("overflow", "stored") if k in said}
    said.setdefault("ever_armed", state in (State.ARMED, State.SUSPENDED, State.DONE))
    status = None if state is None else Status("p-1", state, **said)
    return StatusRow("i-1", status, not gone, **stored)


def silence_of(*rows: StatusRow, **changed: Any) -> str | None:
    view = make_view(Evidence(facts(**changed), (), rows), NOW_MS)
    return view.silence.code if view.silence else None


A, P, S = State.ARMED, State.PENDING, State.SUSPENDED
D, E, R = State.DONE, State.EXPIRED, State.REMOVED


@pytest.mark.parametrize(
    ("rows", "changed", "state"),
    [
        pytest.param([], {}, P, id="nobody there"),
        pytest.param([row(None)], {}, P, id="not answered"),
        pytest.param([row(D), row(A), row(State.FAILED)], {}, A, id="armed if any is"),
        pytest.param([row(S), row(P), row(State.FAILED)], {}, S, id="suspended before pending"),
        pytest.param([row(P), row(State.REFUSED)], {}, P, id="pending before refused"),
        pytest.param([row(State.REFUSED), row(State.FAILED)], {}, State.FAILED, id="failed first"),
        pytest.param([row(State.REFUSED), row(D)], {}, State.REFUSED, id="refused before done"),
        pytest.param([row(A, gone=True)], {}, P, id="the armed one is gone"),
        pytest.param([row(D, gone=True)], {}, P, id="the done one is gone, hits still wanted"),
        pytest.param([row(R, gone=True)], {}, P, id="its agent stopped, another may come"),
        pytest.param(
            [row(R), row(R)], {"result_count": 5}, D, id="removed because the fleet is done"
        ),
        pytest.param([row(R)], EXPIRED, E, id="removed because its time has passed"),
        pytest.param([row(R)], REMOVED, R, id="removed by somebody"),
        pytest.param([row(A)], REMOVED, A, id="not confirmed yet"),
        pytest.param([row(A, gone=True)], REMOVED, R, id="gone before it confirmed"),
        pytest.param([], EXPIRED, E, id="expired with nobody there"),
        pytest.param([row(R)], {"is_session_alive": False}, R, id="session over"),
        pytest.param([row(R, gone=True)], {"result_count": 5}, D, id="done and gone"),
    ],
)
def test_the_state_over_instances(
    rows: list[StatusRow], changed: dict[str, Any], state: State
) -> None:
    assert fleet_state(facts(**changed), rows, NOW_MS) is state


FALSE = Counts(line_hits=3, condition_false=3)
ERRORS = Counts(line_hits=3, condition_false=2, condition_errors=1)
DROPPED = Counts(line_hits=3, condition_true=3, dropped_rate=3)


@pytest.mark.parametrize(
    ("rows", "changed", "code"),
    [
        pytest.param([row(R, counts=FALSE)], REMOVED, "removed", id="removed"),
        pytest.param([row(E, counts=FALSE)], EXPIRED, "expired", id="expired"),
        pytest.param([], {}, "no_instance", id="nobody"),
        pytest.param([row(A, gone=True, counts=FALSE)], {}, "no_instance", id="all gone"),
        pytest.param([row(None), row(P)], {}, "not_armed_yet", id="not answered"),
        pytest.param([row(State.REFUSED)], {}, "not_armed_yet", id="all refused"),
        pytest.param([row(P), row(State.REFUSED)], {}, "not_imported", id="not imported"),
        pytest.param([row(S, counts=DROPPED)], {}, "suspended", id="suspended"),
        pytest.param([row(A, counts=DROPPED)], {}, "all_dropped", id="all dropped"),
        pytest.param([row(A, counts=ERRORS)], {}, "condition_error", id="errors before false"),
        pytest.param([row(A, counts=FALSE, frames_missed=1)], {}, "condition_false", id="false"),
        pytest.param([row(A, frames_missed=1)], {}, "running_frame", id="running frame"),
        pytest.param([row(A), row(P)], {}, "not_reached", id="armed somewhere, never ran"),
        pytest.param([row(A, counts=Counts(1, 1, captured=1))], {}, None, id="captured"),
    ],
)
def test_the_first_reason_that_holds_explains_the_silence(
    rows: list[StatusRow], changed: dict[str, Any], code: str | None
) -> None:
    assert silence_of(*rows, **changed) == code


def test_silence_brings_samples_and_the_error_apart_from_our_sentence() -> None:
    sample = ((Value("a", "'9'", "str"), Value("b", "2", "int")),)
    rows = (row(A, counts=ERRORS, samples=sample, condition_error="TypeError: evil"),)
    silence = make_view(Evidence(facts(), (), rows), NOW_MS).silence
    assert silence is not None
    assert silence.sample == ({"a": "'9'", "b": "2"},)
    assert silence.error == "TypeError: evil"
    assert "evil" not in silence.why
    assert silence.why == (
        "The line ran 3 times; the condition could not be evaluated 1 time and was false 2 times."
    )


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([], FleetCounts(), id="nobody"),
        pytest.param(
            [
                row(A, counts=Counts(9, 6, 2, 1, 4, dropped_rate=2), stored=4),
                row(A, counts=Counts(3, 3, captured=2, dropped_outbox=1), stored=2),
            ],
            FleetCounts(12, 9, 2, 1, 6, 3, {"rate": 2, "outbox": 1}),
            id="sums",
        ),
        pytest.param(
            [row(A, counts=Counts(4, 4, captured=4), overflow=3, stored=1)],
            FleetCounts(4, 4, 0, 0, 1, 3, {"hit_limit": 3}),
            id="captured beyond the fleet's limit",
        ),
        pytest.param(
            [row(None, stored=2)],
            FleetCounts(2, 2, 0, 0, 2, 0, {}),
            id="results before any status",
        ),
        pytest.param(
            [row(A, counts=Counts(1, 1, captured=1), stored=2, overflow=1)],
            FleetCounts(3, 3, 0, 0, 2, 1, {"hit_limit": 1}),
            id="status older than the results",
        ),
    ],
)
def test_counts_over_the_fleet_keep_the_contracts_sums(
    rows: list[StatusRow], expected: FleetCounts
) -> None:
    counts = fleet_counts(rows)
    assert counts == expected
    assert counts.line_hits == (
        counts.condition_true + counts.condition_false + counts.condition_errors
    )
    assert counts.condition_true == counts.captured + counts.dropped
    assert counts.captured >= sum(r.stored for r in rows)


def test_reach_counts_who_was_ever_armed_and_lists_who_was_not() -> None:
    problem = Problem("unsupported", "Cannot place it", "a generator", "")
    rows = [
        row(D, frames_missed=2),
        row(A, gone=True, frames_missed=1),
        row(P, gone=True),
        row(None),
        row(P),
        row(State.REFUSED, problem=problem),
        row(State.FAILED),
    ]
    got = reach(facts(), rows, NOW_MS)
    assert (got.instances, got.armed, got.pending, got.refused, got.failed) == (6, 2, 2, 1, 1)
    assert got.frames_missed == 3
    assert [n.why for n in got.not_armed] == [
        "it has not answered yet",
        "the module is not imported there yet",
        "Cannot place it: a generator",
        "its agent gave no reason",
    ]


def test_overhead_is_weighed_by_hits() -> None:
    rows = [
        row(A, counts=Counts(line_hits=1), ns_per_hit=100.0, core_share=0.5),
        row(A, counts=Counts(line_hits=3), ns_per_hit=20.0, core_share=0.1),
    ]
    cost = overhead(rows)
    assert cost is not None
    assert (cost.ns_per_hit, cost.core_share) == (40.0, 0.5)
    assert overhead([row(P)]) is None
