"""The hub and agents over a real Unix socket. The agents are small fakes that speak the real wire."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import struct
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import grpclib.client
import grpclib.exceptions
import pytest

from mcp_server.config import ServerConfig
from mcp_server.errors import SondeError
from mcp_server.hub import Hub
from mcp_server.model import Capture, PlaceRequest, ProbeView, SourceQuestion, Target
from probe_agent.probe import Kind, State, Where
from probe_agent.wire.sonde.v1 import relay_pb2 as wire
from probe_agent.wire.sonde.v1.relay_grpc import RelayServiceStub

ENOUGH_S = 5.0
EVERYTHING = (
    wire.CAPABILITY_SNAPSHOT_LINE,
    wire.CAPABILITY_LOG_LINE,
    wire.CAPABILITY_SOURCE,
)
PLACE = wire.Location(
    file="/srv/trades/validate.py", line=41, function="check", code="return a > b", loaded=True
)


class FakeAgent:
    """Dials, says Hello, arms and removes what it is told, and remembers what it heard."""

    def __init__(self, home: Path, instance: str = "i-aaaaaa", **hello: Any) -> None:
        self.socket = home / "hub.sock"
        self.hello = wire.Hello(
            protocol_version=1,
            instance=instance,
            service="trades",
            environment="prod",
            version="a1b2c3d",
            runtime=wire.Runtime(language="python", version="3.12.1", implementation="cpython"),
            pid=7,
            host="box",
            capabilities=EVERYTHING,
        )
        self.hello.MergeFrom(wire.Hello(**hello))
        self.heard: list[wire.ConnectResponse] = []
        self.held: dict[str, wire.Probe] = {}
        self.acknowledged = 0
        self.location: wire.LocationAnswer | None = wire.LocationAnswer(location=PLACE)
        self.first_state = wire.PROBE_STATE_ARMED
        self.confirms = True
        self.is_closed = False
        self._number = 0
        self._news = asyncio.Condition()

    async def run(self) -> None:
        """Hold one stream until it ends."""
        channel = grpclib.client.Channel(path=str(self.socket))
        try:
            async with RelayServiceStub(channel).Connect.open() as self.stream:
                await self.stream.send_message(wire.ConnectRequest(hello=self.hello))
                while (message := await self.stream.recv_message()) is not None:
                    await self._hear(message)
        except (grpclib.exceptions.GRPCError, grpclib.exceptions.StreamTerminatedError, OSError):
            pass
        finally:
            channel.close()
            async with self._news:
                self.is_closed = True
                self._news.notify_all()

    async def until(self, claim: Callable[[], object]) -> None:
        """Wait until something that was heard makes the claim true."""
        async with asyncio.timeout(ENOUGH_S), self._news:
            await self._news.wait_for(claim)

    async def report(
        self, *results: wire.Result, statuses: tuple[wire.ProbeStatus, ...] = ()
    ) -> None:
        report = wire.Report(results=results, statuses=statuses)
        await self.stream.send_message(wire.ConnectRequest(report=report))

    async def hit(self, probe_id: str, count: int = 1, **status: Any) -> list[wire.Result]:
        """Report hits, and the status taken after them."""
        results = [self.result(probe_id) for _ in range(count)]
        counts = wire.Counts(
            line_hits=self._number, condition_true=self._number, captured=self._number
        )
        word = self.status(probe_id, wire.PROBE_STATE_ARMED, counts=counts, **status)
        await self.report(*results, statuses=(word,))
        return results

    def result(self, probe_id: str) -> wire.Result:
        self._number += 1
        value = wire.Value(name="trade.amount", literal=f"'{self._number}'", type="str")
        return wire.Result(
            number=self._number,
            result_id=f"r-{self.hello.instance}-{self._number}",
            probe_id=probe_id,
            sequence=self._number,
            time_unix_ms=1_700_000_000_000,
            thread="MainThread",
            values=[value],
        )

    def status(self, probe_id: str, state: Any, **rest: Any) -> wire.ProbeStatus:
        return wire.ProbeStatus(
            probe_id=probe_id, state=state, ever_armed=state != wire.PROBE_STATE_PENDING, **rest
        )

    async def _hear(self, message: wire.ConnectResponse) -> None:
        async with self._news:
            self.heard.append(message)
            match message.WhichOneof("message"):
                case "desired":
                    await self._place(message.desired.probes)
                case "change":
                    await self._place(message.change.place)
                    await self._remove(message.change.remove)
                case "location" if self.location is not None:
                    self.location.question_id = message.location.question_id
                    await self.stream.send_message(wire.ConnectRequest(location=self.location))
                case "source":
                    match_ = wire.SourceMatch(file=PLACE.file, line=41, code=PLACE.code)
                    answer = wire.SourceAnswer(
                        question_id=message.source.question_id, matches=[match_]
                    )
                    await self.stream.send_message(wire.ConnectRequest(source=answer))
                case "acknowledgement":
                    self.acknowledged = message.acknowledgement.through_number
            self._news.notify_all()

    async def _place(self, probes: Any) -> None:
        for probe in probes:
            self.held[probe.probe_id] = probe
            await self.report(statuses=(self.status(probe.probe_id, self.first_state),))

    async def _remove(self, probe_ids: Any) -> None:
        for probe_id in probe_ids:
            self.held.pop(probe_id, None)
            if self.confirms:
                word = self.status(probe_id, wire.PROBE_STATE_REMOVED)
                await self.report(statuses=(word,))

    def heard_of(self, kind: str) -> list[wire.ConnectResponse]:
        return [m for m in self.heard if m.WhichOneof("message") == kind]


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


@contextlib.asynccontextmanager
async def hub_at(home: Path, principal: str = "ada", **config: Any) -> AsyncIterator[Hub]:
    settings = {"young_s": 0.4, "settle_s": 0.1, "question_s": 0.5, "confirm_s": 0.4, **config}
    settings.setdefault("first_word_s", 2.0)  # answers wait for the agents, however busy CI is
    hub = await Hub.open(ServerConfig(home, **settings), principal)
    try:
        yield hub
    finally:
        await hub.close()


@contextlib.asynccontextmanager
async def dialled(agent: FakeAgent) -> AsyncIterator[FakeAgent]:
    stream = asyncio.create_task(agent.run())
    try:
        await agent.until(lambda: agent.heard_of("desired") or agent.is_closed)
        yield agent
    finally:
        stream.cancel()
        await asyncio.gather(stream, return_exceptions=True)


def asking(**changed: Any) -> PlaceRequest:
    target = Target(
        "trades", **{k: changed.pop(k) for k in ("instances", "labels") if k in changed}
    )
    defaults: dict[str, Any] = {
        "kind": Kind.SNAPSHOT,
        "where": Where("validate.py", expect_code="return a > b"),
        "reason": "Are both sides numbers?",
        "captures": (Capture("trade.amount", "trade.amount"),),
        "wait_seconds": 0.0,
    }
    return PlaceRequest(target, **{**defaults, **changed})


async def placed(hub: Hub, **changed: Any) -> tuple[str, ProbeView]:
    view = await hub.place(asking(**changed))
    assert view.probe_id is not None
    return view.probe_id, view


def test_an_agent_that_dials_in_is_a_service_with_one_instance(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with hub_at(tmp_path) as hub, dialled(FakeAgent(tmp_path, labels={"az": "1"})):
            (service,) = await hub.services()
            assert (service.service, service.environment) == ("trades", "prod")
            assert (service.versions, service.python) == (("a1b2c3d",), ("3.12.1",))
            assert service.instance_list[0].labels == {"az": "1"}

    run(scenario())


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


def test_an_agent_with_another_protocol_version_is_refused_in_words(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with hub_at(tmp_path), dialled(FakeAgent(tmp_path, protocol_version=2)) as agent:
            (refused,) = agent.heard
            assert refused.refusal.why.endswith("this hub speaks version 1")
            assert refused.refusal.next_step
            assert refused.refusal.retry_after_ms > 0

    run(scenario())


def test_a_name_that_may_not_be_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with hub_at(tmp_path) as hub:
            for hello in (
                {"service": "no spaces"},
                {"instance": "i-\u202e"},
                {"labels": {"k": "x" * 101}},
                {"labels": {str(n): "" for n in range(51)}},
            ):
                async with dialled(FakeAgent(tmp_path, **hello)) as agent:
                    assert agent.heard_of("refusal"), hello
            assert await hub.services() == ()

    run(scenario())


def test_a_stream_that_does_not_begin_with_hello_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with hub_at(tmp_path):
            channel = grpclib.client.Channel(path=str(tmp_path / "hub.sock"))
            async with RelayServiceStub(channel).Connect.open() as stream:
                await stream.send_message(wire.ConnectRequest(report=wire.Report()))
                answer = await stream.recv_message()
                await stream.end()
            channel.close()
            assert answer is not None
            assert answer.refusal.why == "its first message is not a Hello"

    run(scenario())


async def send_bytes(agent: FakeAgent, payload: bytes) -> None:
    framed = struct.pack(">?I", False, len(payload)) + payload  # not compressed
    await agent.stream._stream.send_data(framed)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"\xff\xff\xff\xff", id="not a message"),
        pytest.param(wire.ConnectRequest().SerializeToString(), id="empty"),
        pytest.param(
            wire.ConnectRequest(hello=wire.Hello(protocol_version=1)).SerializeToString(),
            id="second hello",
        ),
        pytest.param(
            wire.ConnectRequest(
                report=wire.Report(results=[wire.Result(probe_id="p", result_id="r")])
            ).SerializeToString(),
            id="result without a number",
        ),
        pytest.param(
            wire.ConnectRequest(
                report=wire.Report(statuses=[wire.ProbeStatus(probe_id="p")])
            ).SerializeToString(),
            id="status without a state",
        ),
        pytest.param(
            wire.ConnectRequest(
                source=wire.SourceAnswer(question_id="x" * (5 * 1024 * 1024))
            ).SerializeToString(),
            id="oversized",
        ),
    ],
)
def test_a_malformed_message_closes_that_stream_alone(tmp_path: Path, payload: bytes) -> None:
    async def scenario() -> None:
        async with (
            hub_at(tmp_path) as hub,
            dialled(FakeAgent(tmp_path, "i-sound")) as sound,
            dialled(FakeAgent(tmp_path, "i-broken")) as broken,
        ):
            # What is too large is never read to its end, and grpclib's sender then waits for ever.
            sending = asyncio.create_task(send_bytes(broken, payload))
            await broken.until(lambda: broken.is_closed)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            probe_id, _ = await placed(hub, instances=("i-sound",))
            await sound.until(lambda: probe_id in sound.held)
            (service,) = await hub.services()
            assert [i.instance for i in service.instance_list] == ["i-sound"]

    run(scenario())


def test_bytes_that_are_not_http2_do_not_harm_the_others(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with hub_at(tmp_path) as hub, dialled(FakeAgent(tmp_path)) as agent:
            reader, writer = await asyncio.open_unix_connection(tmp_path / "hub.sock")
            writer.write(b"GET / HTTP/1.1\r\n\r\n" + os.urandom(10_000))
            with contextlib.suppress(ConnectionResetError):
                await asyncio.wait_for(reader.read(), ENOUGH_S)
            writer.close()
            probe_id, _ = await placed(hub)
            await agent.until(lambda: probe_id in agent.held)

    run(scenario())


def test_results_sent_again_after_a_new_dial_are_stored_once_and_acknowledged(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with hub_at(tmp_path) as hub:
            async with dialled(FakeAgent(tmp_path)) as first:
                probe_id, _ = await placed(hub)
                await first.until(lambda: probe_id in first.held)
                results = await first.hit(probe_id, 2)
                await first.until(lambda: first.acknowledged == 2)
            async with dialled(FakeAgent(tmp_path)) as again:
                again._number = 2
                await again.report(*results, again.result(probe_id))
                await again.until(lambda: again.acknowledged == 3)
                read = await hub.read((probe_id,))
                assert [r.result.number for r in read.results] == [1, 2, 3]
                assert probe_id in again.held, "what was armed is in the desired set again"

    run(scenario())


def test_a_second_stream_of_an_instance_takes_the_place_of_the_first(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            hub_at(tmp_path) as hub,
            dialled(FakeAgent(tmp_path)) as first,
            dialled(FakeAgent(tmp_path)) as second,
        ):
            await first.until(lambda: first.is_closed)
            probe_id, _ = await placed(hub)
            await second.until(lambda: probe_id in second.held)
            (service,) = await hub.services()
            assert service.instances == 1

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
            assert (await hub.remove(all_mine=True)).removing == (second,)
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


def test_a_silent_agent_is_gone_after_its_lease(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with hub_at(tmp_path, lease_s=1.0) as hub, dialled(FakeAgent(tmp_path)) as agent:
            assert len(await hub.services()) == 1
            await agent.until(lambda: agent.is_closed)
            assert await hub.services() == ()
            assert 2 <= len(agent.heard_of("renewal")) <= 5, "about three per lease, not a flood"

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
            assert (await hub.remove(all_mine=True)).removed == (view.probe_id,)

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
