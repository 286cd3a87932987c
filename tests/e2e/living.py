"""Real processes for the end-to-end tests: a service under `sonde run`, assistants over stdio."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from mcp import Client, StdioServerParameters

HERE = Path(__file__).parent
SONDE = str(Path(sys.executable).with_name("sonde"))
WAIT_S = 30
LOOK_EVERY_S = 0.02

T = TypeVar("T")


def lines_of(name: str) -> dict[str, int]:
    """Find the tagged lines of a file of the shop."""
    text = (HERE / "shop" / name).read_text()
    return {
        line.split("probe: ")[1].strip(): number
        for number, line in enumerate(text.splitlines(), 1)
        if "probe: " in line
    }


class Service:
    """The shop under `sonde run`, and a client of its own."""

    def __init__(self, home: Path, name: str = "shop", python: str = sys.executable) -> None:
        command = [SONDE, "run", "--service", name, "--env", "test", "--version", "v1"]
        self.process = subprocess.Popen(
            [*command, "--", python, "-m", "shop"],
            cwd=HERE,
            env={**os.environ, "SONDE_HOME": str(home)},  # noqa: TID251
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        first = self.process.stdout.readline()
        if not first:
            raise RuntimeError(f"the service did not start: {self.process.communicate()[1]}")
        self.port = int(first)

    def get(self, path: str, connection: http.client.HTTPConnection | None = None) -> dict:
        if connection is None:
            with closing(self.connect()) as connection:
                return self.get(path, connection)
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)

    @property
    def is_pristine(self) -> bool:
        """True if every function of the shop has its original code object, by identity."""
        return self.get("/pristine")["pristine"]

    def end(self) -> str:
        """End it as its operator would. Returns: what it wrote on standard error."""
        _, errors = self.process.communicate("", timeout=WAIT_S)
        assert self.process.returncode == 0
        return errors

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=WAIT_S)


class Traffic:
    """Requests in the background, one after the other on one connection, each answer checked."""

    def __init__(self, service: Service, seed: int) -> None:
        self.count = 0
        self.wrong: list[object] = []
        self._service = service
        self._seed = seed
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(WAIT_S)

    def _run(self) -> None:
        connection = self._service.connect()
        while not self._stop.is_set() and self.count < 100_000:
            n = self._seed + self.count % 200
            try:
                got = self._service.get(f"/price?n={n},1", connection)["price"]
            except (OSError, http.client.HTTPException) as error:
                got = error
            if got != truth(n + 1):
                self.wrong.append((n, got))
            self.count += 1
        connection.close()


def truth(total: int) -> int:
    """What the shop should answer, worked out apart from it."""
    price = total - total // 10 if total > 100 else total
    return price + (5 if price < 50 else 0)


def server_parameters(home: Path, **settings: str) -> StdioServerParameters:
    """What an IDE's configuration holds: a bare environment and a foreign working directory."""
    env = {"SONDE_HOME": str(home), "PATH": "/usr/bin:/bin", **settings}
    return StdioServerParameters(command=SONDE, args=["mcp"], env=env, cwd="/")


@asynccontextmanager
async def assistant(home: Path, mode: str = "legacy", **settings: str) -> AsyncIterator[Client]:
    """A real MCP client over real stdio. `mode`: the handshake era, or `auto` for the modern."""
    async with Client(server_parameters(home, **settings), mode=mode) as client:
        yield client


@asynccontextmanager
async def held(manager: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
    """Hold a context in a task of its own: the two halves of a fixture run in different tasks,
    and a client must be closed by the one that opened it.
    """
    opened: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    enough = asyncio.Event()

    async def hold() -> None:
        async with manager as value:
            opened.set_result(value)
            await enough.wait()

    holding = asyncio.create_task(hold())
    await asyncio.wait({holding, opened}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if opened.done():
            yield opened.result()
    finally:
        enough.set()
        await holding


async def becomes(claim: Callable[[], bool], within_s: float = 15) -> bool:
    """Watch a claim about other processes under a timeout, off the loop: nothing tells us."""
    until = time.monotonic() + within_s
    while not await asyncio.to_thread(claim):
        if time.monotonic() > until:
            return False
        await asyncio.sleep(LOOK_EVERY_S)
    return True


async def call(client: Client, tool: str, **arguments: object) -> dict:
    """Call a tool that should succeed. Returns: its structured content."""
    answer = await client.call_tool(tool, arguments)
    text = answer.content[0].text
    assert not answer.is_error, text
    assert text
    return answer.structured_content


async def refused(client: Client, tool: str, **arguments: object) -> str:
    """Call a tool that should refuse. Returns: its text."""
    answer = await client.call_tool(tool, arguments)
    assert answer.is_error, answer.structured_content
    return answer.content[0].text


def wait_for_end(pid: int) -> None:
    """Wait until a process that is not ours has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ended, _, _ = select.select([handle], [], [], WAIT_S)
        assert ended, f"{pid} has not ended"
    finally:
        os.close(handle)
