"""Several hubs on one home, and what a session leaves when it ends, closes or is killed."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fake_agents import ENOUGH_S, FakeAgent, asking, dialled, hub_at, placed, run

from mcp_server.errors import SondeError
from mcp_server.model import SourceQuestion, Target
from probe_agent.probe import State

HOLDER = """
import asyncio, sys
from pathlib import Path
from mcp_server.config import ServerConfig
from mcp_server.hub import Hub

async def main():
    await Hub.open(ServerConfig(Path(sys.argv[1]), lease_s=float(sys.argv[2])), "ada")
    print("open", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@contextlib.asynccontextmanager
async def hub_process(home: Path, lease_s: float) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(home), str(lease_s), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 20) == b"open\n"
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def test_two_hubs_on_one_home_share_agents_probes_and_answers(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            hub_at(tmp_path) as holder,
            hub_at(tmp_path) as second,
            dialled(FakeAgent(tmp_path)) as agent,
        ):
            assert [s.service for s in await second.services()] == ["trades"]
            waiting = asyncio.create_task(second.place(asking(max_hits=1, wait_seconds=5)))
            await agent.until(lambda: agent.held)
            (probe_id,) = agent.held
            await agent.hit(probe_id)
            view = await asyncio.wait_for(waiting, ENOUGH_S)
            assert (view.state, len(view.results)) == (State.DONE, 1)
            other, _ = await placed(second)
            assert (await holder.remove((other,))).not_yours == (other,)
            assert (await second.remove((other,))).removed == (other,)
            answer = await second.find_code(Target("trades"), SourceQuestion("validate.py", 41))
            assert answer.matches

    run(scenario())


def test_another_principals_probe_is_as_unknown_as_none(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            hub_at(tmp_path) as ada,
            hub_at(tmp_path, "bob") as bob,
            dialled(FakeAgent(tmp_path)) as agent,
        ):
            probe_id, _ = await placed(ada)
            for call in (bob.read((probe_id,)), bob.remove((probe_id,))):
                with pytest.raises(SondeError) as unknown:
                    await call
                assert unknown.value.code == "unknown_probe"
            assert (await bob.probes(everyone=True)).probes == ()
            assert probe_id in agent.held

    run(scenario())


def test_an_orderly_end_of_a_session_removes_its_probes_and_no_others(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with hub_at(tmp_path) as holder, dialled(FakeAgent(tmp_path)) as agent:
            kept, _ = await placed(holder)
            async with hub_at(tmp_path) as second:
                gone, _ = await placed(second)
                await agent.until(lambda: gone in agent.held)
            await agent.until(lambda: gone not in agent.held)
            assert kept in agent.held

    run(scenario())


def test_closing_the_holder_removes_its_probes_before_it_goes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with hub_at(tmp_path) as hub, dialled(FakeAgent(tmp_path)) as agent:
            await placed(hub)
            await hub.close()
            await agent.until(lambda: agent.is_closed)
            assert agent.held == {}
            assert agent.heard_of("goodbye")
            assert not (tmp_path / "hub.sock").exists()

    run(scenario())


def test_the_second_hub_takes_the_agents_over_when_the_holder_closes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with hub_at(tmp_path) as holder, hub_at(tmp_path, lock_retry_s=0.05) as second:
            async with dialled(FakeAgent(tmp_path)) as agent:
                probe_id, _ = await placed(second)
                await holder.close()
                await agent.until(lambda: agent.is_closed)
            async with asyncio.timeout(ENOUGH_S):
                while not (tmp_path / "hub.sock").exists():  # noqa: ASYNC110  # a file has no event
                    await asyncio.sleep(0.01)
            async with dialled(FakeAgent(tmp_path)) as again:
                assert probe_id in again.held
                assert [s.instances for s in await second.services()] == [1]

    run(scenario())


def test_a_killed_holder_leaves_no_instance_that_looks_connected(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with hub_process(tmp_path, 30) as process:
            async with dialled(FakeAgent(tmp_path)) as agent:
                process.send_signal(signal.SIGKILL)
                await agent.until(lambda: agent.is_closed)
            await process.wait()
            assert (tmp_path / "hub.sock").exists(), "a killed process cannot tidy up"
            async with hub_at(tmp_path) as hub:
                assert await hub.services() == ()
                async with dialled(FakeAgent(tmp_path)):
                    assert len(await hub.services()) == 1

    run(scenario())


def test_the_probes_of_a_killed_session_end_with_its_lease(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            hub_at(tmp_path) as holder,
            dialled(FakeAgent(tmp_path)) as agent,
            hub_process(tmp_path, 1) as process,
        ):
            probe_id, _ = await placed(holder)
            with sqlite3.connect(tmp_path / "sonde.db") as store:
                sql = "UPDATE probes SET session = (SELECT id FROM sessions WHERE pid = ?)"
                store.execute(sql, (process.pid,))
            store.close()
            process.send_signal(signal.SIGKILL)
            await agent.until(lambda: probe_id not in agent.held)
            (view,) = (await holder.read((probe_id,), wait_seconds=5)).probes
            assert view.state is State.REMOVED

    run(scenario())
