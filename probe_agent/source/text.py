"""The text of a source file: read, split as the compiler splits it, and its SHA-256.

The text is what is on disk (or in the zip archive) now; `sameness` says whether it is what runs.
`linecache` is never used: it
is the application's.
"""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from importlib.util import decode_source
from pathlib import Path
from typing import Final

from probe_agent.source.archives import read_member

LONGEST_FILE_BYTES: Final = 4_000_000  # decoding more would hold the interpreter for milliseconds

# Shown where a line's text would stand.
TEXT_CHANGED: Final = "<the file on disk has changed since it was loaded>"
NO_TEXT: Final = "<no source text>"


@dataclass(frozen=True, slots=True)
class Text:
    """A file's text. `lines`: without their ends. `sha256`: of the file's bytes, hexadecimal."""

    lines: tuple[str, ...]
    sha256: str

    def line(self, number: int) -> str:
        """Give a 1-based line, "" outside of the text."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""


def read_text(path: str) -> Text | None:
    """Read a source file, also one inside of a zip archive.

    Returns: None if there is no such text, it cannot be decoded, or it is larger than
    `LONGEST_FILE_BYTES`.
    """
    try:
        content = _content(path)
        if content is None or len(content) > LONGEST_FILE_BYTES:
            return None
        # Not str.splitlines: form feeds and U+2028 end no line of Python.
        lines = tuple(decode_source(content).split("\n"))
    except (OSError, SyntaxError, ValueError):
        return None
    return Text(lines, hashlib.sha256(content).hexdigest())


def _content(path: str) -> bytes | None:
    if path.endswith((".pyc", ".so", ".pyd")):
        return None
    if os.path.isfile(path):
        if os.stat(path).st_size > LONGEST_FILE_BYTES:
            return None
        return Path(path).read_bytes()
    # A loader's get_source may be the application's code: not run from here.
    return read_member(path)


def was_touched_since(path: str, moment_s: float) -> bool:
    """True if the file's content or inode changed after `moment_s` (Unix time), or cannot be looked
    at.
    """
    try:
        found = os.stat(path)
    except OSError:
        # Inside of an archive: the archive is the file.
        archive = os.path.dirname(path)
        return was_touched_since(archive, moment_s) if len(archive) > 1 else True
    return max(found.st_mtime, found.st_ctime) >= moment_s


def process_start_s() -> float:
    """Say when this process began (Unix time); where the system does not tell, now.

    Source: proc(5), /proc/self/stat field 22, clock ticks since boot.
    """
    try:
        fields = Path("/proc/self/stat").read_text(encoding="latin-1").rpartition(")")[2].split()
        since_boot_s = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - since_boot_s)
    except (OSError, ValueError, IndexError, AttributeError):
        return time.time()
