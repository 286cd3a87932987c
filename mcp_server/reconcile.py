"""What each agent should be told now: wanted probes, connected instances, and what each was sent.

Pure functions over the store's facts. The holder's loop runs `plan` after every change and sends
what it says; `choose` also tells `hub` whom to ask before a probe is placed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from mcp_server.model import Instance, StoredProbe, Target
from mcp_server.store import Held, KnownInstance, ProbeFacts, to_time


@dataclass(frozen=True, slots=True)
class Sent:
    """Ids that an instance was sent over its present stream."""

    placed: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Step:
    """What one instance is to be told. An id that it does not hold is confirmed all the same."""

    place: tuple[StoredProbe, ...] = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """`chosen`: (probe, instance) pairs to note before the steps are sent; `steps` by instance."""

    chosen: tuple[tuple[str, str], ...]
    steps: dict[str, Step]


def is_wanted(facts: ProbeFacts, now_ms: int) -> bool:
    """True while somebody still waits for what this probe may bring."""
    probe = facts.probe
    return (
        probe.removed_at is None
        and probe.expires_at > to_time(now_ms)
        and facts.is_session_alive
        and facts.result_count < probe.max_hits
    )


def matches(target: Target, instance: Instance) -> bool:
    """True if the target means this instance, leaving aside how many it wants."""
    return (
        instance.service == target.service
        and target.environment in (None, instance.environment)
        and target.version in (None, instance.version)
        and all(instance.labels.get(key) == value for key, value in target.labels.items())
        and (not isinstance(target.instances, tuple) or instance.instance in target.instances)
    )


def choose(
    target: Target, instances: Sequence[KnownInstance], chosen: Collection[str], now_ms: int
) -> tuple[Instance, ...]:
    """Pick the connected instances that a probe goes to.

    Under a limit, who was chosen before stays chosen, and counts for as long as it may hold the
    probe, connected or not; free places go to the longest connected.
    """
    candidates = [
        known.instance
        for known in instances
        if known.instance.connected and matches(target, known.instance)
    ]
    if not isinstance(target.instances, int):
        return tuple(candidates)
    taken = sum(
        known.instance.instance in chosen
        and (known.instance.connected or known.holds_until_ms > now_ms)
        for known in instances
    )
    free = [c for c in candidates if c.instance not in chosen][: max(0, target.instances - taken)]
    return tuple(c for c in candidates if c.instance in chosen or c in free)


def plan(
    probes: Sequence[ProbeFacts],
    held: Sequence[Held],
    instances: Sequence[KnownInstance],
    sent: Mapping[str, Sent],
    now_ms: int,
) -> Plan:
    """Decide what to tell each instance in `sent`, which holds every stream of this process.

    A final word ends a probe for its instance: it is neither placed there again nor removed.
    """
    goals = {
        facts.probe.probe_id: _goal(facts, held, instances, sent, now_ms)
        for facts in probes
        if is_wanted(facts, now_ms)
    }
    noted = {(h.probe_id, h.instance) for h in held}
    chosen = ((probe_id, i) for probe_id, ids in goals.items() for i in sorted(ids))
    steps = {i: _step(i, probes, goals, held, sent[i]) for i in sent}
    return Plan(tuple(pair for pair in chosen if pair not in noted), steps)


def _goal(
    facts: ProbeFacts,
    held: Sequence[Held],
    instances: Sequence[KnownInstance],
    sent: Mapping[str, Sent],
    now_ms: int,
) -> frozenset[str]:
    probe = facts.probe
    chosen = {h.instance for h in held if h.probe_id == probe.probe_id}
    picked = choose(probe.target, instances, chosen, now_ms)
    return frozenset(p.instance for p in picked if p.instance in sent)


def _step(
    instance: str,
    probes: Sequence[ProbeFacts],
    goals: Mapping[str, frozenset[str]],
    held: Sequence[Held],
    sent: Sent,
) -> Step:
    here = [h for h in held if h.instance == instance]
    final = {h.probe_id for h in here if h.is_final}
    wanted = {probe_id for probe_id, ids in goals.items() if instance in ids}
    open_ids = ({h.probe_id for h in here} | sent.placed) - final
    return Step(
        place=tuple(
            f.probe
            for f in probes
            if f.probe.probe_id in wanted - final - sent.placed - sent.removed
        ),
        remove=tuple(sorted(open_ids - wanted - sent.removed)),
    )
