"""The agent inside one process, against a small real hub on a Unix socket."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading

import pytest

import probe_agent
from probe_agent.wire.sonde.v1 import relay_pb2 as wire

CHECK = """\
class Desk:
    def __init__(self, limit):
        self.limit = limit

def check(amount, desk):
    limit = desk.limit
    over = amount > limit  # probe: here
    return over
"""


@pytest.fixture
def agent(hub):
    probe_agent.start("trades", hub=hub.address, environment="test", version="v1")
    yield hub
    probe_agent.stop()


def snapshot(module, line, probe_id="p-aaaaaa", **options) -> wire.Probe:
    options = {"max_hits": 5, "ttl_ms": 60_000, "max_hits_per_second": 1000} | options
    options.setdefault("stack_frames", 5)
    options.setdefault("kind", wire.PROBE_KIND_SNAPSHOT)
    return wire.Probe(
        probe_id=probe_id, where=wire.Where(file=module.__file__, line=line), **options
    )


def capture(*expressions: str) -> list[wire.CaptureExpression]:
    return [wire.CaptureExpression(name=e, expression=e) for e in expressions]


def test_the_agent_says_who_it_is(agent):
    hello = agent.wait_for(lambda heard: heard and heard[0].hello, "hello")
    assert (hello.service, hello.environment, hello.version) == ("trades", "test", "v1")
    assert hello.pid == os.getpid()
    assert hello.runtime.version == ".".join(map(str, sys.version_info[:3]))


def test_a_snapshot_brings_values_back_and_is_gone_at_max_hits(agent, load, line_of):
    module = load("agent_snapshot", CHECK)
    original = module.check.__code__
    probe = snapshot(module, line_of(module), max_hits=2, captures=capture("amount", "desk.limit"))
    agent.place(probe)
    armed = agent.wait_for_state("p-aaaaaa", wire.PROBE_STATE_ARMED)
    assert armed.location.code == "over = amount > limit  # probe: here"
    for amount in ("15000", "9100", "1"):
        assert module.check(amount, module.Desk("9000")) is (amount > "9000")
    done = agent.wait_for_state("p-aaaaaa", wire.PROBE_STATE_DONE)
    results = agent.results("p-aaaaaa")
    literals = [{v.name: (v.literal, v.type) for v in r.values} for r in results]
    assert literals == [
        {"amount": ("'15000'", "str"), "desk.limit": ("'9000'", "str")},
        {"amount": ("'9100'", "str"), "desk.limit": ("'9000'", "str")},
    ]
    assert [r.sequence for r in results] == [1, 2]
    assert done.counts.captured == 2
    assert done.counts.line_hits == done.counts.condition_true
    assert results[0].stack[0].endswith(f"agent_snapshot.py:{line_of(module)} check")
    assert module.check.__code__ is original


def test_without_capture_expressions_all_variables_come_back(agent, load, line_of):
    module = load("agent_locals", CHECK)
    agent.place(snapshot(module, line_of(module), max_hits=1))
    agent.wait_for_state("p-aaaaaa", wire.PROBE_STATE_ARMED)
    module.check(3, module.Desk(2))
    (result,) = agent.wait_for_results("p-aaaaaa", 1)
    values = {v.name: v.literal for v in result.values}
    assert values == {
        "amount": "3",
        "desk": "Desk(limit=2)",
        "limit": "2",
        "over": "<unbound>",
    }


def test_each_round_of_a_for_loop_is_a_hit_on_its_line(agent, load, line_of):
    text = "def total(items):\n    t = 0\n    for i in items:  # probe: here\n        t += i\n    return t\n"
    module = load("agent_rounds", text)
    agent.place(snapshot(module, 3, captures=capture("t"), max_hits=10))
    agent.wait_for_state("p-aaaaaa", wire.PROBE_STATE_ARMED)
    assert module.total([1, 2, 3]) == 6
    results = agent.wait_for_results("p-aaaaaa", 4)
    assert [r.values[0].literal for r in results] == ["0", "1", "3", "6"]
    assert {r.stack[0].rsplit("/", 1)[-1] for r in results} == {"agent_rounds.py:3 total"}


def test_a_log_probe_fills_its_message(agent, load, line_of):
    module = load("agent_log", CHECK)
    probe = snapshot(
        module,
        line_of(module),
        kind=wire.PROBE_KIND_LOG,
        message="{amount:.1f} against {desk.limit} {{",
    )
    agent.place(probe)
    agent.wait_for_state("p-aaaaaa", wire.PROBE_STATE_ARMED)
    module.check(3, module.Desk(2))
    (result,) = agent.wait_for_results("p-aaaaaa", 1)
    assert result.message == "3.0 against 2 {"


def test_a_condition_that_is_never_true_says_what_it_compared(agent, load, line_of):
    module = load("agent_false", CHECK)
    agent.place(snapshot(module, line_of(module), condition="amount > desk.limit"))
    agent.wait_for_state("p-aaaaaa", wire.PROBE_STATE_ARMED)
    for amount in range(100):
        module.check(amount, module.Desk(1000))
    status = agent.wait_for(
        lambda _: (s := agent.statuses()["p-aaaaaa"]).counts.condition_false == 100 and s, "100"
    )
    assert status.counts.line_hits == 100
    assert not agent.results("p-aaaaaa")
    assert [[(v.name, v.literal) for v in s.parts] for s in status.samples] == [
        [("amount", str(n)), ("desk.limit", "1000")] for n in range(3)
    ]


def test_errors_of_a_condition_are_counted_and_never_reach_the_application(agent, load, line_of):
    module = load("agent_error", CHECK)
    agent.place(snapshot(module, line_of(module), condition="desk.missing > 1"))
    agent.wait_for_state("p-aaaaaa", wire.PROBE_STATE_ARMED)
    assert module.check(3, module.Desk(2)) is True
    status = agent.wait_for(
        lambda _: (s := agent.statuses()["p-aaaaaa"]).counts.condition_errors and s, "an error"
    )
    assert "missing" in status.condition_error


def test_removing_a_probe_puts_the_original_code_object_back(agent, load, line_of):
    module = load("agent_remove", CHECK)
    original = module.check.__code__
    agent.place(snapshot(module, line_of(module)))
    agent.wait_for_state("p-aaaaaa", wire.PROBE_STATE_ARMED)
    assert module.check.__code__ is not original
    agent.remove("p-aaaaaa")
    agent.wait_for_state("p-aaaaaa", wire.PROBE_STATE_REMOVED)
    assert module.check.__code__ is original


def test_a_probe_expires_with_its_ttl(agent, load, line_of):
    module = load("agent_ttl", CHECK)
    original = module.check.__code__
    agent.place(snapshot(module, line_of(module), ttl_ms=50))
    agent.wait_for_state("p-aaaaaa", wire.PROBE_STATE_EXPIRED)
    assert module.check.__code__ is original


def test_an_agent_that_hears_nothing_removes_its_probes_by_itself(hub, load, line_of):
    hub.lease_ms = 1500
    module = load("agent_lease", CHECK)
    original = module.check.__code__
    probe_agent.start("trades", hub=hub.address)
    try:
        hub.place(snapshot(module, line_of(module)))
        hub.wait_for_state("p-aaaaaa", wire.PROBE_STATE_ARMED)
        hub.close()
        assert _comes_true(lambda: module.check.__code__ is original)
    finally:
        probe_agent.stop()


def test_results_that_were_not_acknowledged_are_sent_again_with_their_numbers(agent, load, line_of):
    module = load("agent_again", CHECK)
    agent.acknowledges = False
    agent.place(snapshot(module, line_of(module)))
    agent.wait_for_state("p-aaaaaa", wire.PROBE_STATE_ARMED)
    module.check(1, module.Desk(2))
    (first,) = agent.wait_for_results("p-aaaaaa", 1)
    agent.close()
    agent.heard.clear()
    agent.open()
    agent.send(desired=wire.DesiredSet(probes=[snapshot(module, line_of(module))]))
    (again,) = agent.wait_for_results("p-aaaaaa", 1)
    assert (again.number, again.result_id) == (first.number, first.result_id)
    assert agent.wait_for_state("p-aaaaaa", wire.PROBE_STATE_ARMED).counts.captured == 1


def test_a_module_imported_after_placing_carries_the_probe_from_its_first_call(
    agent, load, line_of, tmp_path
):
    text = CHECK + "\nfirst = check(1, Desk(2))\n"
    (tmp_path / "agent_later.py").write_text(text)
    where = wire.Where(file="agent_later.py", line=line_of(text))
    agent.place(
        wire.Probe(
            probe_id="p-later2",
            kind=wire.PROBE_KIND_SNAPSHOT,
            where=where,
            max_hits=5,
            ttl_ms=60_000,
            max_hits_per_second=100,
        )
    )
    agent.wait_for_state("p-later2", wire.PROBE_STATE_PENDING)
    module = load("agent_later", text)
    agent.wait_for_results("p-later2", 1)
    agent.wait_for_state("p-later2", wire.PROBE_STATE_ARMED)
    agent.remove("p-later2")
    agent.wait_for_state("p-later2", wire.PROBE_STATE_REMOVED)
    assert "hit" not in str(module.check.__code__.co_consts)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        pytest.param({"condition": "open('x')"}, "expression_refused", id="a call"),
        pytest.param({"condition": "amount >"}, "expression_refused", id="no expression"),
        pytest.param({"condition": "desk.password == 'x'"}, "expression_refused", id="a secret"),
    ],
)
def test_what_the_language_refuses_is_refused_by_the_agent_too(agent, load, line_of, options, code):
    module = load("agent_refuses", CHECK)
    original = module.check.__code__
    agent.place(snapshot(module, line_of(module), **options))
    status = agent.wait_for_state("p-aaaaaa", wire.PROBE_STATE_REFUSED)
    assert status.problem.code == code
    assert module.check.__code__ is original


def test_a_line_without_code_is_refused_with_the_nearest_lines(agent, load):
    module = load("agent_blank", CHECK)
    agent.place(snapshot(module, 4))
    status = agent.wait_for_state("p-aaaaaa", wire.PROBE_STATE_REFUSED)
    assert status.problem.code == "line_not_executable"
    assert "6" in status.problem.next_step + status.problem.why


def test_the_agent_says_where_a_place_is(agent, load):
    load("agent_where", CHECK)
    where = wire.Where(file="agent_where.py", expect_code="over = amount > limit")
    agent.send(location=wire.LocationQuestion(question_id="q-1", where=where))
    answer = agent.wait_for(
        lambda heard: [m.location for m in heard if m.location.question_id], "an answer"
    )[0]
    assert (answer.location.line, answer.location.function) == (7, "check")


def test_stopping_puts_every_original_back_and_says_goodbye(hub, load, line_of):
    module = load("agent_stop", CHECK)
    original = module.check.__code__
    probe_agent.start("trades", hub=hub.address)
    hub.place(snapshot(module, line_of(module)))
    hub.wait_for_state("p-aaaaaa", wire.PROBE_STATE_ARMED)
    module.check(1, module.Desk(2))
    probe_agent.stop()
    assert module.check.__code__ is original
    hub.wait_for(lambda heard: any(m.WhichOneof("message") == "goodbye" for m in heard), "goodbye")
    assert len(hub.results("p-aaaaaa")) == 1


def test_the_agents_thread_does_not_show(agent):
    agent.wait_for(lambda heard: heard, "hello")
    assert threading.active_count() == len(threading.enumerate()) == 2  # ours is the small hub's


def test_an_application_that_logs_everything_does_not_log_our_stream(hub, caplog):
    with caplog.at_level(logging.DEBUG):
        probe_agent.start("trades", hub=hub.address)
        hub.wait_for(
            lambda heard: any(m.WhichOneof("message") == "report" for m in heard), "report"
        )
        probe_agent.stop()
    ours = [r for r in caplog.records if r.name.startswith(("hpack", "grpclib", "h2"))]
    # The small hub lives in this process too, and speaks through the same libraries.
    assert not ours
    assert logging.getLogger("hpack").level == logging.NOTSET


def test_a_hub_that_refuses_is_not_dialled_in_a_hurry(hub):
    hub.refusal = wire.Refusal(what="No", why="because", next_step="Wait", retry_after_ms=60_000)
    probe_agent.start("trades", hub=hub.address)
    try:
        hub.wait_for(lambda heard: heard, "hello")
    finally:
        probe_agent.stop()
    assert len(hub.heard) == 1


FORK = """\
import os, sys, probe_agent, importlib
sys.path.insert(0, sys.argv[2])
import forked
original = forked.check.__code__
probe_agent.start("trades", hub=sys.argv[1])
print("ready", flush=True); sys.stdin.readline()
assert forked.check.__code__ is not original, "not armed"
for round in range(3):
    child = os.fork()
    if child == 0:
        same = forked.check.__code__ is original
        os._exit(0 if same and forked.check(1, forked.Desk(2)) is False else 1)
    assert os.waitpid(child, 0)[1] == 0, "the child carries the probe"
forked.check(5, forked.Desk(2))
print("called", flush=True); sys.stdin.readline()
"""


def test_a_forked_child_has_the_originals_back_and_the_parent_goes_on(hub, tmp_path, line_of):
    (tmp_path / "forked.py").write_text(CHECK)
    command = [sys.executable, "-W", "error", "-X", "dev", "-c", FORK, hub.address, str(tmp_path)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "ready\n"
        where = wire.Where(file="forked.py", line=line_of(CHECK))
        hub.place(
            wire.Probe(
                probe_id="p-aaaaaa",
                kind=wire.PROBE_KIND_SNAPSHOT,
                where=where,
                max_hits=5,
                ttl_ms=60_000,
                max_hits_per_second=100,
            )
        )
        hub.wait_for_state("p-aaaaaa", wire.PROBE_STATE_ARMED)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "called\n", process.stderr.read()
        hub.wait_for_results("p-aaaaaa", 1)
        _, errors = process.communicate("\n", timeout=10)
    assert (process.returncode, errors) == (0, "")
    assert len(hub.results("p-aaaaaa")) == 1
    assert len([m for m in hub.heard if m.WhichOneof("message") == "hello"]) == 1


def _comes_true(claim) -> bool:
    """Watch a claim about this process under a timeout; no event tells of it."""
    waiting = threading.Event()
    return any(claim() or waiting.wait(0.01) for _ in range(3000)) and claim()
