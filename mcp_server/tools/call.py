"""What a tool works with during one call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the hub is imported late, see `late_hub`
    from mcp_server.hub import Hub


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `late_s`: how long it had to wait for the hub to open, of its own time.

    `progress`: told the seconds waited and a sentence. `home`: SONDE_HOME, for advice.
    """

    hub: Hub
    progress: Callable[[float, str], Awaitable[None]]
    late_s: float
    home: str

    def patience_s(self, wait_seconds: float) -> float:
        """Say what is left of the caller's patience."""
        return max(0.0, wait_seconds - self.late_s)
