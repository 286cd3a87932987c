"""What a tool works with during one call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from mcp_server.deadline import Deadline

if TYPE_CHECKING:  # the hub is imported late, see `late_hub`
    from mcp_server.hub import Hub

# Told the seconds waited so far and a sentence of ours.
Progress: TypeAlias = Callable[[float, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `by`: when the hub has to answer, counted from the call's start on: what the call
    had to wait for the hub to open is gone from it.

    `home`: SONDE_HOME, for advice.
    """

    hub: Hub
    progress: Progress
    by: Deadline
    home: str
