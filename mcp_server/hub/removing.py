"""Remove probes, and say truthfully which of them are out of the code."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import Enum

from mcp_server.config import ServerConfig
from mcp_server.deadline import Deadline
from mcp_server.hub.naming import named
from mcp_server.hub.view import has_ended
from mcp_server.model import Owner, RemoveAnswer
from mcp_server.reconcile import is_wanted
from mcp_server.store import ProbeFacts, Store, now_ms


class _Fate(Enum):
    TO_REMOVE = "to remove"
    GONE = "already gone"
    NOT_YOURS = "not yours"


async def remove(
    config: ServerConfig,
    store: Store,
    owner: Owner,
    probe_ids: tuple[str, ...] | None,
    by: Deadline,
) -> RemoveAnswer:
    """Remove the probes named, or every one of the caller's session, and wait for the agents.

    Raises: UnknownProbe: nothing was removed.
    """
    facts = await _facts(store, owner, probe_ids)
    open_ids = await _open(store, [f.probe.probe_id for f in facts])
    fates = {f.probe.probe_id: _fate(owner, f, open_ids) for f in facts}
    ids = [probe_id for probe_id, fate in fates.items() if fate is _Fate.TO_REMOVE]
    if ids:
        await store.probes.remove(owner, ids)
    open_ids = await _wait(store, ids, Deadline(config.confirm_s, by))
    return RemoveAnswer(
        removed=tuple(i for i in ids if i not in open_ids),
        removing=tuple(i for i in ids if i in open_ids),
        already_gone=tuple(i for i, fate in fates.items() if fate is _Fate.GONE),
        not_yours=tuple(i for i, fate in fates.items() if fate is _Fate.NOT_YOURS),
    )


async def _facts(
    store: Store, owner: Owner, probe_ids: tuple[str, ...] | None
) -> tuple[ProbeFacts, ...]:
    if probe_ids is None:
        return await store.probes.of_session(owner.session)
    return await named(store, owner, probe_ids)


def _fate(owner: Owner, facts: ProbeFacts, open_ids: Collection[str]) -> _Fate:
    if not is_wanted(facts, now_ms()) and facts.probe.probe_id not in open_ids:
        return _Fate.GONE
    if facts.probe.owner.session != owner.session:
        return _Fate.NOT_YOURS
    return _Fate.TO_REMOVE


async def _wait(store: Store, ids: Sequence[str], deadline: Deadline) -> frozenset[str]:
    """Wait until every connected instance has confirmed. Returns: the ids still open."""
    while True:
        seen = store.database.version
        open_ids = await _open(store, ids)
        if not open_ids or deadline.has_passed:
            return open_ids
        await store.database.changed(seen, deadline.left_s)


async def _open(store: Store, ids: Sequence[str]) -> frozenset[str]:
    """Name those that some connected instance has not confirmed as out of its code."""
    if not ids:
        return frozenset()
    return frozenset(
        evidence.facts.probe.probe_id
        for evidence in await store.reports.evidence(ids, with_results=False, with_summary=False)
        if not all(has_ended(row) for row in evidence.rows if row.is_connected)
    )
