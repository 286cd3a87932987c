"""The gRPC server on the Unix socket, and one agent's stream from Hello to its end."""

from __future__ import annotations

import asyncio
from typing import Any, Final, TypeAlias

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError

from mcp_server.config import ServerConfig
from mcp_server.errors import HomeUnusable, SondeError
from mcp_server.registry import Acknowledge, Leave, Link, Registry
from mcp_server.relay.from_wire import (
    Malformed,
    read_location_answer,
    read_result,
    read_source_answer,
    read_status,
)
from mcp_server.relay.hello import PROTOCOL_VERSION, HelloRefused, Newcomer, read_hello
from mcp_server.relay.to_wire import write_order
from mcp_server.store import Store
from mcp_server.wire.sonde.v1 import relay_pb2_grpc as stubs
from probe_agent.wire.sonde.v1 import relay_pb2 as wire

_logger = structlog.get_logger(__name__)

_HELLO_S: Final = 5.0  # an agent says Hello at once; what is silent for longer is not one
_RETRY_REFUSED_MS: Final = 30_000  # its owner has to change something first
_STOP_S: Final = 0.1

# types-grpcio leaves out that `read` may return EOF, so mypy would call every check of it dead.
Context: TypeAlias = Any


class Relay(stubs.RelayServiceServicer):
    """Takes agents in, brings what they say to the store and what `registry` holds to them."""

    def __init__(
        self, config: ServerConfig, store: Store, registry: Registry, session: str
    ) -> None:
        self._config = config
        self._store = store
        self._registry = registry
        self._session = session
        self._server: grpc.aio.Server | None = None
        self._streams: set[asyncio.Task[Any]] = set()

    async def listen(self) -> None:
        """Open the socket. The caller holds the lock: a socket file that is there is a dead one.

        Raises: HomeUnusable.
        """
        self._config.socket.unlink(missing_ok=True)
        limit = ("grpc.max_receive_message_length", self._config.agents_message_bytes)
        server = grpc.aio.server(options=[limit])
        stubs.add_RelayServiceServicer_to_server(self, server)  # type: ignore[no-untyped-call]  # generated
        try:
            server.add_insecure_port(f"unix:{self._config.socket}")
        except RuntimeError as error:
            raise HomeUnusable(
                f"Cannot listen for agents at {self._config.socket}",
                "the socket cannot be made there",
                "Set SONDE_HOME to a folder on a local disk, for Sonde and for the services",
            ) from error
        await server.start()
        self._server = server

    async def stop(self) -> None:
        """Say goodbye to every agent, close the socket, let the streams write their last row."""
        for link in self._registry.links:
            link.send(Leave("this hub is going"))
        await self._streams_ended()  # gRPC's own notice would overtake the goodbye
        if self._server is not None:
            await self._server.stop(0)
            self._server = None
        await self._streams_ended()

    async def _streams_ended(self) -> None:
        if self._streams:
            await asyncio.wait(self._streams, timeout=_STOP_S)

    async def Connect(self, request_iterator: object, context: Context) -> None:  # noqa: N802  # gRPC's name
        """Hold one agent's stream until either side leaves."""
        del request_iterator  # one way of reading; the other is context.read
        stream = asyncio.current_task()
        assert stream is not None, "gRPC runs each stream as a task"
        self._streams.add(stream)
        stream.add_done_callback(self._streams.discard)
        try:
            await self._stream(context)
        except (Malformed, DecodeError) as error:
            reason = error.reason if isinstance(error, Malformed) else "it is not a message of ours"
            _logger.warning("malformed message, stream closed", reason=reason)
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, reason)
        except SondeError as error:
            _logger.warning("stream closed", what=error.what, why=error.why)
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the hub's store cannot be used")
        except (grpc.aio.BaseError, TimeoutError) as error:
            _logger.info("stream broke", error=type(error).__name__)

    async def _stream(self, context: Context) -> None:
        async with asyncio.timeout(_HELLO_S):
            first = await context.read()
        if first is grpc.aio.EOF:
            return
        try:
            newcomer = read_hello(first)
        except HelloRefused as refusal:
            _logger.warning("agent refused", why=refusal.why)
            await context.write(_refusal(refusal))
            return
        with structlog.contextvars.bound_contextvars(instance=newcomer.instance.instance):
            await self._attached(context, newcomer)

    async def _attached(self, context: Context, newcomer: Newcomer) -> None:
        link = Link(
            newcomer.instance.instance, newcomer.capabilities, asyncio.get_running_loop().time()
        )
        self._registry.attach(link)
        has_left = False
        try:
            await self._store.instances.connected(newcomer.instance, self._session)
            await context.write(self._welcome())
            link.is_known = True
            self._store.database.notify()
            _logger.info("agent connected", service=newcomer.instance.service)
            has_left = await self._converse(context, link)
        finally:
            if self._registry.detach(link):
                await self._store.instances.gone(
                    link.instance, self._session, with_probes=not has_left
                )
                _logger.info("agent gone", said_goodbye=has_left)

    async def _converse(self, context: Context, link: Link) -> bool:
        """Carry both directions until one ends. Returns: True if the agent said goodbye."""
        reading = asyncio.create_task(self._read(context, link))
        others = (
            asyncio.create_task(self._write(context, link)),
            asyncio.create_task(link.closed.wait()),
        )
        tasks: tuple[asyncio.Task[Any], ...] = (reading, *others)
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end
        return reading in done and reading.result()

    async def _read(self, context: Context, link: Link) -> bool:
        while True:
            try:
                async with asyncio.timeout(self._config.lease_s):
                    request = await context.read()
            except TimeoutError:
                _logger.warning("agent silent for its lease, stream closed")
                return False
            if request is grpc.aio.EOF:
                return False
            if request.WhichOneof("message") == "goodbye":
                return True
            await self._take(request, link)

    async def _take(self, request: wire.ConnectRequest, link: Link) -> None:
        match request.WhichOneof("message"):
            case "report":
                await self._report(request.report, link)
            case "location":
                answer = read_location_answer(request.location)
                await self._store.questions.answer(link.instance, answer)
            case "source":
                answer = read_source_answer(request.source)
                await self._store.questions.answer(link.instance, answer)
            case other:
                raise Malformed(f"{other or 'an empty message'} does not belong here")

    async def _report(self, report: wire.Report, link: Link) -> None:
        results = [read_result(r) for r in report.results]
        statuses = [read_status(s) for s in report.statuses]
        if not results and not statuses:
            return  # a heartbeat: the store has nothing to learn
        through = await self._store.reports.save(link.instance, results, statuses)
        if results:
            link.send(Acknowledge(through))

    async def _write(self, context: Context, link: Link) -> None:
        while True:
            order = await link.next_order()
            await context.write(write_order(order, self._config.hits_per_second))
            if isinstance(order, Leave):
                return

    def _welcome(self) -> wire.ConnectResponse:
        lease_ms = round(self._config.lease_s * 1000)
        heartbeat_ms = min(round(self._config.heartbeat_s * 1000), lease_ms // 3)
        return wire.ConnectResponse(
            welcome=wire.Welcome(
                protocol_version=PROTOCOL_VERSION,
                lease_ms=lease_ms,
                heartbeat_ms=heartbeat_ms,
                hub_version=self._config.version,
            )
        )


def _refusal(error: HelloRefused) -> wire.ConnectResponse:
    return wire.ConnectResponse(
        refusal=wire.Refusal(
            what=error.what,
            why=error.why,
            next_step=error.next_step,
            retry_after_ms=_RETRY_REFUSED_MS,
        )
    )
