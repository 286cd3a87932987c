"""Sentences of the text form that say what is missing, and why."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mcp_server.model import (
    FleetCounts,
    NameSummary,
    Overhead,
    Owner,
    ProbeView,
    Reach,
    ReadAnswer,
    Silence,
    StoredResult,
)
from mcp_server.render.answers import Hit
from mcp_server.render.hits import render_placed, render_results
from mcp_server.render.probe_text import cost_line, hit_lines, left_out_line
from probe_agent.probe import Kind, Result, State, Value, Where

SUMMARY = NameSummary("n", {"int": 8}, tuple((f"'{i}{'x' * 190}'", 1) for i in range(8)))


def view(probe_id: str | None, **changed: Any) -> ProbeView:
    said: dict[str, Any] = {
        "reach": Reach(1, 1),
        "summary": (),
        "silence": None,
        "overhead": None,
        "state": State.DONE,
        **changed,
    }
    return ProbeView(
        probe_id=probe_id,
        kind=Kind.SNAPSHOT,
        service="trades",
        environment="prod",
        where=Where("validate.py", 41),
        location=None,
        counts=FleetCounts(),
        expires_at=datetime(2026, 11, 21, tzinfo=UTC),
        owner=Owner("ada", "s-1", ""),
        reason="because",
        age_seconds=1.0,
        condition=None,
        max_hits=5,
        **said,
    )


def cursor_after(count: int) -> str:
    return f"after{count}"


def read(probe: ProbeView, tokens: int) -> tuple[dict[str, Any], str]:
    result = Result(1, "r-1", "p-1", 1, 0, "main", None, (Value("n", "1", "int"),))
    answer = ReadAnswer((probe,), (StoredResult(1, "i-1", "v1", result),), "after1", 0)
    given = {"probe_ids": ["p-1"], "token_budget": tokens}
    rendered = render_results(answer, given, tokens, cursor_after, in_full=False)
    return rendered.structured, rendered.text


def test_what_is_not_shown_is_counted_in_plain_english() -> None:
    assert list(left_out_line(4, {"values": 1, "probes": 1_700})) == [
        "Not shown: 4 more, 1 value, 1,700 probes; the next call shows more."
    ]
    assert list(left_out_line(0, {})) == []


def test_a_cost_before_the_first_hit_is_no_number() -> None:
    assert "not measured" in cost_line(Overhead(0.0, 0.0))
    assert "12 ns per hit" in cost_line(Overhead(12.0, 0.001))


@pytest.mark.parametrize(
    ("reach", "is_said"), [pytest.param(Reach(), True), pytest.param(Reach(1), False)]
)
def test_a_dry_run_that_could_ask_nobody_says_so(reach: Reach, is_said: bool) -> None:
    rendered = render_placed(view(None, reach=reach), None, cursor_after)
    assert ("nobody could say whether that place is there" in rendered.text) is is_said


def test_when_no_result_is_left_the_next_call_brings_what_was_cut_of_the_probes() -> None:
    answer, _ = read(view("p-1", summary=(SUMMARY,)), 300)
    assert answer["left_out"]["distinct values"] > 0
    assert answer["next_call"]["arguments"] == {"probe_ids": ["p-1"], "token_budget": 1500}


def test_an_error_and_a_cost_that_were_cut_are_counted_like_the_rest() -> None:
    silence = Silence("condition_error", "It failed.", (), "TypeError: " + "x" * 900)
    answer, text = read(view("p-1", silence=silence, overhead=Overhead(12.0, 0.001)), 300)
    assert answer["left_out"] == {"errors": 1, "costs": 1}
    assert "Not shown: 1 error, 1 cost;" in text


def hit(number: int, thread: str, version: str = "v1") -> Hit:
    when = datetime(2026, 11, 21, 9, 30, number, tzinfo=UTC)
    return Hit(
        probe_id="p-1",
        instance="i-1",
        version=version,
        time=when,
        sequence=number,
        thread=thread,
        values={"n": str(number)},
    )


def test_what_all_hits_share_is_said_once_and_the_rest_with_each() -> None:
    top, first, second = hit_lines((hit(1, "a"), hit(2, "b")))
    assert top == "Hits (2, equal ones folded; all p-1, version v1):"
    assert first == "  n=1  [i-1 #1, 2026-11-21T09:30:01.000Z, thread 'a']"
    assert second.endswith("thread 'b']")
    top, first, _ = hit_lines((hit(1, "a"), hit(2, "a", "v2")))
    assert "version" not in top
    assert first.endswith("version v1]")
