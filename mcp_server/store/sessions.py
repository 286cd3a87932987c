"""Server processes and their leases."""

from __future__ import annotations

import os

from sqlalchemy import and_, func, insert, select, update
from sqlalchemy.sql.elements import ColumnElement

from mcp_server.model import Owner
from mcp_server.store.audit import Act, write_down
from mcp_server.store.database import Database
from mcp_server.store.tables import sessions
from mcp_server.store.times import now_ms


def alive(now: int) -> ColumnElement[bool]:
    """True for sessions that have neither ended nor let their lease lapse."""
    return and_(sessions.c.ended_ms.is_(None), sessions.c.lapses_ms > now)


class Sessions:
    """One row per server process."""

    def __init__(self, database: Database, lease_ms: int) -> None:
        self._database = database
        self._lease_ms = lease_ms

    async def begin(self, owner: Owner) -> None:
        """Open a session, with its lease."""
        now = now_ms()
        async with self._database.write() as connection:
            await write_down(connection, Act(owner, "begin_session"))
            await connection.execute(
                insert(sessions).values(
                    id=owner.session,
                    principal=owner.principal,
                    client=owner.client,
                    pid=os.getpid(),
                    started_ms=now,
                    renewed_ms=now,
                    lapses_ms=now + self._lease_ms,
                )
            )

    async def renew(self, owner: Owner) -> None:
        """Extend the lease by its full length from now; note the client's name of now."""
        now = now_ms()
        async with self._database.write() as connection:
            await connection.execute(
                update(sessions)
                .where(sessions.c.id == owner.session)
                .values(renewed_ms=now, lapses_ms=now + self._lease_ms, client=owner.client)
            )

    async def hold(self, session: str) -> None:
        """Note that this session holds the agents from now on."""
        async with self._database.write() as connection:
            await connection.execute(
                update(sessions).where(sessions.c.id == session).values(holding_since_ms=now_ms())
            )

    async def end(self, owner: Owner) -> None:
        """End the session: its probes are wanted no more."""
        async with self._database.write() as connection:
            await write_down(connection, Act(owner, "end_session"))
            await connection.execute(
                update(sessions).where(sessions.c.id == owner.session).values(ended_ms=now_ms())
            )

    async def holding_since_ms(self) -> int | None:
        """Since when a living session has held the agents; None while none does."""
        statement = select(func.max(sessions.c.holding_since_ms)).where(alive(now_ms()))
        async with self._database.read() as connection:
            since: int | None = (await connection.execute(statement)).scalar_one()
        return since
