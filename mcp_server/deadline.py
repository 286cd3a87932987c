"""A moment by which something should be through, on the monotonic clock."""

from __future__ import annotations

import time


class Deadline:
    """So many seconds from now, and never later than another deadline.

    A tool call has one from its start on; every wait inside of it is made within that one.
    """

    __slots__ = ("_began_s", "_ends_s")

    def __init__(self, seconds: float, within: Deadline | None = None) -> None:
        self._began_s = time.monotonic()
        self._ends_s = self._began_s + (seconds if within is None else min(seconds, within.left_s))

    @property
    def waited_s(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began_s

    @property
    def left_s(self) -> float:
        """Seconds to go, 0 when passed."""
        return max(0.0, self._ends_s - time.monotonic())

    @property
    def has_passed(self) -> bool:
        """True when no time is left."""
        return self.left_s <= 0
