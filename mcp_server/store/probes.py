"""Probes as somebody wanted them, and the facts that decide whether they still are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, exists, func, insert, or_, select, update
from sqlalchemy.dialects.sqlite import insert as insert_or_update
from sqlalchemy.ext.asyncio import AsyncConnection

from mcp_server.model import Owner, StoredProbe
from mcp_server.store.audit import Act, write_down
from mcp_server.store.codec import SPEC, STATUS, Spec
from mcp_server.store.database import Database
from mcp_server.store.tables import probes, results, sessions, statuses
from mcp_server.store.times import now_ms, to_ms, to_time
from probe_agent.probe import Kind, Status


@dataclass(frozen=True, slots=True)
class ProbeFacts:
    """A probe, and what decides whether it is still wanted.

    `position`: order of placing. `result_count`: results stored. `is_session_alive`: its session
    has neither ended nor lapsed.
    """

    probe: StoredProbe
    position: int
    result_count: int
    is_session_alive: bool


@dataclass(frozen=True, slots=True)
class Held:
    """An instance chosen for a probe. `is_final`: it said that it is through with it."""

    probe_id: str
    instance: str
    is_final: bool


@dataclass(frozen=True, slots=True)
class Page:
    """Some probes, newest first, and how many older ones there are."""

    facts: tuple[ProbeFacts, ...]
    more: int


class Probes:
    """Every probe that was placed and is not pruned yet."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def place(
        self, probe: StoredProbe, chosen: dict[str, Status | None], details: dict[str, object]
    ) -> None:
        """Store a probe with the instances chosen for it, and the row of the audit before it.

        Args: chosen: by instance; a status where the instance refused already, else None.
        """
        async with self._database.write() as connection:
            await write_down(connection, Act(probe.owner, "place", probe.reason, details))
            await connection.execute(insert(probes).values(**_columns(probe)))
            await _choose(connection, [(probe.probe_id, i, s) for i, s in chosen.items()])

    async def choose(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Note further (probe, instance) pairs; those noted already stay as they are."""
        async with self._database.write() as connection:
            await _choose(connection, [(probe, instance, None) for probe, instance in pairs])

    async def remove(self, owner: Owner, probe_ids: Sequence[str]) -> None:
        """Want these probes no more."""
        async with self._database.write() as connection:
            act = Act(owner, "remove", details={"probe_ids": list(probe_ids)})
            await write_down(connection, act)
            await connection.execute(
                update(probes)
                .where(probes.c.id.in_(probe_ids), probes.c.removed_ms.is_(None))
                .values(removed_ms=now_ms())
            )

    async def by_id(self, probe_ids: Sequence[str]) -> tuple[ProbeFacts, ...]:
        """Read these probes, oldest first; unknown ids are absent."""
        return await self._facts(_facts().where(probes.c.id.in_(probe_ids)))

    async def of_session(self, session: str) -> tuple[ProbeFacts, ...]:
        """Read a session's probes, oldest first."""
        return await self._facts(_facts().where(probes.c.session == session))

    async def live(self) -> tuple[ProbeFacts, ...]:
        """Read the probes that may be wanted, or that some instance has not confirmed as gone."""
        return await self._facts(facts_of_live())

    async def page(
        self,
        principal: str,
        *,
        session: str | None,
        service: str | None,
        before: int | None,
        limit: int,
    ) -> Page:
        """Read a principal's probes, newest first.

        Args: before: only those placed before this position.
        """
        statement = _facts().where(probes.c.principal == principal)
        if session is not None:
            statement = statement.where(probes.c.session == session)
        if service is not None:
            statement = statement.where(probes.c.service == service)
        if before is not None:
            statement = statement.where(probes.c.position < before)
        count = select(func.count()).select_from(statement.subquery())
        newest = statement.order_by(None).order_by(probes.c.position.desc()).limit(limit)
        async with self._database.read() as connection:
            rows = (await connection.execute(newest)).all()
            total: int = (await connection.execute(count)).scalar_one()
        return Page(tuple(_read(row) for row in rows), total - len(rows))

    async def _facts(self, statement: Select[Any]) -> tuple[ProbeFacts, ...]:
        async with self._database.read() as connection:
            return await read_facts(connection, statement)


async def read_facts(connection: AsyncConnection, statement: Select[Any]) -> tuple[ProbeFacts, ...]:
    """Run a statement made from `facts_of`."""
    return tuple(_read(row) for row in (await connection.execute(statement)).all())


def facts_of(probe_ids: Sequence[str]) -> Select[Any]:
    """Select the facts of these probes."""
    return _facts().where(probes.c.id.in_(probe_ids))


def facts_of_live() -> Select[Any]:
    """Select the facts of `Probes.live`."""
    unsettled = exists().where(statuses.c.probe == probes.c.id, ~statuses.c.is_final)
    maybe_wanted = probes.c.removed_ms.is_(None) & (probes.c.expires_ms > now_ms())
    return _facts().where(or_(maybe_wanted, unsettled))


async def read_held(connection: AsyncConnection, probe_ids: Sequence[str]) -> tuple[Held, ...]:
    """Read which instances were chosen for these probes."""
    columns = select(statuses.c.probe, statuses.c.instance, statuses.c.is_final)
    statement = columns.where(statuses.c.probe.in_(probe_ids))
    rows = (await connection.execute(statement)).all()
    return tuple(Held(row.probe, row.instance, row.is_final) for row in rows)


def _facts() -> Select[Any]:
    count = (
        select(func.count())
        .select_from(results)
        .where(results.c.probe == probes.c.id)
        .scalar_subquery()
    )
    return (
        select(
            probes,
            count.label("result_count"),
            sessions.c.ended_ms,
            sessions.c.lapses_ms,
        )
        .join(sessions, probes.c.session == sessions.c.id)
        .order_by(probes.c.position)
    )


def _columns(probe: StoredProbe) -> dict[str, object]:
    spec = Spec(
        target=probe.target,
        where=probe.where,
        location=probe.location,
        condition=probe.condition,
        captures=probe.captures,
        message=probe.message,
        stack_frames=probe.stack_frames,
        reason=probe.reason,
    )
    return {
        "id": probe.probe_id,
        "principal": probe.owner.principal,
        "session": probe.owner.session,
        "client": probe.owner.client,
        "service": probe.target.service,
        "environment": probe.target.environment,
        "kind": probe.kind.value,
        "max_hits": probe.max_hits,
        "spec": SPEC.text(spec),
        "created_ms": to_ms(probe.created_at),
        "expires_ms": to_ms(probe.expires_at),
    }


def _read(row: Any) -> ProbeFacts:
    spec = SPEC.value(row.spec)
    probe = StoredProbe(
        probe_id=row.id,
        owner=Owner(row.principal, row.session, row.client),
        target=spec.target,
        kind=Kind(row.kind),
        where=spec.where,
        location=spec.location,
        condition=spec.condition,
        captures=spec.captures,
        message=spec.message,
        stack_frames=spec.stack_frames,
        max_hits=row.max_hits,
        reason=spec.reason,
        created_at=to_time(row.created_ms),
        expires_at=to_time(row.expires_ms),
        removed_at=None if row.removed_ms is None else to_time(row.removed_ms),
    )
    is_alive = row.ended_ms is None and row.lapses_ms > now_ms()
    return ProbeFacts(probe, row.position, row.result_count, is_alive)


async def _choose(
    connection: AsyncConnection, chosen: Sequence[tuple[str, str, Status | None]]
) -> None:
    if not chosen:
        return
    rows = [
        {
            "probe": probe_id,
            "instance": instance,
            "status": None if status is None else STATUS.text(status),
            "is_final": status is not None and status.state.is_final,
            "overflow": 0,
        }
        for probe_id, instance, status in chosen
    ]
    await connection.execute(insert_or_update(statuses).on_conflict_do_nothing(), rows)
