"""A small real hub for the agent's tests: grpclib's server on a Unix socket, in a thread."""

from __future__ import annotations

import asyncio
import importlib
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from grpclib.server import Server

from probe_agent.wire.sonde.v1 import relay_pb2 as wire
from probe_agent.wire.sonde.v1.relay_grpc import RelayServiceBase

WAIT_S = 30  # a machine may be busy; a test that passes never waits so long


class _Relay(RelayServiceBase):
    def __init__(self, hub: SmallHub) -> None:
        self._hub = hub

    async def Connect(self, stream) -> None:  # noqa: N802  the generated name
        self._hub.stream = stream
        while (message := await stream.recv_message()) is not None:
            answer = self._hub.take(message)
            if answer is not None:
                await stream.send_message(answer)
                if answer.WhichOneof("message") == "refusal":
                    return
            if message.WhichOneof("message") == "hello":
                self._hub.said_hello.set()
            if message.WhichOneof("message") == "goodbye":
                return


class SmallHub:
    """Welcomes agents, keeps what they say, sends what a test wants."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lease_ms = 30_000
        self.refusal: wire.Refusal | None = None
        self.acknowledges = True
        self.heard: list[wire.ConnectRequest] = []
        self.said_hello = threading.Event()
        self.stream = None
        self._news = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._server: Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"unix:{self.path}"

    def take(self, message: wire.ConnectRequest) -> wire.ConnectResponse | None:
        with self._news:
            self.heard.append(message)
            self._news.notify_all()
        kind = message.WhichOneof("message")
        if kind == "hello":
            if self.refusal is not None:
                return wire.ConnectResponse(refusal=self.refusal)
            return wire.ConnectResponse(
                welcome=wire.Welcome(protocol_version=1, lease_ms=self.lease_ms, heartbeat_ms=200)
            )
        if kind == "report" and message.report.results and self.acknowledges:
            through = message.report.results[-1].number
            return wire.ConnectResponse(
                acknowledgement=wire.Acknowledgement(through_number=through)
            )
        return None

    def open(self) -> None:
        self.said_hello.clear()
        self._call(self._open())

    async def _open(self) -> None:
        self._server = Server([_Relay(self)])
        await self._server.start(path=str(self.path))

    def close(self) -> None:
        """Go without a word."""
        self._call(self._close())
        self.path.unlink(missing_ok=True)

    async def _close(self) -> None:
        if self.stream is not None:
            self.stream._stream._transport.abort()  # as if killed: grpclib would keep it open
            self.stream = None
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    def end(self) -> None:
        self.close()
        self._call(self._settle())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_S)
        self._loop.close()

    async def _settle(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for _ in range(3):  # transports close in steps of their own
            await asyncio.sleep(0)

    def _call(self, coroutine) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(WAIT_S)

    def send(self, **message) -> None:
        assert self.said_hello.wait(WAIT_S), "no agent dialled in"
        self._call(self.stream.send_message(wire.ConnectResponse(**message)))

    def place(self, *probes: wire.Probe) -> None:
        self.send(change=wire.DesiredChange(place=probes))

    def remove(self, *probe_ids: str) -> None:
        self.send(change=wire.DesiredChange(remove=probe_ids))

    def wait_for(self, find: Callable[[list[wire.ConnectRequest]], object], what: str):
        """Wait until `find` finds something in what was heard. Returns: what it found."""
        with self._news:
            found = self._news.wait_for(lambda: find(self.heard), WAIT_S)
        assert found, f"not heard: {what}; statuses: {self.statuses()}"
        return found

    def statuses(self) -> dict[str, wire.ProbeStatus]:
        """The last status of each probe."""
        return {s.probe_id: s for m in list(self.heard) for s in m.report.statuses}

    def results(self, probe_id: str) -> list[wire.Result]:
        return [r for m in list(self.heard) for r in m.report.results if r.probe_id == probe_id]

    def wait_for_state(self, probe_id: str, state: int) -> wire.ProbeStatus:
        def find(_: object) -> wire.ProbeStatus | None:
            status = self.statuses().get(probe_id)
            return status if status is not None and status.state == state else None

        return self.wait_for(find, f"{probe_id} in state {wire.ProbeState.Name(state)}")

    def wait_for_results(self, probe_id: str, count: int) -> list[wire.Result]:
        def find(_: object) -> list[wire.Result] | None:
            results = self.results(probe_id)
            return results if len(results) >= count else None

        return self.wait_for(find, f"{count} results of {probe_id}")


@pytest.fixture
def hub() -> Iterator[SmallHub]:
    # Not tmp_path: a socket's path may have 107 bytes at the most.
    with tempfile.TemporaryDirectory(prefix="sonde") as folder:
        small_hub = SmallHub(Path(folder) / "hub.sock")
        small_hub.open()
        yield small_hub
        small_hub.end()


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Callable[[str, str], ModuleType]]:
    """Write a module and import it under a name that no other test uses."""
    sys.path.insert(0, str(tmp_path))
    loaded: list[str] = []

    def write_and_import(name: str, text: str) -> ModuleType:
        (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        loaded.append(name)
        return importlib.import_module(name)

    yield write_and_import
    sys.path.remove(str(tmp_path))
    for name in loaded:
        sys.modules.pop(name, None)


def line_of(module_or_text: ModuleType | str, tag: str = "probe: here") -> int:
    """Find the line that carries a tag in a comment."""
    if isinstance(module_or_text, ModuleType):
        module_or_text = Path(module_or_text.__file__).read_text()
    lines = [n for n, text in enumerate(module_or_text.splitlines(), 1) if f"# {tag}" in text]
    assert len(lines) == 1, f"tag {tag!r} stands on {len(lines)} lines"
    return lines[0]


@pytest.fixture(name="line_of")
def line_of_fixture() -> Callable[..., int]:
    return line_of
