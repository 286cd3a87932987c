"""Bring a store of an older schema along, one version at a time."""

from __future__ import annotations

from typing import Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mcp_server.store.codec import RESULT
from mcp_server.store.summaries import add_up
from mcp_server.store.tables import SCHEMA_VERSION, meta, results, schema

_AT_ONCE: Final = 500


async def upgrade(connection: AsyncConnection, version: int) -> int:
    """Upgrade, in the caller's transaction, what can be. Returns: the version it has now."""
    if version != 1:
        return version
    await connection.run_sync(schema.create_all)  # makes what is missing
    await _sum_up_results(connection)
    await connection.execute(
        update(meta).where(meta.c.key == "schema_version").values(value=str(SCHEMA_VERSION))
    )
    return SCHEMA_VERSION


async def _sum_up_results(connection: AsyncConnection) -> None:
    position = 0
    while True:
        statement = (
            select(results.c.position, results.c.result)
            .where(results.c.position > position)
            .order_by(results.c.position)
            .limit(_AT_ONCE)
        )
        rows = (await connection.execute(statement)).all()
        if not rows:
            return
        await add_up(connection, [RESULT.value(row.result) for row in rows])
        position = rows[-1].position
