"""`sonde mcp` from start to first reply, beside a do-nothing server on the bare SDK."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from timing import measured, to_json

NS_PER_S = 1_000_000_000

BARE = """
import sys
from mcp.server import MCPServer
server = MCPServer("nothing")
@server.tool()
def nothing() -> str:
    return ""
server.run()
"""
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "bench", "version": "1"},
    },
}


def first_reply_s(command: list[str], environment: dict[str, str]) -> float:
    """Start a server, say initialize, and wait for its answer. Returns: seconds."""
    started = time.perf_counter()
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        process.stdin.write(json.dumps(HELLO) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        took = time.perf_counter() - started
        process.stdin.close()
        process.wait(10)
    assert "result" in answer, answer
    return took


def main(rounds: int = 11) -> None:
    """Print JSON (`timing.to_json`); wall times."""
    sonde = [str(Path(sys.executable).with_name("sonde")), "mcp"]
    times: dict[str, list[float]] = {"a do-nothing server on the bare SDK": [], "sonde mcp": []}
    with tempfile.TemporaryDirectory(prefix="sonde") as home:
        environment = {"SONDE_HOME": home, "PATH": "/usr/bin:/bin"}
        commands = ([sys.executable, "-c", BARE], sonde)
        for _ in range(rounds):
            for took, command in zip(times.values(), commands, strict=True):
                took.append(first_reply_s(command, environment) * NS_PER_S)
    print(to_json({"sonde mcp, start to first reply": measured(times)}))


if __name__ == "__main__":
    main()
