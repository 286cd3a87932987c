"""Who did what: rows that are only ever added, each in the transaction of its act and before it."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from mcp_server.model import Owner
from mcp_server.store.codec import DETAILS
from mcp_server.store.tables import audit
from mcp_server.store.times import now_ms


@dataclass(frozen=True, slots=True)
class Act:
    """What is about to be done, by whom and why."""

    owner: Owner
    verb: str
    reason: str = ""
    details: dict[str, object] = field(default_factory=dict)


async def write_down(connection: AsyncConnection, act: Act) -> None:
    """Add the row of `act`; what follows in the transaction is the act."""
    await connection.execute(
        insert(audit).values(
            time_ms=now_ms(),
            principal=act.owner.principal,
            session=act.owner.session,
            client=act.owner.client,
            verb=act.verb,
            reason=act.reason,
            details=DETAILS.text(act.details),
        )
    )
