"""Placing, reading and removing with agents that answer, refuse, or say nothing."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import pytest
from fake_agents import ENOUGH_S, PLACE, FakeAgent, asking, dialled, hub_at, placed, run

from mcp_server.errors import SondeError
from mcp_server.model import SourceQuestion, Target
from probe_agent.probe import State
from probe_agent.wire.sonde.v1 import relay_pb2 as wire


def test_placing_waits_for_the_hits_and_answers_with_them_and_final_counts(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with hub_at(tmp_path) as hub, dialled(FakeAgent(tmp_path)) as agent:
            waiting = asyncio.create_task(hub.place(asking(max_hits=2, wait_seconds=10)))
            await agent.until(lambda: agent.held)
            await agent.hit(next(iter(agent.held)), 2)
            view = await asyncio.wait_for(waiting, ENOUGH_S)
            assert view.state is State.DONE
            assert [r.result.sequence for r in view.results] == [1, 2]
            assert (view.counts.captured, view.reach.armed, view.silence) == (2, 1, None)
            assert view.summary[0].types == {"str": 2}
            assert view.waited_seconds < 5
            assert agent.held == {}, "a fleet that has its hits removes the probe everywhere"

    run(scenario())


def test_no_more_results_than_max_hits_over_the_fleet_and_the_rest_is_counted(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with (
            hub_at(tmp_path) as hub,
            dialled(FakeAgent(tmp_path, "i-one")) as one,
            dialled(FakeAgent(tmp_path, "i-two")) as two,
        ):
            one.confirms = two.confirms = False
            probe_id, _ = await placed(hub, max_hits=3)
            for agent in (one, two):
                await agent.until(lambda agent=agent: probe_id in agent.held)
                await agent.hit(probe_id, 2)
                await agent.until(lambda agent=agent: agent.acknowledged == 2)
            (view,) = (await hub.read((probe_id,), limit=100)).probes
            assert (view.counts.captured, view.counts.line_hits) == (3, 4)
            assert view.counts.dropped_by == {"hit_limit": 1}
            assert len((await hub.read((probe_id,), limit=100)).results) == 3

    run(scenario())


def test_a_place_that_every_agent_refuses_is_its_error_and_nothing_is_placed(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with hub_at(tmp_path) as hub, dialled(FakeAgent(tmp_path)) as agent:
            problem = wire.Problem(
                code="line_not_executable",
                what="Cannot place a probe at validate.py:40",
                why="the line is blank",
                next_step="The nearest lines that run are 39 and 41",
            )
            agent.location = wire.LocationAnswer(problem=problem)
            with pytest.raises(SondeError) as refused:
                await hub.place(asking())
            assert refused.value.code == "line_not_executable"
            assert "39 and 41" in str(refused.value)
            assert (await hub.probes(everyone=True)).probes == ()

    run(scenario())


def test_an_instance_that_refuses_beside_one_that_does_not_is_shown_in_not_armed(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with (
            hub_at(tmp_path) as hub,
            dialled(FakeAgent(tmp_path, "i-one")) as one,
            dialled(FakeAgent(tmp_path, "i-two")) as two,
        ):
            two.location = wire.LocationAnswer(
                problem=wire.Problem(code="unknown_file", what="Cannot find it", why="not there")
            )
            probe_id, view = await placed(hub)
            assert probe_id in one.held
            assert probe_id not in two.held
            assert (view.state, view.reach.armed, view.reach.refused) == (State.ARMED, 1, 1)
            (shown,) = view.reach.not_armed
            assert (shown.instance, shown.state) == ("i-two", State.REFUSED)
            assert shown.why == "Cannot find it: not there"

    run(scenario())


def test_an_agent_that_does_not_answer_is_unreachable_in_time(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with hub_at(tmp_path) as hub, dialled(FakeAgent(tmp_path)) as agent:
            agent.location = None
            async with asyncio.timeout(2):
                with pytest.raises(SondeError) as unreachable:
                    await hub.place(asking(wait_seconds=40))
            assert unreachable.value.code == "agent_unreachable"

    run(scenario())


def test_a_dry_run_asks_the_agents_and_places_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with hub_at(tmp_path) as hub, dialled(FakeAgent(tmp_path)) as agent:
            view = await hub.place(asking(dry_run=True))
            assert view.probe_id is None
            assert view.location is not None
            assert (view.location.line, view.reach.instances) == (41, 1)
            assert (await hub.probes()).probes == ()
            assert agent.held == {}

    run(scenario())


def test_an_agent_without_the_kind_is_never_asked_for_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        agent = FakeAgent(tmp_path)
        agent.hello.ClearField("capabilities")
        async with hub_at(tmp_path) as hub, dialled(agent):
            _, view = await placed(hub)
            assert (view.state, view.reach.refused, agent.held) == (State.REFUSED, 1, {})
            with pytest.raises(SondeError) as unsupported:
                await hub.find_code(Target("trades"), SourceQuestion(function="check"))
            assert unsupported.value.code == "unsupported"

    run(scenario())


def test_removing_waits_for_the_agents_and_tells_who_has_not_confirmed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with hub_at(tmp_path) as hub, dialled(FakeAgent(tmp_path)) as agent:
            first, _ = await placed(hub)
            assert (await hub.remove((first,))).removed == (first,)
            assert (await hub.remove((first,))).already_gone == (first,)
            agent.confirms = False
            second, _ = await placed(hub)
            assert (await hub.remove(None)).removing == (second,)
            with pytest.raises(SondeError) as unknown:
                await hub.remove((second, "p-never"))
            assert unknown.value.code == "unknown_probe"

    run(scenario())


def test_a_probe_limited_to_one_instance_stays_on_it_and_moves_when_it_leaves(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with hub_at(tmp_path) as hub, dialled(FakeAgent(tmp_path, "i-b")) as chosen:
            probe_id, _ = await placed(hub, instances=1)
            await chosen.until(lambda: probe_id in chosen.held)
            async with dialled(FakeAgent(tmp_path, "i-a")) as other:
                assert other.held == {}
                await chosen.stream.send_message(wire.ConnectRequest(goodbye=wire.Goodbye()))
                await other.until(lambda: probe_id in other.held)

    run(scenario())


def test_a_probe_on_nobody_is_pending_and_armed_when_its_service_dials_in(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with hub_at(tmp_path) as hub:
            async with dialled(FakeAgent(tmp_path, "i-old")):
                pass
            probe_id, view = await placed(hub, labels={"az": "1"})
            assert view.state is State.PENDING
            assert view.silence is not None
            assert view.silence.code == "no_instance"
            async with dialled(FakeAgent(tmp_path, "i-new", labels={"az": "1"})) as agent:
                await agent.until(lambda: probe_id in agent.held)

    run(scenario())


def test_find_code_brings_back_what_the_agent_says(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with hub_at(tmp_path) as hub, dialled(FakeAgent(tmp_path)):
            answer = await hub.find_code(Target("trades"), SourceQuestion("validate.py", 41))
            assert answer.matches[0].code == PLACE.code

    run(scenario())


def test_reading_waits_for_the_first_result_after_the_cursor(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with hub_at(tmp_path) as hub, dialled(FakeAgent(tmp_path)) as agent:
            probe_id, view = await placed(hub)
            await agent.hit(probe_id)
            first = await hub.read(None, view.next_cursor, wait_seconds=5)
            waiting = asyncio.create_task(hub.read(None, first.next_cursor, wait_seconds=5))
            await agent.hit(probe_id)
            second = await asyncio.wait_for(waiting, ENOUGH_S)
            numbers = [r.result.number for r in (*first.results, *second.results)]
            assert numbers == [1, 2]

    run(scenario())


def test_a_probe_outlives_the_cancelled_call_that_placed_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with hub_at(tmp_path) as hub, dialled(FakeAgent(tmp_path)) as agent:
            waiting = asyncio.create_task(hub.place(asking(wait_seconds=30)))
            await agent.until(lambda: agent.held)
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting
            (view,) = (await hub.probes()).probes
            assert view.probe_id in agent.held
            assert (await hub.remove(None)).removed == (view.probe_id,)

    run(scenario())


def test_every_act_stands_in_the_audit_which_cannot_be_changed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with hub_at(tmp_path) as hub, dialled(FakeAgent(tmp_path)):
            hub.name_client("Some Assistant")
            probe_id, _ = await placed(hub)
            await hub.remove((probe_id,))

    run(scenario())
    with contextlib.closing(sqlite3.connect(tmp_path / "sonde.db")) as store:
        rows = store.execute("SELECT verb, principal, client, reason FROM audit").fetchall()
        assert rows[1:3] == [
            ("place", "ada", "Some_Assistant", "Are both sides numbers?"),
            ("remove", "ada", "Some_Assistant", ""),
        ]
        for sql in ("UPDATE audit SET verb = ''", "DELETE FROM audit"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                store.execute(sql)
