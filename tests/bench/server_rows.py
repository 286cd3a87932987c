"""`sonde mcp` from start to first reply, beside a do-nothing server on the bare SDK."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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
    """Print {contestant: [seconds, ratio]}, medians of pairs."""
    sonde = [str(Path(sys.executable).with_name("sonde")), "mcp"]
    times: dict[str, list[float]] = {"bare": [], "sonde": []}
    with tempfile.TemporaryDirectory(prefix="sonde") as home:
        environment = {"SONDE_HOME": home, "PATH": "/usr/bin:/bin"}
        for _ in range(rounds):
            times["bare"].append(first_reply_s([sys.executable, "-c", BARE], environment))
            times["sonde"].append(first_reply_s(sonde, environment))
    ratios = [a / b for a, b in zip(times["sonde"], times["bare"], strict=True)]
    rows = {
        "a do-nothing server on the bare SDK": (statistics.median(times["bare"]), 1.0),
        "sonde mcp": (statistics.median(times["sonde"]), statistics.median(ratios)),
    }
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
