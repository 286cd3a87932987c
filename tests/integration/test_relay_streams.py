"""An agent's stream: Hello, what is refused or malformed, results sent again, its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
from pathlib import Path

import grpclib.client
import grpclib.exceptions
import pytest
from fake_agents import ENOUGH_S, FakeAgent, dialled, hub_at, placed, run

from probe_agent.wire.sonde.v1 import relay_pb2 as wire
from probe_agent.wire.sonde.v1.relay_grpc import RelayServiceStub


async def send_bytes(agent: FakeAgent, payload: bytes) -> None:
    framed = struct.pack(">?I", False, len(payload)) + payload  # not compressed
    await agent.stream._stream.send_data(framed)


def test_an_agent_that_dials_in_is_a_service_with_one_instance(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with hub_at(tmp_path) as hub, dialled(FakeAgent(tmp_path, labels={"az": "1"})):
            (service,) = await hub.services()
            assert (service.service, service.environment) == ("trades", "prod")
            assert (service.versions, service.python) == (("a1b2c3d",), ("3.12.1",))
            assert service.instance_list[0].labels == {"az": "1"}

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


def test_a_silent_agent_is_gone_after_its_lease(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with hub_at(tmp_path, lease_s=1.0) as hub, dialled(FakeAgent(tmp_path)) as agent:
            assert len(await hub.services()) == 1
            await agent.until(lambda: agent.is_closed)
            assert await hub.services() == ()
            assert 2 <= len(agent.heard_of("renewal")) <= 5, "about three per lease, not a flood"

    run(scenario())
