"""The hub, opened in the background once the first reply is on its way.

Opening imports the database, gRPC and the log, which costs more than all that an assistant waits
for at the start. What goes wrong is said on stderr, once, and answered by every tool; the next tool
call tries again, since a locked database may be free by then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from mcp_server.errors import InternalError, SondeError

if TYPE_CHECKING:  # importing it is what this module puts off
    from mcp_server.hub import Hub

OpenHub: TypeAlias = Callable[[], Awaitable["Hub"]]

_logger = logging.getLogger(__name__)

# The reply has left `call_next`, but not yet the process: two thread switches away.
_REPLY_S: Final = 0.03


class LateHub:
    """A hub to be. Belongs to one event loop."""

    def __init__(self, open_hub: OpenHub, complain: Callable[[SondeError], None]) -> None:
        """Args: complain: told of each failure to open that was not told before."""
        self._open_hub = open_hub
        self._complain = complain
        self._opening: asyncio.Task[Hub] | None = None
        self._complaint = ""
        self._client = ""

    @property
    def has_begun(self) -> bool:
        """True once opening was begun."""
        return self._opening is not None

    @property
    def has_failed(self) -> bool:
        """True if opening failed, until it is tried again."""
        return self._opening is not None and self._opening.done() and not _is_open(self._opening)

    def begin_soon(self) -> None:
        """Begin to open once the reply that is being sent is out; later calls do nothing."""
        if not self.has_begun:
            asyncio.get_running_loop().call_later(_REPLY_S, self._begin_once)

    async def get(self, client: str = "") -> Hub:
        """Wait for the hub. Args: client: the assistant's name, as it says it.

        Raises: HomeUnusable, StoreUnusable, ConfigurationError, InternalError.
        """
        if self._opening is None or self.has_failed:
            self._opening = asyncio.create_task(self._open())
        # Shielded: a caller that gives up must not take the hub from the others.
        hub = await asyncio.shield(self._opening)
        if client and client != self._client:
            self._client = client
            hub.name_client(client)
        return hub

    async def close(self) -> None:
        """Close the hub if it is open; give up on one that is being opened."""
        if self._opening is None:
            return
        if _is_open(self._opening):
            await self._opening.result().close()
        else:
            self._opening.cancel()
            with contextlib.suppress(asyncio.CancelledError, SondeError):
                await self._opening

    def _begin_once(self) -> None:
        if not self.has_begun:
            self._opening = asyncio.create_task(self._open())
            # Nobody may ever ask for it: the failure has been told on stderr.
            self._opening.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _open(self) -> Hub:
        try:
            return await self._open_hub()
        except SondeError as error:
            self._tell(error)
            raise
        except Exception as error:
            _logger.exception("opening the hub failed")
            failure = InternalError(
                "Cannot open Sonde's state",
                "something unexpected went wrong; the server's log on stderr has it",
                "Start the server again; if it stays, report it with that log",
            )
            self._tell(failure)
            raise failure from error

    def _tell(self, error: SondeError) -> None:
        if str(error) != self._complaint:
            self._complaint = str(error)
            self._complain(error)


def _is_open(opening: asyncio.Task[Hub]) -> bool:
    return opening.done() and not opening.cancelled() and opening.exception() is None
