"""The connection to the store: transactions, what can go wrong in words, and notice of changes.

SQLite's driver would begin transactions by rules of its own; here each begins as it is meant:
reading ones see one snapshot, writing ones take the write lock at once, so that none fails halfway.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import structlog
from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from mcp_server.errors import StoreUnusable

_logger = structlog.get_logger(__name__)

_READ: Final = {"begin_with": "BEGIN"}
_WRITE: Final = {"begin_with": "BEGIN IMMEDIATE"}
_CANNOT_WRITE: Final = {
    *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR),
    *(sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM),
}
# Tool calls that come together are served together; each connection is a thread of its own.
_CONNECTIONS: Final = 5


class Database:
    """Transactions on one database, and a wait for changes by whichever process."""

    def __init__(self, path: Path, *, busy_s: float, poll_s: float) -> None:
        self._path = path
        self._engine = _engine(path, busy_s)
        self._poll_s = poll_s
        self._busy_s = busy_s
        # Writers of one process queue here, not in SQLite, which waits by sleeping ever longer.
        self._writing = asyncio.Lock()
        self._version = 0
        self._changed = asyncio.Event()

    @property
    def version(self) -> int:
        """A number that differs after each change; hand it to `changed`."""
        return self._version

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Read from one snapshot.

        Raises: StoreUnusable.
        """
        with self._in_words():
            async with self._engine.connect() as raw:
                connection = await raw.execution_options(**_READ)
                async with connection.begin():
                    yield connection

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """Write all or nothing; whoever waits in `changed` is woken after the commit.

        Raises: StoreUnusable: e.g. another process has held the write lock for `busy_s`.
        """
        with self._in_words():
            async with self._writing, self._engine.connect() as raw:
                connection = await raw.execution_options(**_WRITE)
                async with connection.begin():
                    yield connection
        self.notify()

    def notify(self) -> None:
        """Wake whoever waits in `changed`."""
        self._version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self, seen: int, timeout_s: float) -> None:
        """Wait until `version` is not `seen` any more, or the time has passed."""
        if self._version != seen or timeout_s <= 0:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()

    async def watch(self) -> None:
        """Notice what other connections commit, for ever, on a connection of its own.

        The pragma looks at shared memory for some microseconds and never waits, so it runs here
        and not in a thread; through the pool, twenty looks a second cost 2 % of a core.
        """
        with contextlib.closing(sqlite3.connect(self._path, timeout=0)) as connection:
            seen = _data_version(connection)
            while True:
                await asyncio.sleep(self._poll_s)
                version = _data_version(connection)
                if version not in (None, seen):
                    self.notify()
                    seen = version

    async def close(self) -> None:
        """Let go of every connection."""
        await self._engine.dispose()

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise self._unusable(error.orig) from error
        except PoolTimeout as error:
            raise self._unusable(error) from error

    def _unusable(self, error: BaseException | None) -> StoreUnusable:
        what = f"Cannot use the store at {self._path}"
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED} or isinstance(error, PoolTimeout):
            return StoreUnusable(
                what,
                f"another process has kept it locked for {self._busy_s:g} s",
                "End that process (lsof or fuser name it) and try again",
            )
        if code in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}:
            return StoreUnusable(
                what,
                "the file is not a sound SQLite database",
                "Move it away; a new one is made at the next start",
            )
        if code in _CANNOT_WRITE:
            return StoreUnusable(
                what,
                "it cannot be written",
                "Free space on its disk and give this user the right to write there",
            )
        _logger.error("the store failed", error=repr(error))
        return StoreUnusable(
            what,
            "SQLite refused; our log on stderr has the details",
            "Try again; if it stays, move the file away",
        )


def _data_version(connection: sqlite3.Connection) -> int | None:
    """Read a number that differs after each commit of another connection; None if locked."""
    try:
        version: int = connection.execute("PRAGMA data_version").fetchone()[0]
    except sqlite3.Error:
        return None
    return version


def _engine(path: Path, busy_s: float) -> AsyncEngine:
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{path}",
        connect_args={"timeout": busy_s},
        pool_size=_CONNECTIONS,
        max_overflow=0,
        pool_timeout=busy_s,
    )
    event.listen(engine.sync_engine, "connect", _prepare)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _prepare(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # no BEGIN of the driver's own
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")  # readers never wait
    cursor.execute("PRAGMA synchronous=NORMAL")  # survives our crash, and costs no fsync per commit
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin(connection: Connection) -> None:
    statement = connection.get_execution_options().get("begin_with")
    if statement:
        connection.exec_driver_sql(statement)
