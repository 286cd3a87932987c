from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from mcp_server.model import Instance, Owner, StoredProbe, Target
from mcp_server.reconcile import Plan, Sent, Step, choose, is_wanted, matches, plan
from mcp_server.store import Held, KnownInstance, ProbeFacts, to_time
from probe_agent.probe import Kind, Where

NOW_MS = 1_700_000_000_000


def probe(probe_id: str = "p-1", **changed: Any) -> ProbeFacts:
    facts = {k: changed.pop(k) for k in ("result_count", "is_session_alive") if k in changed}
    limits = {k: changed.pop(k) for k in ("instances", "labels", "version") if k in changed}
    stored = StoredProbe(
        probe_id=probe_id,
        owner=Owner("ada", "s-1", ""),
        target=Target("trades", "prod", **limits),
        kind=Kind.SNAPSHOT,
        where=Where("a.py", 1),
        location=None,
        condition=None,
        captures=(),
        message=None,
        stack_frames=5,
        max_hits=5,
        reason="because",
        created_at=to_time(NOW_MS),
        expires_at=to_time(NOW_MS) + timedelta(seconds=600),
        removed_at=None,
    )
    stored = dataclasses.replace(stored, **changed)
    return ProbeFacts(
        stored, **{"position": 1, "result_count": 0, "is_session_alive": True, **facts}
    )


def instance(name: str, *, holds_until_ms: int = 0, **changed: Any) -> KnownInstance:
    said: dict[str, Any] = {"service": "trades", "environment": "prod", "version": "v1"}
    said |= {"labels": {}, "connected": True, **changed}
    one = Instance(
        instance=name, language="", python="", pid=1, host="", since=to_time(NOW_MS), **said
    )
    return KnownInstance(one, holds_until_ms)


def planned(
    probes: list[ProbeFacts],
    held: list[Held],
    *instances: KnownInstance,
    sent: dict[str, Sent] | None = None,
) -> Plan:
    streams = {k.instance.instance: Sent() for k in instances if k.instance.connected}
    return plan(probes, held, instances, streams | (sent or {}), NOW_MS)


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        pytest.param({}, True, id="fresh"),
        pytest.param({"removed_at": to_time(NOW_MS)}, False, id="removed"),
        pytest.param({"expires_at": to_time(NOW_MS)}, False, id="expired"),
        pytest.param({"is_session_alive": False}, False, id="session over"),
        pytest.param({"result_count": 4}, True, id="one hit to go"),
        pytest.param({"result_count": 5}, False, id="all hits"),
    ],
)
def test_a_probe_is_wanted_until_any_of_its_ends(changed: dict[str, Any], wanted: bool) -> None:
    assert is_wanted(probe(**changed), NOW_MS) is wanted


@pytest.mark.parametrize(
    ("target", "changed"),
    [
        pytest.param(Target("other", "prod"), {}, id="service"),
        pytest.param(Target("trades", "test"), {}, id="environment"),
        pytest.param(Target("trades", "prod", version="v2"), {}, id="version"),
        pytest.param(Target("trades", "prod", instances=("i-2",)), {}, id="instance"),
        pytest.param(Target("trades", "prod", labels={"az": "1"}), {}, id="label missing"),
        pytest.param(
            Target("trades", labels={"az": "1"}), {"labels": {"az": "2"}}, id="label differs"
        ),
    ],
)
def test_a_target_leaves_out_what_it_does_not_name(target: Target, changed: dict[str, Any]) -> None:
    assert not matches(target, instance("i-1", **changed).instance)
    assert matches(
        Target("trades", labels=changed.get("labels", {})), instance("i-1", **changed).instance
    )


def names(chosen: tuple[Instance, ...]) -> list[str]:
    return [one.instance for one in chosen]


def test_a_limit_takes_the_longest_connected_and_keeps_who_was_chosen() -> None:
    known = [instance("i-1"), instance("i-2"), instance("i-3")]
    assert names(choose(Target("trades", instances=2), known, (), NOW_MS)) == ["i-1", "i-2"]
    assert names(choose(Target("trades", instances=2), known, {"i-3"}, NOW_MS)) == ["i-1", "i-3"]


def test_a_gone_instance_keeps_its_place_until_its_lease_has_ended() -> None:
    target = Target("trades", instances=1)
    gone = instance("i-1", connected=False, holds_until_ms=NOW_MS + 1)
    assert choose(target, [gone, instance("i-2")], {"i-1"}, NOW_MS) == ()
    assert names(choose(target, [gone, instance("i-2")], {"i-1"}, NOW_MS + 1)) == ["i-2"]


def test_a_wanted_probe_is_placed_once_and_its_choice_noted() -> None:
    facts = probe()
    assert planned([facts], [], instance("i-1")) == Plan(
        (("p-1", "i-1"),), {"i-1": Step(place=(facts.probe,))}
    )
    again = planned(
        [facts],
        [Held("p-1", "i-1", is_final=False)],
        instance("i-1"),
        sent={"i-1": Sent(placed=frozenset({"p-1"}))},
    )
    assert again == Plan((), {"i-1": Step()})


def test_a_new_stream_gets_what_is_wanted_again() -> None:
    facts = probe()
    step = planned([facts], [Held("p-1", "i-1", is_final=False)], instance("i-1")).steps["i-1"]
    assert step == Step(place=(facts.probe,))


def test_an_instance_with_a_final_word_is_neither_told_to_place_nor_to_remove() -> None:
    final = [Held("p-1", "i-1", is_final=True)]
    for facts in (probe(), probe(removed_at=to_time(NOW_MS))):
        assert planned([facts], final, instance("i-1")).steps["i-1"] == Step()


def test_what_is_not_wanted_is_removed_once_from_everyone_who_has_not_confirmed() -> None:
    gone = probe(removed_at=to_time(NOW_MS))
    held = [Held("p-1", "i-1", is_final=False)]
    assert planned([gone], held, instance("i-1")).steps["i-1"] == Step(remove=("p-1",))
    told = {"i-1": Sent(placed=frozenset({"p-1"}), removed=frozenset({"p-1"}))}
    assert planned([gone], held, instance("i-1"), sent=told).steps["i-1"] == Step()


def test_only_instances_whose_stream_is_here_are_told_anything() -> None:
    result = plan([probe()], [], [instance("i-1")], {}, NOW_MS)
    assert result == Plan((), {})
