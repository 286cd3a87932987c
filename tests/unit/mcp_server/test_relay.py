"""What crosses the wire, message by message."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest

from mcp_server import registry
from mcp_server.model import Capture, Owner, Question, SourceQuestion, StoredProbe, Target
from mcp_server.relay.from_wire import (
    Malformed,
    read_location_answer,
    read_result,
    read_source_answer,
    read_status,
)
from mcp_server.relay.hello import HelloRefused, read_hello
from mcp_server.relay.to_wire import write_order
from mcp_server.store import now_ms, to_time
from probe_agent.probe import Counts, Kind, Location, Problem, Result, State, Status, Value, Where
from probe_agent.wire.sonde.v1 import relay_pb2 as wire


def a_probe(**changed: Any) -> StoredProbe:
    created_at = to_time(now_ms())
    said: dict[str, Any] = {"condition": None, "captures": (), "message": None, **changed}
    return StoredProbe(
        probe_id="p-1",
        owner=Owner("ada", "s-1", ""),
        target=Target("trades"),
        kind=said.pop("kind", Kind.SNAPSHOT),
        where=Where("a.py", 41, "return x"),
        location=None,
        stack_frames=5,
        max_hits=3,
        reason="because",
        created_at=created_at,
        expires_at=created_at + timedelta(seconds=60),
        removed_at=None,
        **said,
    )


def test_a_probe_is_sent_with_the_life_it_has_left() -> None:
    probe = a_probe(condition="a > b", captures=(Capture("n", "a.b"),))
    (sent,) = write_order(registry.Desired((probe,)), 50).desired.probes
    assert 59_000 < sent.ttl_ms <= 60_000
    assert (sent.where.file, sent.where.line, sent.where.expect_code) == ("a.py", 41, "return x")
    assert (sent.kind, sent.condition) == (wire.PROBE_KIND_SNAPSHOT, "a > b")
    assert [(c.name, c.expression) for c in sent.captures] == [("n", "a.b")]
    assert (sent.max_hits, sent.stack_frames, sent.max_hits_per_second) == (3, 5, 50)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        pytest.param(
            registry.Change((), ("p-1", "p-2")),
            wire.ConnectResponse(change=wire.DesiredChange(remove=["p-1", "p-2"])),
            id="removal",
        ),
        pytest.param(
            registry.Acknowledge(7),
            wire.ConnectResponse(acknowledgement=wire.Acknowledgement(through_number=7)),
            id="acknowledgement",
        ),
        pytest.param(
            registry.Renew(), wire.ConnectResponse(renewal=wire.LeaseRenewal()), id="renewal"
        ),
        pytest.param(
            registry.Leave("bye"),
            wire.ConnectResponse(goodbye=wire.Goodbye(reason="bye")),
            id="goodbye",
        ),
        pytest.param(
            registry.Ask(Question("q-1", "i-1", where=Where("a.py", expect_code="x"))),
            wire.ConnectResponse(
                location=wire.LocationQuestion(
                    question_id="q-1", where=wire.Where(file="a.py", expect_code="x")
                )
            ),
            id="where",
        ),
        pytest.param(
            registry.Ask(Question("q-1", "i-1", source=SourceQuestion("a.py", 3, "f"))),
            wire.ConnectResponse(
                source=wire.SourceQuestion(question_id="q-1", file="a.py", line=3, function="f")
            ),
            id="source",
        ),
    ],
)
def test_an_order_becomes_its_message(
    order: registry.Order, expected: wire.ConnectResponse
) -> None:
    assert write_order(order, 50) == expected


def test_a_result_is_read_whole() -> None:
    sent = wire.Result(
        number=3,
        result_id="r-1",
        probe_id="p-1",
        sequence=2,
        time_unix_ms=5,
        thread="MainThread",
        values=[wire.Value(name="a", literal="<redacted>", type="str", redacted=True)],
        message="m",
        stack=["a.py:1 f"],
    )
    values = (Value("a", "<redacted>", "str", is_redacted=True),)
    expected = Result(3, "r-1", "p-1", 2, 5, "MainThread", None, values, "m", ("a.py:1 f",))
    assert read_result(sent) == expected


def test_a_status_is_read_whole_and_its_cost_made_finite() -> None:
    sent = wire.ProbeStatus(
        probe_id="p-1",
        state=wire.PROBE_STATE_FAILED,
        problem=wire.Problem(code="unsupported", what="a\u202eb\n", why="w", next_step="n"),
        counts=wire.Counts(line_hits=3, condition_false=3),
        ever_armed=True,
        frames_missed=2,
        location=wire.Location(file="/a.py", line=4, function="f", code="x", loaded=True),
        samples=[wire.ConditionSample(parts=[wire.Value(name="a", literal="1", type="int")])],
        condition_error="KeyError: 'x'",
        overhead=wire.Overhead(ns_per_hit=math.nan, core_share=math.inf),
    )
    assert read_status(sent) == Status(
        "p-1",
        State.FAILED,
        Counts(line_hits=3, condition_false=3),
        Problem("unsupported", "a\\u202eb\\n", "w", "n"),
        ever_armed=True,
        frames_missed=2,
        location=Location("/a.py", 4, "f", "x"),
        samples=((Value("a", "1", "int"),),),
        condition_error="KeyError: 'x'",
    )


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"number": 0}, id="number 0"),
        pytest.param({"number": 2**63}, id="number too large for the store"),
        pytest.param({"sequence": 0}, id="sequence 0"),
        pytest.param({"time_unix_ms": -1}, id="before 1970"),
        pytest.param({"time_unix_ms": 2**60}, id="after the year 9999"),
        pytest.param({"probe_id": ""}, id="no probe"),
        pytest.param({"result_id": "r 1"}, id="not an id"),
    ],
)
def test_a_result_that_cannot_be_is_malformed(changed: dict[str, Any]) -> None:
    sound: dict[str, Any] = {"number": 1, "sequence": 1, "probe_id": "p-1", "result_id": "r-1"}
    read_result(wire.Result(**sound))
    with pytest.raises(Malformed):
        read_result(wire.Result(**{**sound, **changed}))


def test_an_answer_carries_a_place_or_a_problem() -> None:
    place = wire.LocationAnswer(question_id="q", location=wire.Location(file="/a.py", line=4))
    assert read_location_answer(place).location == Location("/a.py", 4, "", "", loaded=False)
    refused = wire.LocationAnswer(question_id="q", problem=wire.Problem(code="unknown_file"))
    assert read_location_answer(refused).problem == Problem("unknown_file", "", "", "")
    with pytest.raises(Malformed):
        read_location_answer(wire.LocationAnswer(question_id="q"))


def test_source_comes_back_with_what_was_left_out() -> None:
    match_ = wire.SourceMatch(file="/a.py", line=4, before=["x"], names=["a"], executable=True)
    answer = read_source_answer(wire.SourceAnswer(question_id="q", matches=[match_], more=2))
    assert answer.code is not None
    assert (answer.code.more, answer.code.matches[0].before) == (2, ("x",))
    refused = wire.SourceAnswer(question_id="q", problem=wire.Problem(code="unknown_function"))
    assert read_source_answer(refused).problem is not None


def test_an_environment_not_given_is_default_and_a_strange_start_is_now() -> None:
    hello = wire.Hello(protocol_version=1, instance="i-1", service="s", started_unix_ms=2**60)
    newcomer = read_hello(wire.ConnectRequest(hello=hello))
    assert newcomer.instance.environment == "default"
    assert abs(newcomer.instance.since - to_time(now_ms())) < timedelta(seconds=10)


def test_a_service_without_a_name_is_refused() -> None:
    with pytest.raises(HelloRefused):
        read_hello(wire.ConnectRequest(hello=wire.Hello(protocol_version=1, instance="i-1")))
