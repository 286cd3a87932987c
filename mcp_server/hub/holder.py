"""What the process that holds the agents does: listen, tell each agent what is wanted, ask, renew.

Every server process has a Holder; the one that gets the lock works, the others try again until the
lock is free. Leases are renewed by the same loop that reads the store: a hub that cannot tell what
is wanted does not keep probes alive.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from mcp_server.config import ServerConfig
from mcp_server.deadline import Deadline
from mcp_server.home import HolderLock
from mcp_server.hub.waiting import keep_doing
from mcp_server.model import Answer, Question, StoredProbe
from mcp_server.reconcile import Sent, Step, plan
from mcp_server.registry import NEEDED, Ask, Capability, Change, Desired, Link, Registry, Renew
from mcp_server.relay import Relay
from mcp_server.store import Fleet, KnownInstance, Store, now_ms, read_fleet
from probe_agent.probe import Problem, State, Status

_logger = structlog.get_logger(__name__)

# Reports of busy probes change the store all the time; each round costs some milliseconds.
_APART_S: Final = 0.01


class Holder:
    """Holds the agents, or waits for its turn."""

    def __init__(self, config: ServerConfig, store: Store, session: str) -> None:
        self._config = config
        self._store = store
        self._session = session
        self._lock = HolderLock(config.lock)
        self._registry = Registry()
        self._relay = Relay(config, store, self._registry, session)
        self._seen = -1
        self._looked_at_s = -math.inf
        # What only time changes (a probe's end, a lapsed session) is noticed within this.
        self._look_every_s = min(1.0, config.lease_s / 4)
        # Three renewals per lease, however late a round comes.
        self._tick_s = min(0.25, config.lease_s / 12)

    async def try_to_hold(self) -> None:
        """Take the lock if it is free, and with it the agents."""
        if not self._lock.take():
            return
        try:
            await self._store.instances.forget_holders()
            await self._relay.listen()
            await self._store.sessions.hold(self._session)
        except BaseException:
            await self._relay.stop()
            self._lock.release()
            raise
        _logger.info("holding the agents", socket=str(self._config.socket))

    async def run(self) -> None:
        """Try for the lock; once we have it, keep every agent at what is wanted. Never returns."""
        await keep_doing("holding the agents", self._once, self._pause)

    async def stop(self) -> None:
        """Let the agents go, after they have confirmed what is wanted no more, or 0.5 s."""
        if not self._lock.is_held:
            return
        deadline = Deadline(self._config.leave_s)
        while not deadline.has_passed:
            seen = self._store.database.version
            await self._round()
            if not await self._is_waiting_for_agents():
                break
            await self._store.database.changed(seen, deadline.left_s)
        await self._relay.stop()
        self._lock.release()

    async def _is_waiting_for_agents(self) -> bool:
        told = {(p, link.instance) for link in self._registry.links for p in link.removed}
        fleet = await read_fleet(self._store.database)
        return any((h.probe_id, h.instance) in told and not h.is_final for h in fleet.held)

    async def _once(self) -> None:
        if self._lock.is_held:
            await self._round()
        else:
            await self.try_to_hold()

    async def _pause(self) -> None:
        if self._lock.is_held:
            await asyncio.sleep(_APART_S)
            await self._store.database.changed(self._seen, self._tick_s)
        else:
            await asyncio.sleep(self._config.lock_retry_s)

    async def _round(self) -> None:
        now_s = asyncio.get_running_loop().time()
        version = self._store.database.version
        is_due = version != self._seen or now_s - self._looked_at_s >= self._look_every_s
        if self._registry.links and is_due:
            self._seen, self._looked_at_s = version, now_s
            fleet = await read_fleet(self._store.database)
            await self._tell(fleet)
            await self._ask(fleet.questions)
        self._seen = version
        self._renew()

    async def _tell(self, fleet: Fleet) -> None:
        links = {link.instance: link for link in self._registry.links}
        present = [_as_linked(known, links) for known in fleet.instances]
        sent = {i: Sent(frozenset(k.placed), frozenset(k.removed)) for i, k in links.items()}
        now = plan(fleet.probes, fleet.held, present, sent, now_ms())
        if now.chosen:
            await self._store.probes.choose(now.chosen)
        for instance, step in now.steps.items():
            await self._take_step(links[instance], step)

    async def _take_step(self, link: Link, step: Step) -> None:
        place = tuple(p for p in step.place if NEEDED[p.kind] in link.capabilities)
        refused = [p for p in step.place if NEEDED[p.kind] not in link.capabilities]
        if refused:
            words = [_cannot(probe) for probe in refused]
            await self._store.reports.save(link.instance, (), words)
        if not link.is_greeted:
            link.send(Desired(place))
            link.is_greeted = True
            place = ()
        if place or step.remove:
            link.send(Change(place, step.remove))
        link.placed.update(p.probe_id for p in step.place)
        link.removed.update(step.remove)

    async def _ask(self, questions: Sequence[Question]) -> None:
        links = {link.instance: link for link in self._registry.links}
        for question in questions:
            link = links.get(question.instance)
            if link is not None and question.question_id not in link.asked:
                link.asked.add(question.question_id)
                await self._put(question, link)

    async def _put(self, question: Question, link: Link) -> None:
        if question.source is None or Capability.SOURCE in link.capabilities:
            link.send(Ask(question))
            return
        problem = Problem(
            "unsupported",
            "Cannot show the source",
            "this instance's agent does not serve it",
            "Read the file where it is deployed from",
        )
        answer = Answer(question.question_id, problem=problem)
        await self._store.questions.answer(link.instance, answer)

    def _renew(self) -> None:
        now_s = asyncio.get_running_loop().time()
        for link in self._registry.links:
            if now_s - link.renewed_at_s >= self._config.lease_s / 3 - self._tick_s:
                link.send(Renew())
                link.renewed_at_s = now_s


def _as_linked(known: KnownInstance, links: Mapping[str, Link]) -> KnownInstance:
    """Say connected of those whose stream is ours: we know, even while our own session has ended or
    lapsed and the store therefore says otherwise of all of them.
    """
    instance = known.instance
    connected = instance.instance in links
    return dataclasses.replace(known, instance=dataclasses.replace(instance, connected=connected))


def _cannot(probe: StoredProbe) -> Status:
    problem = Problem(
        "unsupported",
        f"Cannot place a {probe.kind.value} probe here",
        "this instance's agent does not offer that kind",
        "Choose another kind, or upgrade its agent",
    )
    return Status(probe.probe_id, State.REFUSED, problem=problem)
