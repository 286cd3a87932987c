"""Opening the store: make or check its schema, forget what is past its retention."""

from __future__ import annotations

import secrets
from typing import Final

from sqlalchemy import delete, insert, inspect, select
from sqlalchemy.ext.asyncio import AsyncConnection

from mcp_server.config import ServerConfig
from mcp_server.errors import StoreUnusable
from mcp_server.store.database import Database
from mcp_server.store.instances import Instances
from mcp_server.store.probes import Probes
from mcp_server.store.questions import Questions
from mcp_server.store.reports import Reports
from mcp_server.store.sessions import Sessions
from mcp_server.store.tables import (
    SCHEMA_VERSION,
    instances,
    meta,
    probes,
    questions,
    results,
    schema,
    sessions,
    statuses,
    value_literals,
    value_types,
)
from mcp_server.store.times import now_ms
from mcp_server.store.upgrades import upgrade

_TAG_BYTES: Final = 3


class Store:
    """The store's parts, over one database. `tag`: random, tells this store from another."""

    def __init__(self, database: Database, config: ServerConfig, tag: bytes) -> None:
        lease_ms = round(config.lease_s * 1000)
        self.database = database
        self.tag = tag
        self.sessions = Sessions(database, lease_ms)
        self.instances = Instances(database, lease_ms)
        self.probes = Probes(database)
        self.reports = Reports(database)
        self.questions = Questions(database)


async def open_store(config: ServerConfig) -> Store:
    """Open the store of `config.home`, making it if need be.

    Raises: StoreUnusable: locked, damaged, not writable, or of a newer schema.
    """
    database = Database(config.database, busy_s=config.busy_s, poll_s=config.poll_s)
    try:
        async with database.write() as connection:
            tag = await _tag(connection)
            await _prune(connection, now_ms() - round(config.retention_s * 1000))
    except BaseException:
        await database.close()
        raise
    return Store(database, config, tag)


async def _tag(connection: AsyncConnection) -> bytes:
    if not await connection.run_sync(lambda c: inspect(c).has_table(meta.name)):
        await connection.run_sync(schema.create_all)
        values = {"schema_version": str(SCHEMA_VERSION), "tag": secrets.token_hex(_TAG_BYTES)}
        await connection.execute(
            insert(meta), [{"key": key, "value": value} for key, value in values.items()]
        )
    said = {row.key: row.value for row in await connection.execute(select(meta))}
    version = await upgrade(connection, int(said.get("schema_version", "0")))
    if version != SCHEMA_VERSION:
        raise StoreUnusable(
            "Cannot use the store",
            f"its schema is version {version}, and this Sonde knows {SCHEMA_VERSION}",
            "Upgrade Sonde, or set SONDE_HOME to another folder",
        )
    return bytes.fromhex(said["tag"])


async def _prune(connection: AsyncConnection, before_ms: int) -> None:
    """Forget probes that ended before `before_ms`, with all that hangs on them, and idle rows."""
    old = select(probes.c.id).where(
        (probes.c.expires_ms < before_ms) | (probes.c.removed_ms < before_ms)
    )
    for table in (results, statuses, value_types, value_literals):
        await connection.execute(delete(table).where(table.c.probe.in_(old)))
    await connection.execute(delete(probes).where(probes.c.id.in_(old)))
    await connection.execute(delete(questions).where(questions.c.asked_ms < before_ms))
    await connection.execute(
        delete(instances).where(
            instances.c.holder.is_(None),
            instances.c.since_ms < before_ms,
            instances.c.holds_until_ms < before_ms,
            instances.c.id.not_in(select(statuses.c.instance)),
            instances.c.id.not_in(select(results.c.instance)),
        )
    )
    await connection.execute(
        delete(sessions).where(
            (sessions.c.ended_ms < before_ms) | (sessions.c.lapses_ms < before_ms),
            sessions.c.id.not_in(select(probes.c.session)),
            sessions.c.id.not_in(select(instances.c.holder).where(instances.c.holder.is_not(None))),
        )
    )
