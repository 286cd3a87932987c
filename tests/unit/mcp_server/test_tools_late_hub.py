from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mcp_server.errors import AgentUnreachable, InternalError, SondeError, StoreUnusable
from mcp_server.tools.late_hub import LateHub
from mcp_server.tools.within import within


class Hub:
    def __init__(self) -> None:
        self.clients: list[str] = []
        self.closed = 0

    def name_client(self, client: str) -> None:
        self.clients.append(client)

    async def close(self) -> None:
        self.closed += 1


class Opener:
    """Opens the hub when allowed; fails as often as told."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.allowed = asyncio.Event()
        self.allowed.set()
        self.began = asyncio.Event()
        self.times = 0
        self.hub = Hub()

    async def __call__(self) -> Any:
        self.times += 1
        self.began.set()
        await self.allowed.wait()
        if self.failures:
            raise self.failures.pop(0)
        return self.hub


LOCKED = StoreUnusable("Cannot use the store", "it is locked", "Try again")


async def test_the_hub_is_opened_once_however_many_ask() -> None:
    opener = Opener()
    late = LateHub(opener, _never)
    late.begin_soon()
    late.begin_soon()
    hubs = await asyncio.gather(late.get("cursor"), late.get("cursor"), late.get())
    assert opener.times == 1
    assert all(hub is opener.hub for hub in hubs)
    assert opener.hub.clients == ["cursor"]


async def test_opening_begins_by_itself_after_the_first_reply() -> None:
    opener = Opener()
    late = LateHub(opener, _never)
    late.begin_soon()
    assert not late.has_begun
    async with asyncio.timeout(5):
        await opener.began.wait()


async def test_a_failure_is_told_once_answered_each_time_and_tried_again() -> None:
    told: list[SondeError] = []
    opener = Opener(LOCKED, LOCKED)
    late = LateHub(opener, told.append)
    for _ in range(2):
        with pytest.raises(StoreUnusable):
            await late.get()
    assert late.has_failed
    assert await late.get() is opener.hub  # type: ignore[comparison-overlap]
    assert not late.has_failed
    assert told == [LOCKED]


async def test_an_unexpected_failure_is_told_in_our_words(caplog: pytest.LogCaptureFixture) -> None:
    told: list[SondeError] = []
    late = LateHub(Opener(ZeroDivisionError("secret")), told.append)
    with pytest.raises(InternalError):
        await late.get()
    assert "secret" not in str(told[0])
    assert "ZeroDivisionError" in caplog.text


async def test_a_caller_that_gives_up_leaves_the_hub_to_the_others() -> None:
    opener = Opener()
    opener.allowed.clear()
    late = LateHub(opener, _never)
    with pytest.raises(AgentUnreachable):
        await within(0.01, late.get())
    opener.allowed.set()
    assert await late.get() is opener.hub  # type: ignore[comparison-overlap]
    assert opener.times == 1


async def test_closing_closes_what_is_open_and_gives_up_on_what_is_opening() -> None:
    open_one, opening = Opener(), Opener()
    late = LateHub(open_one, _never)
    await late.close()  # never begun
    await late.get()
    await late.close()
    assert open_one.hub.closed == 1

    opening.allowed.clear()
    late = LateHub(opening, _never)
    waiting = asyncio.create_task(late.get())
    await opening.began.wait()
    await late.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert opening.hub.closed == 0


async def test_work_that_does_not_let_itself_be_cancelled_is_not_waited_for() -> None:
    release, ended = asyncio.Event(), asyncio.Event()

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await release.wait()
            ended.set()

    with pytest.raises(AgentUnreachable):
        await within(0.01, stubborn())
    assert not ended.is_set()
    release.set()
    async with asyncio.timeout(5):
        await ended.wait()


def _never(error: SondeError) -> None:
    raise AssertionError(error)
