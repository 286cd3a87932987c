"""The gRPC stream to the hub: dial, say Hello, carry orders in and reports out.

The only module of the agent that knows the wire types. `agent` gives it a `Party`, which it calls
on the agent's loop; it never touches the application.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import grpclib.client
import grpclib.exceptions

from probe_agent.config import AgentConfig
from probe_agent.errors import SondeError
from probe_agent.probe import (
    CaptureExpression,
    Kind,
    Location,
    Probe,
    Problem,
    Result,
    SourceMatch,
    State,
    Status,
    Value,
    Where,
)
from probe_agent.wire.sonde.v1 import relay_pb2 as wire
from probe_agent.wire.sonde.v1.relay_grpc import RelayServiceStub

PROTOCOL_VERSION: Final = 1
# A hub on the same machine answers in milliseconds; a stuck one must not hold the agent for long.
_ANSWER_S: Final = 5.0

_STATES: Final = {
    State.PENDING: wire.PROBE_STATE_PENDING,
    State.ARMED: wire.PROBE_STATE_ARMED,
    State.SUSPENDED: wire.PROBE_STATE_SUSPENDED,
    State.DONE: wire.PROBE_STATE_DONE,
    State.EXPIRED: wire.PROBE_STATE_EXPIRED,
    State.REMOVED: wire.PROBE_STATE_REMOVED,
    State.REFUSED: wire.PROBE_STATE_REFUSED,
    State.FAILED: wire.PROBE_STATE_FAILED,
}
_KINDS: Final = {wire.PROBE_KIND_SNAPSHOT: Kind.SNAPSHOT, wire.PROBE_KIND_LOG: Kind.LOG}
_CAPABILITIES: Final = (
    wire.CAPABILITY_SNAPSHOT_LINE,
    wire.CAPABILITY_LOG_LINE,
    wire.CAPABILITY_SOURCE,
)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who says Hello. `started_ms`: since the Unix epoch."""

    instance: str
    pid: int
    host: str
    agent_version: str
    started_ms: int


@dataclass(frozen=True, slots=True)
class ReportOut:
    """What a report carries: results in the order of their numbers, statuses taken after them.

    `is_last`: the agent leaves, and has put every original back.
    """

    results: tuple[Result, ...]
    statuses: tuple[Status, ...]
    outbox: int
    is_last: bool = False


class Party(Protocol):
    """What the agent does with what the hub says. Every call is short, on the agent's loop."""

    def welcomed(self, lease_s: float, heartbeat_s: float) -> None:
        """The hub accepts us."""

    def refused(self, what: str, why: str, next_step: str) -> None:
        """The hub does not, and says why."""

    def heard(self) -> None:
        """The hub said something: the lease runs anew."""

    def desire(self, probes: tuple[Probe, ...]) -> None:
        """Hold exactly these."""

    def change(self, place: tuple[Probe, ...], remove: tuple[str, ...]) -> None:
        """Hold these too, and those no more."""

    def acknowledge(self, through_number: int) -> None:
        """Results up to this number are stored."""

    def locate(self, where: Where) -> Location:
        """Resolve a place, or raise SondeError."""

    def find(self, file: str, line: int, function: str) -> tuple[tuple[SourceMatch, ...], int]:
        """Show running source, or raise SondeError; the number is what was left out."""

    async def next_report(self) -> ReportOut:
        """Wait for something to report."""


class RefusedByHub(Exception):
    """The hub does not take this agent. `retry_after_s`: when to ask again."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(retry_after_s)
        self.retry_after_s = retry_after_s


# What a connection may die of; each means: dial again later.
CONNECTION_ERRORS: Final = (
    *(OSError, asyncio.TimeoutError, grpclib.exceptions.GRPCError),
    *(grpclib.exceptions.StreamTerminatedError, grpclib.exceptions.ProtocolError),
)


class AgentLoop(asyncio.SelectorEventLoop):
    """An event loop that knows its sockets, so that a forked child can let go of them."""

    def __init__(self, selector: Any) -> None:
        super().__init__(selector)
        self._sockets: list[socket.socket] = []

    async def create_unix_connection(self, *args: Any, **options: Any) -> Any:
        """Connect as usual, over a socket that is remembered."""
        path = options.pop("path", None) or args[1]
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.setblocking(False)  # noqa: FBT003  socket takes it no other way
        try:
            await self.sock_connect(connection, path)
        except BaseException:
            connection.close()
            raise
        self._sockets = [s for s in self._sockets if s.fileno() >= 0] + [connection]
        return await super().create_unix_connection(args[0], sock=connection)

    def let_go(self) -> None:
        """Close a forked child's copies without a word on the wire."""
        for connection in self._sockets:
            if connection.fileno() >= 0:
                os.close(connection.detach())


async def converse(config: AgentConfig, identity: Identity, party: Party) -> None:
    """Hold one stream with the hub, from Hello until it breaks.

    Raises: RefusedByHub; one of CONNECTION_ERRORS.
    """
    path = config.hub.removeprefix("unix:")
    _expect(path)
    channel = grpclib.client.Channel(path=path)
    try:
        async with RelayServiceStub(channel).Connect.open() as stream:
            await asyncio.wait_for(stream.send_message(_hello(config, identity)), _ANSWER_S)
            lease_s = _take_welcome(await asyncio.wait_for(stream.recv_message(), _ANSWER_S), party)
            await _both_ways(stream, party, lease_s)
    finally:
        channel.close()


def _expect(path: str) -> None:
    """Look for the socket before dialling: cheaper than a connection attempt, twice a second."""
    if not Path(path).exists():
        raise FileNotFoundError(path)


async def _both_ways(stream: Any, party: Party, silence_s: float) -> None:
    outgoing: asyncio.Queue[wire.ConnectRequest] = asyncio.Queue()
    tasks = [
        asyncio.create_task(_listen(stream, party, outgoing, silence_s)),
        asyncio.create_task(_answer(stream, outgoing)),
        asyncio.create_task(_report(party, outgoing)),
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _listen(
    stream: Any, party: Party, outgoing: asyncio.Queue[wire.ConnectRequest], silence_s: float
) -> None:
    """Obey until the stream ends, or nothing was heard for `silence_s`."""
    while (message := await asyncio.wait_for(stream.recv_message(), silence_s)) is not None:
        party.heard()
        answer = _obey(message, party)
        if answer is not None:
            outgoing.put_nowait(answer)
        if message.WhichOneof("message") == "goodbye":
            return


async def _answer(stream: Any, outgoing: asyncio.Queue[wire.ConnectRequest]) -> None:
    while True:
        message = await outgoing.get()
        await asyncio.wait_for(stream.send_message(message), _ANSWER_S)


async def _report(party: Party, outgoing: asyncio.Queue[wire.ConnectRequest]) -> None:
    is_last = False
    while not is_last:
        report = await party.next_report()
        outgoing.put_nowait(_report_out(report))
        is_last = report.is_last
    outgoing.put_nowait(wire.ConnectRequest(goodbye=wire.Goodbye(reason="the agent was stopped")))
    await asyncio.Event().wait()  # until the hub, which has read it, ends the stream


def _obey(message: wire.ConnectResponse, party: Party) -> wire.ConnectRequest | None:
    """Hand one message on. Returns: the answer that it asks for, if any."""
    match message.WhichOneof("message"):
        case "desired":
            party.desire(tuple(_probe(p) for p in message.desired.probes))
        case "change":
            change = message.change
            party.change(tuple(_probe(p) for p in change.place), tuple(change.remove))
        case "acknowledgement":
            party.acknowledge(message.acknowledgement.through_number)
        case "location":
            return _location_answer(message.location, party)
        case "source":
            return _source_answer(message.source, party)
        case _:
            pass  # renewal, goodbye: heard() is all; what a newer hub says is not for us
    return None


def _take_welcome(message: wire.ConnectResponse | None, party: Party) -> float:
    """Begin, or not. Returns: the lease in seconds. Raises: RefusedByHub, ConnectionResetError."""
    kind = message.WhichOneof("message") if message is not None else None
    if message is not None and kind == "welcome":
        welcome = message.welcome
        party.welcomed(welcome.lease_ms / 1000, welcome.heartbeat_ms / 1000)
        return welcome.lease_ms / 1000
    if message is not None and kind == "refusal":
        no = message.refusal
        party.refused(no.what, no.why, no.next_step)
        raise RefusedByHub(no.retry_after_ms / 1000)
    raise ConnectionResetError("the hub closed the stream before Welcome")


def _hello(config: AgentConfig, identity: Identity) -> wire.ConnectRequest:
    return wire.ConnectRequest(
        hello=wire.Hello(
            protocol_version=PROTOCOL_VERSION,
            instance=identity.instance,
            service=config.service,
            environment=config.environment,
            version=config.version,
            labels=dict(config.labels),
            runtime=wire.Runtime(
                language="python",
                version=".".join(map(str, sys.version_info[:3])),
                implementation=sys.implementation.name,
            ),
            pid=identity.pid,
            host=identity.host,
            agent_version=identity.agent_version,
            capabilities=_CAPABILITIES,
            started_unix_ms=identity.started_ms,
        )
    )


def _probe(message: wire.Probe) -> Probe:
    return Probe(
        probe_id=message.probe_id,
        kind=_KINDS.get(message.kind, Kind.SNAPSHOT),
        where=_where(message.where),
        condition=message.condition or None,
        captures=tuple(CaptureExpression(c.name, c.expression) for c in message.captures),
        message=message.message or None,
        max_hits=message.max_hits,
        stack_frames=message.stack_frames,
        ttl_ms=message.ttl_ms,
        max_hits_per_second=message.max_hits_per_second,
    )


def _where(message: wire.Where) -> Where:
    return Where(message.file, message.line or None, message.expect_code or None)


def _report_out(report: ReportOut) -> wire.ConnectRequest:
    return wire.ConnectRequest(
        report=wire.Report(
            results=[_result(r) for r in report.results],
            statuses=[_status(s) for s in report.statuses],
            outbox=report.outbox,
        )
    )


def _value(value: Value) -> wire.Value:
    return wire.Value(
        name=value.name, literal=value.literal, type=value.type, redacted=value.is_redacted
    )


def _result(result: Result) -> wire.Result:
    return wire.Result(
        number=result.number,
        result_id=result.result_id,
        probe_id=result.probe_id,
        sequence=result.sequence,
        time_unix_ms=result.time_ms,
        thread=result.thread,
        task=result.task or "",
        values=[_value(v) for v in result.values],
        message=result.message or "",
        stack=result.stack,
    )


def _status(status: Status) -> wire.ProbeStatus:
    counts = status.counts
    return wire.ProbeStatus(
        probe_id=status.probe_id,
        state=_STATES[status.state],
        problem=_problem(status.problem) if status.problem else None,
        counts=wire.Counts(**{f: getattr(counts, f) for f in counts.__dataclass_fields__}),
        ever_armed=status.ever_armed,
        frames_missed=status.frames_missed,
        location=_location(status.location) if status.location else None,
        samples=[wire.ConditionSample(parts=[_value(v) for v in s]) for s in status.samples],
        condition_error=status.condition_error or "",
        overhead=wire.Overhead(ns_per_hit=status.ns_per_hit, core_share=status.core_share),
    )


def _problem(problem: Problem) -> wire.Problem:
    return wire.Problem(
        code=problem.code, what=problem.what, why=problem.why, next_step=problem.next_step
    )


def _location(location: Location) -> wire.Location:
    return wire.Location(
        file=location.file,
        line=location.line,
        function=location.function,
        code=location.code,
        moved_from=location.moved_from or 0,
        loaded=location.loaded,
    )


def _location_answer(question: wire.LocationQuestion, party: Party) -> wire.ConnectRequest:
    answer = wire.LocationAnswer(question_id=question.question_id)
    problem = _try(
        lambda: answer.location.CopyFrom(_location(party.locate(_where(question.where))))
    )
    if problem is not None:
        answer.problem.CopyFrom(problem)
    return wire.ConnectRequest(location=answer)


def _source_answer(question: wire.SourceQuestion, party: Party) -> wire.ConnectRequest:
    answer = wire.SourceAnswer(question_id=question.question_id)

    def look() -> None:
        matches, more = party.find(question.file, question.line, question.function)
        answer.matches.extend(_match(m) for m in matches)
        answer.more = more

    problem = _try(look)
    if problem is not None:
        answer.problem.CopyFrom(problem)
    return wire.ConnectRequest(source=answer)


def _try(act: Callable[[], None]) -> wire.Problem | None:
    try:
        act()
    except Exception as error:  # noqa: BLE001  a question that breaks us must not end the stream
        return _problem(to_problem(error))
    return None


def to_problem(error: Exception) -> Problem:
    """Put an error into words that may leave the process: never a captured text."""
    if isinstance(error, SondeError):
        return Problem(error.code, error.what, error.why, error.next_step)
    return Problem(
        "internal",
        "The agent failed",
        f"it met an unexpected {type(error).__name__}",
        "Look at the service's log for the logger `sonde`, and report it",
    )


def _match(match: SourceMatch) -> wire.SourceMatch:
    return wire.SourceMatch(
        file=match.file,
        line=match.line,
        function=match.function,
        code=match.code,
        executable=match.executable,
        before=match.before,
        after=match.after,
        names=match.names,
        source_sha256=match.source_sha256,
    )
