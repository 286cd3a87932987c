"""Small agents that speak the real wire, and the hub that they dial over a real Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import grpclib.client
import grpclib.exceptions

from mcp_server.config import ServerConfig
from mcp_server.hub import Hub
from mcp_server.model import Capture, PlaceRequest, ProbeView, Target
from probe_agent.probe import Kind, Where
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
