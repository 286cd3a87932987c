"""Waiting with an end: progress, loops that outlive a bad round, a young hub."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import structlog

from mcp_server.config import ServerConfig
from mcp_server.deadline import Deadline
from mcp_server.errors import SondeError
from mcp_server.store import Store, now_ms

_logger = structlog.get_logger(__name__)

# Told the seconds waited so far and a sentence of ours.
Progress: TypeAlias = Callable[[float, str], Awaitable[None]]

_PROGRESS_EVERY_S: Final = 1.0
_PROGRESS_S: Final = 0.2  # a client that does not read must not hold the answer up


class Reporter:
    """Tells a client that we are still waiting, about once a second."""

    def __init__(self, progress: Progress | None, deadline: Deadline) -> None:
        self._progress = progress
        self._deadline = deadline
        self._next_s = 0.0

    async def tell(self, sentence: str) -> None:
        """Report, unless it is too early or nobody listens."""
        waited_s = self._deadline.waited_s
        if self._progress is None or waited_s < self._next_s:
            return
        self._next_s = waited_s + _PROGRESS_EVERY_S
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PROGRESS_S):
                await self._progress(waited_s, sentence)


async def keep_doing(
    what: str, once: Callable[[], Awaitable[None]], pause: Callable[[], Awaitable[None]]
) -> None:
    """Repeat `once` and `pause` for ever; a round that fails is logged and the next one tried."""
    while True:
        try:
            await once()
        except SondeError as error:
            _logger.warning("round failed", of=what, what=error.what, why=error.why)
        except Exception:
            _logger.exception("round failed", of=what)
        await pause()


async def until_dialled_in(
    config: ServerConfig, store: Store, service: str | None, by: Deadline
) -> bool:
    """Wait while agents may still be dialling in to a hub that is young.

    With a service: until one of its instances is there. Without: until none has come for a moment
    after the first. In any case until the hub, whichever process it is, is not young any more.
    Returns: False if it was too early to tell: `by` passed while more may come.
    """
    count = 0
    last_came = Deadline(config.settle_s)
    while not by.has_passed:
        seen = store.database.version
        young_s = await _young_for_s(config, store)
        if young_s <= 0:
            return True
        connected = [k for k in await store.instances.present() if k.instance.connected]
        if service is not None and any(k.instance.service == service for k in connected):
            return True
        if len(connected) != count:
            count, last_came = len(connected), Deadline(config.settle_s)
        if service is None and count and last_came.has_passed:
            return True
        settle_s = last_came.left_s if service is None and count else young_s
        await store.database.changed(seen, min(by.left_s, young_s, settle_s))
    return False


async def _young_for_s(config: ServerConfig, store: Store) -> float:
    since_ms = await store.sessions.holding_since_ms()
    if since_ms is None:
        return config.young_s
    return config.young_s - (now_ms() - since_ms) / 1000
