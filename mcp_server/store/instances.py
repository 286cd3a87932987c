"""Processes with an agent: who they are, and which server holds their streams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, true, update
from sqlalchemy.dialects.sqlite import insert as insert_or_update
from sqlalchemy.ext.asyncio import AsyncConnection

from mcp_server.model import Instance
from mcp_server.store.codec import LABELS
from mcp_server.store.database import Database
from mcp_server.store.sessions import alive
from mcp_server.store.tables import instances, sessions
from mcp_server.store.times import now_ms, to_ms, to_time


@dataclass(frozen=True, slots=True)
class KnownInstance:
    """An instance, and until when it may hold probes although it is gone (0 while connected)."""

    instance: Instance
    holds_until_ms: int


def is_connected(now: int) -> ColumnElement[bool]:
    """True for instances whose stream a living session holds; needs the join with `sessions`."""
    return and_(sessions.c.id.is_not(None), alive(now))


def with_holder() -> Any:
    """Join instances with the session that holds each, if any."""
    return instances.outerjoin(sessions, instances.c.holder == sessions.c.id)


class Instances:
    """One row per process with an agent."""

    def __init__(self, database: Database, lease_ms: int) -> None:
        self._database = database
        self._lease_ms = lease_ms

    async def connected(self, instance: Instance, holder: str) -> None:
        """Note that `holder` has this instance's stream."""
        said = {
            "service": instance.service,
            "environment": instance.environment,
            "version": instance.version,
            "language": instance.language,
            "python": instance.python,
            "pid": instance.pid,
            "host": instance.host,
            "labels": LABELS.text(instance.labels),
            "holder": holder,
            "holds_until_ms": 0,
        }
        statement = insert_or_update(instances).values(
            id=instance.instance, since_ms=to_ms(instance.since), through_number=0, **said
        )
        async with self._database.write() as connection:
            await connection.execute(
                statement.on_conflict_do_update(index_elements=[instances.c.id], set_=said)
            )

    async def gone(self, instance: str, holder: str, *, with_probes: bool) -> None:
        """Note that the stream ended. `with_probes`: it may hold them until its lease ends.

        Nothing happens if another session has the stream by now.
        """
        until = now_ms() + self._lease_ms if with_probes else 0
        async with self._database.write() as connection:
            await connection.execute(
                update(instances)
                .where(instances.c.id == instance, instances.c.holder == holder)
                .values(holder=None, holds_until_ms=until)
            )

    async def forget_holders(self) -> None:
        """Note that nobody holds any stream: said by who has just got the lock."""
        async with self._database.write() as connection:
            await connection.execute(
                update(instances)
                .where(instances.c.holder.is_not(None))
                .values(holder=None, holds_until_ms=now_ms() + self._lease_ms)
            )

    async def known(self) -> tuple[KnownInstance, ...]:
        """List every instance that is remembered, the oldest first."""
        async with self._database.read() as connection:
            return await _read(connection, true())

    async def present(self) -> tuple[KnownInstance, ...]:
        """List those that are connected, or may hold probes although they are gone."""
        async with self._database.read() as connection:
            return await read_present(connection)


async def read_present(connection: AsyncConnection) -> tuple[KnownInstance, ...]:
    """Do the work of `Instances.present`."""
    may_hold = instances.c.holds_until_ms > now_ms()
    return await _read(connection, or_(instances.c.holder.is_not(None), may_hold))


async def _read(
    connection: AsyncConnection, which: ColumnElement[bool]
) -> tuple[KnownInstance, ...]:
    statement = (
        select(instances, is_connected(now_ms()).label("is_connected"))
        .select_from(with_holder())
        .where(which)
        .order_by(instances.c.since_ms, instances.c.id)
    )
    return tuple(_known(row) for row in (await connection.execute(statement)).all())


def _known(row: Any) -> KnownInstance:
    instance = Instance(
        instance=row.id,
        service=row.service,
        environment=row.environment,
        version=row.version,
        language=row.language,
        python=row.python,
        pid=row.pid,
        host=row.host,
        labels=LABELS.value(row.labels),
        since=to_time(row.since_ms),
        connected=bool(row.is_connected),
    )
    return KnownInstance(instance, row.holds_until_ms)
