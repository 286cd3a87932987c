"""The life of `sonde mcp` as a process: what it says on which stream, and that it ends."""

from __future__ import annotations

import json
import os
import select
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from living import SONDE, assistant, call, refused, wait_for_end

WAIT_S = 10
INITIALIZE = {
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "life", "version": "1"},
    },
}
# Starts the command with its own standard input, says both pids, and outlives its parent.
GO_BETWEEN = """
import os, subprocess, sys
child = subprocess.Popen(sys.argv[1:])
sys.stderr.write(f"{os.getpid()} {child.pid}\\n")
sys.stderr.flush()
child.wait()
"""


class Server:
    """A process that speaks MCP on its standard streams, and somebody who writes by hand."""

    def __init__(self, home: Path, *prefix: str) -> None:
        self.process = subprocess.Popen(
            [*prefix, SONDE, "mcp"],
            env={"SONDE_HOME": str(home), "PATH": "/usr/bin:/bin"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.said: list[dict[str, Any]] = []
        self._number = 0

    def send(self, method: str, params: dict[str, Any] | None = None) -> None:
        self._number += 1
        message = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params or {}}
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        self.send(method, params)
        ready, _, _ = select.select([self.process.stdout], [], [], WAIT_S)
        assert ready, "no answer in time"
        while (answer := json.loads(self.process.stdout.readline())).get("id") != self._number:
            assert answer["jsonrpc"] == "2.0"
        return answer["result"]

    def open(self) -> None:
        """Say hello, and have the hub open."""
        self.ask(**INITIALIZE)
        self.ask("tools/call", {"name": "list_probes", "arguments": {}})

    def end(self) -> tuple[int, bytes, bytes]:
        """Wait until it has ended by itself. Returns: status, rest of stdout, stderr."""
        self.process.stdin.close()
        self.process.stdin = None
        out, err = self.process.communicate(timeout=WAIT_S)
        return self.process.returncode, out, err


@pytest.fixture
def start(home: Path) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def begin(*prefix: str) -> Server:
        servers.append(Server(home, *prefix))
        return servers[-1]

    yield begin
    for server in servers:
        server.process.kill()
        server.process.communicate(timeout=WAIT_S)


def test_it_survives_a_megabyte_and_garbage_says_only_protocol_and_ends_with_its_input(
    start,
) -> None:
    server = start()
    server.open()
    huge = {"name": "place_snapshot", "arguments": {"service": "A" * 1_000_000, "\u202e": "x"}}
    answer = server.ask("tools/call", huge)
    assert answer["isError"]
    assert len(answer["content"][0]["text"]) < 1000
    server.process.stdin.write(b"\xff\xfe not json\n")
    server.process.stdin.flush()
    assert server.ask("tools/list")["tools"]
    status, out, err = server.end()
    assert status == 0
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in out.splitlines())
    assert b"Traceback" not in err


def test_it_ends_on_a_signal_though_its_input_stays_open_and_a_call_is_waiting(start) -> None:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    servers = [start() for _ in numbers]
    for server in servers:
        server.open()
    for server, number in zip(servers, numbers, strict=True):
        server.send("tools/call", {"name": "list_services", "arguments": {"service": "nobody"}})
        server.process.send_signal(number)
        assert server.process.wait(2) == 128 + number


def test_it_ends_when_its_launcher_is_killed_though_its_input_stays_open(start) -> None:
    server = start(sys.executable, "-c", GO_BETWEEN)
    launcher, pid = map(int, server.process.stderr.readline().split())
    server.open()
    os.kill(launcher, signal.SIGKILL)
    wait_for_end(pid)


def test_it_ends_when_the_client_behind_its_launcher_is_killed(start) -> None:
    # The client is a process of its own here: this one only keeps the pipe open.
    client = start(sys.executable, "-c", GO_BETWEEN, sys.executable, "-c", GO_BETWEEN)
    client_pid, launcher = map(int, client.process.stderr.readline().split())
    assert launcher == int(client.process.stderr.readline().split()[0])
    client.open()
    (pid,) = children_of(launcher)
    os.kill(client_pid, signal.SIGKILL)
    wait_for_end(pid)


def test_it_lives_on_when_only_what_started_its_client_goes(home: Path) -> None:
    client = "\n".join(
        (
            "import json, subprocess, sys, time",
            "server = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)",
            f"hello = json.dumps({{'jsonrpc': '2.0', 'id': 1, **{INITIALIZE!r}}}).encode() + b'\\n'",
            "server.stdin.write(hello); server.stdin.flush(); server.stdout.readline()",
            "print('up', flush=True)",
            "sys.stdin.read()  # until the test has killed our parent",
            "try: print('ended', server.wait(1.0), flush=True)",
            "except subprocess.TimeoutExpired: print('alive', flush=True)",
            "server.kill()",
        )
    )
    read_end, write_end = os.pipe()
    starter = subprocess.Popen(
        [sys.executable, "-c", "import subprocess, sys; subprocess.Popen(sys.argv[2:], stdin=int(sys.argv[1])).wait()", str(read_end), sys.executable, "-c", client, SONDE, "mcp"],
        env={"SONDE_HOME": str(home), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        pass_fds=[read_end],
        text=True,
    )  # fmt: skip
    os.close(read_end)
    with starter:
        assert starter.stdout.readline() == "up\n"
        starter.kill()
        os.close(write_end)
        assert starter.stdout.readline() == "alive\n"


@pytest.mark.parametrize("name", ["x" * 120, "a-file", "a-file/below"])
def test_a_home_that_cannot_be_used_is_one_sentence_and_a_status(home: Path, name: str) -> None:
    (home / "a-file").touch()
    ended = run_without_input(home / name)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("sonde: Cannot use SONDE_HOME ")
    assert "Set SONDE_HOME to a folder" in ended.stderr


def newer_store(home: Path) -> None:
    with sqlite3.connect(home / "sonde.db") as database:
        database.execute("create table meta (key text primary key, value text)")
        database.execute("insert into meta values ('schema_version', '999'), ('tag', 'abcdef')")
    database.close()


def test_a_store_of_a_newer_version_is_one_sentence_and_a_status(home: Path) -> None:
    newer_store(home)
    ended = run_without_input(home)
    assert ended.returncode == 1
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith("sonde: Cannot use the store: its schema is version 999")


async def test_a_store_that_cannot_be_used_is_what_every_tool_answers_until_it_can(
    home: Path,
) -> None:
    newer_store(home)
    async with assistant(home) as client:
        for _ in range(2):
            text = await refused(client, "list_probes")
            assert text.startswith("internal: Cannot use the store. Its schema is version 999")
        (home / "sonde.db").unlink()
        assert await call(client, "list_probes")


def run_without_input(home: Path) -> subprocess.CompletedProcess[str]:
    """Run `sonde mcp </dev/null`."""
    return subprocess.run(
        [SONDE, "mcp"],
        env={"SONDE_HOME": str(home), "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
