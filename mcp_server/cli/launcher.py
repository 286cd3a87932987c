"""Who launched us, and whether they are still there.

A client that is killed closes our standard input, and we end. But a process in between (`uvx`, a
shell) or a sibling may hold the other end open; then the only sign is that an ancestor is gone.
"""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import struct
import subprocess
from pathlib import Path
from typing import Final

# The launcher, what launched it, and the client: `uvx` and a wrapper script fit in between.
_GENERATIONS: Final = 3
_EVERY_S: Final = 0.2
_INIT: Final = 1


class Launcher:
    """Our ancestors as they were at the start, and who held the other end of standard input."""

    def __init__(self) -> None:
        self._ancestors = ancestors()
        self._writers = _writers_of_stdin(self._ancestors)

    async def gone(self) -> None:
        """Return once an ancestor is gone, unless the one that talks to us is there still."""
        while True:
            await asyncio.sleep(_EVERY_S)
            now = ancestors()
            if now == self._ancestors:
                continue
            if not self._writers & set(now):
                return
            self._ancestors = now  # e.g. the terminal from which the client was started


def ancestors(generations: int = _GENERATIONS) -> tuple[int, ...]:
    """List the pids of parent, grandparent, ... up to init."""
    found: list[int] = []
    pid = os.getppid()
    while len(found) < generations:
        found.append(pid)
        if pid <= _INIT:
            break
        pid = _parent_of(pid)
    return tuple(found)


def _parent_of(pid: int) -> int:
    """Find a process's parent; 0 if the process is gone."""
    try:
        # The name in parentheses may hold anything, so what follows it is looked for from the end.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return int(fields[1])
    except FileNotFoundError:
        return 0 if Path("/proc/self").exists() else _parent_by_ps(pid)
    except (OSError, ValueError, IndexError):
        return 0


def _parent_by_ps(pid: int) -> int:
    """Ask `ps`, where there is no /proc (macOS)."""
    asked = subprocess.run(
        ["/bin/ps", "-o", "ppid=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return int(asked.stdout.strip() or 0)


def _writers_of_stdin(candidates: tuple[int, ...]) -> set[int]:
    """Find which of these processes can write to our standard input; none where we cannot tell."""
    try:
        status = os.fstat(0)
        if stat.S_ISSOCK(status.st_mode):
            return {_peer()} & set(candidates)
        if stat.S_ISFIFO(status.st_mode):
            return {pid for pid in candidates if _writes_to(pid, status)}
    except OSError:
        pass
    return set()


def _peer() -> int:
    """Name the process that made the socket pair (node's clients use one), where the system can."""
    if not hasattr(socket, "SO_PEERCRED"):
        return 0
    with socket.socket(fileno=os.dup(0)) as end:
        size = struct.calcsize("3i")
        credentials = end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    return int(struct.unpack("3i", credentials)[0])


def _writes_to(pid: int, pipe: os.stat_result) -> bool:
    try:
        return any(_is_write_end(file, pipe) for file in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # gone, or another user's
        return False


def _is_write_end(file: Path, pipe: os.stat_result) -> bool:
    try:
        is_same = os.path.samestat(file.stat(), pipe)
        return is_same and bool(file.lstat().st_mode & stat.S_IWUSR)
    except OSError:  # closed meanwhile
        return False
