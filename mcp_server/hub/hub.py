"""The Hub: one server process's share in the work, and the verbs that the tools call."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from typing import Self

from mcp_server.config import ServerConfig, log_to_stderr
from mcp_server.deadline import Deadline
from mcp_server.errors import SondeError
from mcp_server.home import prepare_home
from mcp_server.hub.cursor import Over, write_cursor
from mcp_server.hub.finding import find_code
from mcp_server.hub.holder import Holder
from mcp_server.hub.placing import place
from mcp_server.hub.reading import list_probes, read
from mcp_server.hub.removing import remove
from mcp_server.hub.targets import list_services, unless_early
from mcp_server.hub.texts import require_text
from mcp_server.hub.waiting import Progress, keep_doing, until_dialled_in
from mcp_server.identity import new_id
from mcp_server.model import (
    CodeAnswer,
    Owner,
    PlaceRequest,
    ProbePage,
    ProbeView,
    ReadAnswer,
    RemoveAnswer,
    ServiceView,
    SourceQuestion,
    Target,
)
from mcp_server.reconcile import is_wanted
from mcp_server.store import Store, now_ms, open_store
from probe_agent.config import clean_name


class Hub:
    """A session on the store, and the verbs in its name. Made by `open`, ended by `close`.

    Each verb that waits takes `by`: the moment when its answer is due, whatever is still missing in
    it. Without one it takes as long as a tool may from now on.
    """

    def __init__(self, config: ServerConfig, store: Store, owner: Owner) -> None:
        self._config = config
        self._store = store
        self._owner = owner
        self._holder = Holder(config, store, owner.session)
        self._renew_now = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._is_closed = False

    @classmethod
    async def open(cls, config: ServerConfig, owner_principal: str, client: str = "") -> Self:
        """Begin a session, and hold the agents if no other process does.

        Raises: HomeUnusable, StoreUnusable.
        """
        log_to_stderr()
        prepare_home(config)
        store = await open_store(config)
        hub = cls(config, store, Owner(owner_principal, new_id("s"), clean_name(client)))
        try:
            await hub._begin()
        except BaseException:
            await store.database.close()
            raise
        return hub

    @property
    def owner(self) -> Owner:
        """In whose name the verbs act."""
        return self._owner

    def name_client(self, client: str) -> None:
        """Note the assistant's name, once it has said it."""
        self._owner = dataclasses.replace(self._owner, client=clean_name(client))
        self._renew_now.set()

    async def close(self) -> None:
        """End the session: its probes are wanted no more; give the agents 0.5 s to confirm."""
        if self._is_closed:
            return
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            with contextlib.suppress(SondeError):  # a locked store: the lease ends what we cannot
                await self._store.sessions.end(self._owner)
                await self._holder.stop()
        finally:
            await self._store.database.close()

    async def services(
        self,
        service: str | None = None,
        environment: str | None = None,
        by: Deadline | None = None,
    ) -> tuple[ServiceView, ...]:
        """List services that are connected; one asked for by name also while it is not.

        Raises: UnknownService.
        """
        require_text(service, environment)
        by = self._due(by)
        in_time = await until_dialled_in(self._config, self._store, service, by)
        now = now_ms()
        placed = [f.probe.target for f in await self._store.probes.live() if is_wanted(f, now)]
        known = await self._store.instances.known()
        where = [(target.service, target.environment or "default") for target in placed]
        with unless_early(in_time=in_time):
            return list_services(known, where, service, environment)

    async def find_code(
        self, target: Target, question: SourceQuestion, by: Deadline | None = None
    ) -> CodeAnswer:
        """Ask the running source.

        Raises: UnknownService, AmbiguousService, UnknownInstance, AgentUnreachable, or what the
        agents refuse with.
        """
        require_text(target, question)
        return await find_code(self._config, self._store, target, question, self._due(by))

    async def place(
        self,
        request: PlaceRequest,
        progress: Progress | None = None,
        by: Deadline | None = None,
    ) -> ProbeView:
        """Place a probe and wait for its hits.

        Raises: a refusal of the tool contract, with nothing placed.
        """
        require_text(request)
        by = self._due(by, request.wait_seconds)
        return await place(self._config, self._store, self._owner, request, progress, by)

    async def read(
        self,
        probe_ids: tuple[str, ...] | None,
        cursor: str = "",
        wait_seconds: float = 0,
        limit: int = 20,
        progress: Progress | None = None,
        by: Deadline | None = None,
    ) -> ReadAnswer:
        """Read results after a cursor; without ids, of every probe of this session.

        Raises: UnknownProbe, StaleCursor.
        """
        require_text(probe_ids, cursor)
        by = self._due(by, wait_seconds)
        return await read(
            self._store, self._owner, probe_ids, cursor, wait_seconds, limit, progress, by
        )

    def cursor_at(self, position: int) -> str:
        """Make the cursor that stands behind the result at this position."""
        return write_cursor(Over.RESULTS, self._store.tag, position)

    async def probes(
        self,
        service: str | None = None,
        everyone: bool = False,  # noqa: FBT001, FBT002  # as the tool's own `all`
        cursor: str = "",
        limit: int = 50,
    ) -> ProbePage:
        """List this session's probes, or everyone's of its principal, newest first.

        Raises: StaleCursor, UnknownService.
        """
        require_text(service, cursor)
        return await list_probes(
            self._store,
            self._owner,
            service=service,
            everyone=everyone,
            cursor=cursor,
            limit=limit,
        )

    async def remove(
        self, probe_ids: tuple[str, ...] | None, by: Deadline | None = None
    ) -> RemoveAnswer:
        """Remove probes, with None every one of this session; wait for the agents to confirm.

        Raises: UnknownProbe: nothing was removed.
        """
        require_text(probe_ids)
        return await remove(self._config, self._store, self._owner, probe_ids, self._due(by))

    def _due(self, by: Deadline | None, wait_seconds: float = 0.0) -> Deadline:
        return by or Deadline(wait_seconds + self._config.answer_s)

    async def _begin(self) -> None:
        await self._store.sessions.begin(self._owner)
        await self._holder.try_to_hold()
        self._tasks = [
            asyncio.create_task(self._store.database.watch()),
            asyncio.create_task(keep_doing("renewing our lease", self._renew, self._until_renewal)),
            asyncio.create_task(self._holder.run()),
        ]

    async def _renew(self) -> None:
        self._renew_now.clear()
        await self._store.sessions.renew(self._owner)

    async def _until_renewal(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._config.lease_s / 3):
                await self._renew_now.wait()
