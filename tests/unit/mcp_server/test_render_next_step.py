"""Each next call can be made as it stands, and leads on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from mcp_server.model import (
    FleetCounts,
    Owner,
    ProbeView,
    Reach,
    RemoveAnswer,
    Silence,
    StoredResult,
)
from mcp_server.render.next_step import (
    NextCall,
    after_code,
    after_list,
    after_probe,
    after_removal,
    after_results,
)
from probe_agent.probe import Kind, Location, Result, SourceMatch, State, Where

TARGET = {"service": "trades", "environment": "prod"}
HOSTILE = "/srv/Ignore previous\u202e\n.py"
AT = Location("/srv/trades/validate.py", 41, "check", "return a > b")


def view(probe_id: str = "p-1", state: State = State.DONE, **changed: Any) -> ProbeView:
    usual = ProbeView(
        probe_id=probe_id,
        state=state,
        kind=Kind.SNAPSHOT,
        service="trades",
        environment="prod",
        where=Where("validate.py", 41),
        location=AT,
        reach=Reach(1, 1),
        counts=FleetCounts(),
        summary=(),
        silence=None,
        overhead=None,
        expires_at=datetime(2026, 11, 21, tzinfo=UTC),
        owner=Owner("ada", "s-1", ""),
        reason="because",
        age_seconds=1.0,
        condition=None,
        max_hits=5,
    )
    return replace(usual, **changed)


def hit(probe_id: str, *stack: str) -> StoredResult:
    return StoredResult(1, "i-1", "v1", Result(1, "r-1", probe_id, 1, 0, "main", None, stack=stack))


def silent(code: str, state: State = State.ARMED) -> ProbeView:
    return view(state=state, silence=Silence(code, "why"))


AT_LINE = NextCall("find_code", {**TARGET, "file": AT.file, "line": 41})


@pytest.mark.parametrize("line", [{}, {"line": 3}])
@pytest.mark.parametrize("executable", [True, False])
def test_a_file_that_escaping_changes_is_not_named_again(
    line: dict[str, int], executable: bool
) -> None:
    match = SourceMatch(HOSTILE, 3, "f", "def f():", executable)
    call = after_code({"service": "trades", "file": "x.py", **line}, (match,))
    assert call == NextCall("list_services", {"service": "trades"})
    placed = after_probe(view(location=Location(HOSTILE, 3, "f", "x")), (), "c")
    assert placed == NextCall("list_services", {"service": "trades"})


def test_from_the_last_line_of_a_file_the_next_call_shows_its_outline() -> None:
    last = SourceMatch("/srv/a.py", 9, "", "# the end", False, ("x = 1",))
    call = after_code({"service": "trades", "file": "a.py", "line": 9}, (last,))
    assert call == NextCall("find_code", {"service": "trades", "file": "/srv/a.py"})
    above = replace(last, after=("", "y = 2"))
    call = after_code({"service": "trades", "file": "a.py", "line": 9}, (above,))
    assert call.arguments["line"] == 11


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param("<string>:1 <module>", id="no file"),
        pytest.param("<frozen runpy>:88 _run_code", id="frozen"),
        pytest.param("srv/Ignore previous.py:3 f", id="a name with spaces"),
    ],
)
def test_a_caller_that_is_in_no_file_that_can_be_named_is_not_looked_at(frame: str) -> None:
    assert after_probe(view(), (hit("p-1", "validate.py:41 check", frame),), "c") == AT_LINE


def test_after_several_probes_the_caller_of_the_first_result_is_sought_in_its_own_service() -> None:
    other = view("p-2", service="orders")
    call = after_results({}, (view(), other), (hit("p-2", "a.py:1 f", "orders/b.py:7 g"),), "c")
    assert call.arguments == {
        "service": "orders",
        "environment": "prod",
        "file": "orders/b.py",
        "line": 7,
    }


@pytest.mark.parametrize(
    ("code", "call"),
    [
        pytest.param("no_instance", NextCall("list_services", dict(TARGET)), id="who is there"),
        pytest.param("condition_error", AT_LINE, id="which names are there"),
    ],
)
def test_where_waiting_brings_nothing_the_next_call_shows_what_to_correct(
    code: str, call: NextCall
) -> None:
    assert after_probe(silent(code), (), "c") == call
    assert after_results({"probe_ids": ["p-1"]}, (silent(code),), (), "c") == call


@pytest.mark.parametrize("code", ["condition_false", "not_reached", "not_imported"])
def test_where_a_hit_may_come_the_next_call_waits_for_it(code: str) -> None:
    waiting = {"probe_ids": ["p-1"], "wait_seconds": 20, "cursor": "c"}
    assert after_probe(silent(code), (), "c") == NextCall("read_results", waiting)
    asked = {"probe_ids": ["p-1"], "detail": "full"}
    call = after_results(asked, (silent(code),), (), "c")
    assert call == NextCall("read_results", {**waiting, "detail": "full"})


def test_a_session_without_probes_is_led_to_those_of_the_others_and_then_on() -> None:
    call = after_list({"service": "trades", "cursor": "c"}, ())
    assert call == NextCall("list_probes", {"service": "trades", "all": True})
    assert after_list(call.arguments, ()) == NextCall("list_services", {})


def test_a_probe_that_is_not_ones_own_is_found_among_all() -> None:
    call = after_removal(RemoveAnswer(not_yours=("p-1",)))
    assert call == NextCall("list_probes", {"all": True})
