"""What a tool works with during one call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # the hub is imported late, see `late_hub`
    from mcp_server.hub import Hub

# Of the 4 s that a tool has beyond its waiting, what opening the hub may take: the rest is the
# hub's own, to find the agents and to write the answer.
_FREE_S: Final = 1.5


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
        """Say how long the hub may wait so that the answer is still in time."""
        return max(0.0, wait_seconds - max(0.0, self.late_s - _FREE_S))
