"""A module that is loaded again while its probe is armed: the new functions carry it too."""

import importlib
import sys
from pathlib import Path

import pytest

import probe_agent
from probe_agent.wire.sonde.v1 import relay_pb2 as wire

SOURCE = "def f(n):\n    return n + 1  # probe: here\n"


@pytest.fixture
def agent(hub):
    probe_agent.start("trades", hub=hub.address, environment="test", version="v1")
    yield hub
    probe_agent.stop()


def place(agent, module):
    agent.place(
        wire.Probe(
            probe_id="p-aaaaaa",
            kind=wire.PROBE_KIND_SNAPSHOT,
            where=wire.Where(file=module.__file__, line=2),
            captures=[wire.CaptureExpression(name="n", expression="n")],
            max_hits=10,
            ttl_ms=60_000,
            max_hits_per_second=1000,
        )
    )
    agent.wait_for_state("p-aaaaaa", wire.PROBE_STATE_ARMED)


def hits(agent, count):
    return [r.values[0].literal for r in agent.wait_for_results("p-aaaaaa", count)]


def test_a_reloaded_module_carries_the_probe_and_so_do_its_old_functions(agent, load):
    module = load("reload_same", SOURCE)
    before, original = module.f, module.f.__code__
    place(agent, module)
    importlib.reload(module)
    assert (before(1), module.f(2)) == (2, 3)
    assert hits(agent, 2) == ["1", "2"]
    agent.remove("p-aaaaaa")
    agent.wait_for_state("p-aaaaaa", wire.PROBE_STATE_REMOVED)
    assert before.__code__ is original
    assert module.f.__code__ == original  # of its own; equal but for what a probe would have added


def test_a_line_that_has_moved_at_a_reload_is_followed_by_its_text(agent, load):
    module = load("reload_moved", SOURCE)
    place(agent, module)
    Path(module.__file__).write_text("def g(n):\n    return n - 1\n" + SOURCE)
    importlib.reload(module)
    assert (module.g(7), module.f(2)) == (6, 3)
    assert hits(agent, 1) == ["2"]


def test_a_module_that_was_forgotten_and_imported_again_carries_the_probe(agent, load):
    module = load("reload_anew", SOURCE)
    place(agent, module)
    del sys.modules["reload_anew"]
    again = importlib.import_module("reload_anew")
    assert (module.f(1), again.f(2)) == (2, 3)
    assert hits(agent, 2) == ["1", "2"]
