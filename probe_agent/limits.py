"""Limits on what a probe may do to its application. Called by `hit` on the application's thread.

Nothing here takes a lock: each method reads and writes its fields without a call or a backward
jump between, and CPython (with the GIL) switches threads only at those.
"""

from __future__ import annotations

from typing import Final

from probe_agent.builtin_names import BUILTINS

__builtins__ = BUILTINS  # the application may replace its own

_SECOND_NS: Final = 1_000_000_000


class HitRate:
    """At most so many captured hits per second, counted in windows of one second."""

    __slots__ = ("_most", "_used", "_window_ns")

    def __init__(self, most_per_second: int) -> None:
        self._most = most_per_second
        self._window_ns = 0
        self._used = 0

    def take(self, now_ns: int) -> bool:
        """Count one more hit at `now_ns` (any monotonic clock); False if the window is used up."""
        if now_ns - self._window_ns >= _SECOND_NS:
            self._window_ns = now_ns
            self._used = 0
        if self._used >= self._most:
            return False
        self._used += 1
        return True
