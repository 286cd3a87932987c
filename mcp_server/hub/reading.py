"""Read results after a cursor, waiting for the first one if asked to; list probes in pages."""

from __future__ import annotations

from collections.abc import Sequence

from mcp_server.deadline import Deadline
from mcp_server.hub.cursor import Over, read_cursor, write_cursor
from mcp_server.hub.naming import named
from mcp_server.hub.targets import of_service
from mcp_server.hub.view import fleet_state, make_view
from mcp_server.hub.waiting import Progress, Reporter
from mcp_server.model import Owner, ProbePage, ProbeView, ReadAnswer, StoredResult
from mcp_server.store import Store, now_ms


async def read(
    store: Store,
    owner: Owner,
    probe_ids: tuple[str, ...] | None,
    cursor: str,
    wait_seconds: float,
    limit: int,
    progress: Progress | None,
    by: Deadline,
) -> ReadAnswer:
    """Read what arrived after `cursor`; without ids, of every probe of the caller's session.

    Raises: UnknownProbe, StaleCursor.
    """
    position = read_cursor(Over.RESULTS, store.tag, cursor) if cursor else 0
    if probe_ids is None:
        facts = await store.probes.of_session(owner.session)
    else:
        facts = await named(store, owner, probe_ids)
    ids = [f.probe.probe_id for f in facts]
    waiting = Deadline(wait_seconds, by)
    found, more = await _wait(store, ids, position, limit, progress, waiting)
    last = found[-1].position if found else position
    return ReadAnswer(
        probes=await _views(store, ids, with_summary=True),
        results=found,
        next_cursor=write_cursor(Over.RESULTS, store.tag, last),
        more=more,
    )


async def list_probes(
    store: Store, owner: Owner, *, service: str | None, everyone: bool, cursor: str, limit: int
) -> ProbePage:
    """List probes, newest first: the session's own, or all of its principal.

    Raises: StaleCursor; UnknownService: neither a probe nor an instance of it was ever seen.
    """
    page = await store.probes.page(
        owner.principal,
        session=None if everyone else owner.session,
        service=service,
        before=read_cursor(Over.PROBES, store.tag, cursor) if cursor else None,
        limit=limit,
    )
    if service is not None and not page.facts:
        of_service(service, await store.instances.known())
    ids = [f.probe.probe_id for f in page.facts]
    return ProbePage(
        probes=await _views(store, ids, with_summary=False),
        cursors=tuple(write_cursor(Over.PROBES, store.tag, f.position) for f in page.facts),
        more=page.more,
    )


async def _wait(
    store: Store,
    ids: Sequence[str],
    position: int,
    limit: int,
    progress: Progress | None,
    deadline: Deadline,
) -> tuple[tuple[StoredResult, ...], int]:
    reporter = Reporter(progress, deadline)
    while True:
        seen = store.database.version
        found, more = await store.reports.after(ids, position, limit)
        if found or deadline.has_passed or not await _may_hit(store, ids):
            return found, more
        await reporter.tell("no result yet")
        await store.database.changed(seen, min(deadline.left_s, 1.0))


async def _may_hit(store: Store, ids: Sequence[str]) -> bool:
    now = now_ms()
    return any(
        not fleet_state(evidence.facts, evidence.rows, now).is_final
        for evidence in await store.reports.evidence(ids, with_results=False, with_summary=False)
    )


async def _views(store: Store, ids: Sequence[str], *, with_summary: bool) -> tuple[ProbeView, ...]:
    now = now_ms()
    return tuple(
        make_view(evidence, now)
        for evidence in await store.reports.evidence(
            ids, with_results=False, with_summary=with_summary
        )
    )
