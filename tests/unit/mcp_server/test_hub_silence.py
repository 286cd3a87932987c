"""What the reasons for no hit say: nothing that nobody saw."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mcp_server.hub.silence import explain_silence
from mcp_server.model import FleetCounts, Silence
from mcp_server.store import StatusRow
from probe_agent.probe import State, Status, Value

NOT_HIT = FleetCounts()
FALSE = FleetCounts(line_hits=7, condition_false=6, condition_errors=1)
SAMPLE = ((Value("n", "3", "int"),),)


def row(state: State, *, gone: bool = False, armed: bool = True, missed: int = 0) -> StatusRow:
    status = Status(
        "p-1",
        state,
        ever_armed=armed,
        frames_missed=missed,
        samples=SAMPLE,
        condition_error="TypeError: x",
    )
    return StatusRow("i-1", status, not gone)


def told(state: State, counts: FleetCounts, rows: Sequence[StatusRow]) -> Silence:
    silence = explain_silence(state, counts, rows)
    assert silence is not None
    return silence


@pytest.mark.parametrize("state", [State.REMOVED, State.EXPIRED])
@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([], id="no instance"),
        pytest.param([row(State.PENDING, armed=False)], id="not imported"),
        pytest.param([row(State.REFUSED, armed=False)], id="refused"),
    ],
)
def test_a_probe_that_was_in_place_nowhere_says_nothing_about_the_line(
    state: State, rows: list[StatusRow]
) -> None:
    why = told(state, NOT_HIT, rows).why
    assert "whether the line ran is not known" in why
    assert "had not run" not in why


@pytest.mark.parametrize("state", [State.REMOVED, State.EXPIRED])
def test_frames_that_could_not_reach_it_are_told_also_when_it_is_over(state: State) -> None:
    silence = told(state, NOT_HIT, [row(state, missed=2)])
    assert "2 calls that began before the probe was placed cannot reach it" in silence.why


@pytest.mark.parametrize(
    ("state", "rows"),
    [
        pytest.param(State.REMOVED, [row(State.REMOVED)], id="removed"),
        pytest.param(State.EXPIRED, [row(State.EXPIRED)], id="expired"),
        pytest.param(State.PENDING, [row(State.ARMED, gone=True)], id="no instance any more"),
    ],
)
def test_what_was_seen_before_the_end_stays_known(state: State, rows: list[StatusRow]) -> None:
    silence = told(state, FALSE, rows)
    assert "ran 7 times: condition false 6 times, errors 1" in silence.why
    assert (silence.sample, silence.error) == (({"n": "3"},), "TypeError: x")


def test_who_might_have_removed_it_is_not_guessed() -> None:
    assert "or the session that placed it ended" in told(State.REMOVED, NOT_HIT, []).why


def test_not_reached_speaks_for_the_instances_that_had_it_and_for_their_last_report() -> None:
    rows = [row(State.ARMED), row(State.PENDING, armed=False)]
    silence = told(State.ARMED, NOT_HIT, rows)
    assert silence.code == "not_reached"
    assert silence.why.startswith("1 instance had it in place and reported no run")
    assert "up to 1 s old" in silence.why
