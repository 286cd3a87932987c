"""The agents whose streams this process holds: what was sent to each, and what is to be sent next.

`relay` attaches a link when an agent has said Hello and turns its orders into wire messages; the
holder's loop in `hub` fills it. All on one event loop; nothing here waits for an agent.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

from mcp_server.model import Question, StoredProbe
from probe_agent.probe import Kind

# An agent that leaves so many orders unread is stuck: its stream is closed, and it may dial again.
_MOST_ORDERS: Final = 1000


class Capability(StrEnum):
    """What an agent may or may not be able to do."""

    SNAPSHOT_LINE = "snapshot_line"
    LOG_LINE = "log_line"
    SOURCE = "source"


NEEDED: Final = {Kind.SNAPSHOT: Capability.SNAPSHOT_LINE, Kind.LOG: Capability.LOG_LINE}


@dataclass(frozen=True, slots=True)
class Desired:
    """Every probe that the agent should hold; the first order of every link."""

    probes: tuple[StoredProbe, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """What to place and which ids to remove."""

    place: tuple[StoredProbe, ...]
    remove: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """A question that the agent should answer."""

    question: Question


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Results through this number are stored."""

    through_number: int


@dataclass(frozen=True, slots=True)
class Renew:
    """The agent's lease runs anew."""


@dataclass(frozen=True, slots=True)
class Leave:
    """This hub goes; the agent should look for another. The link's last order."""

    reason: str


Order: TypeAlias = Desired | Change | Ask | Acknowledge | Renew | Leave


@dataclass(eq=False, slots=True)
class Link:
    """One agent's stream. `placed`, `removed`, `asked`: ids sent over it so far.

    `is_known`: the store says that it is connected; nothing is sent before. `is_greeted`: it has
    had its Desired. `renewed_at_s`: loop time of its last lease.
    """

    instance: str
    capabilities: frozenset[Capability]
    renewed_at_s: float
    is_known: bool = False
    is_greeted: bool = False
    placed: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    _orders: asyncio.Queue[Order] = field(
        default_factory=lambda: asyncio.Queue(maxsize=_MOST_ORDERS)
    )

    def send(self, order: Order) -> None:
        """Queue an order; a full queue closes the link."""
        try:
            self._orders.put_nowait(order)
        except asyncio.QueueFull:
            self.closed.set()

    async def next_order(self) -> Order:
        """Wait for the next order."""
        return await self._orders.get()


class Registry:
    """The links of this process, at most one per instance."""

    def __init__(self) -> None:
        self._links: dict[str, Link] = {}

    @property
    def links(self) -> tuple[Link, ...]:
        """Every link that orders may be sent over."""
        return tuple(link for link in self._links.values() if link.is_known)

    def attach(self, link: Link) -> None:
        """Take a link in; an older one of the same instance is closed."""
        older = self._links.get(link.instance)
        if older is not None:
            older.closed.set()
        self._links[link.instance] = link

    def detach(self, link: Link) -> bool:
        """Let a link go. False: a newer one had taken its place."""
        if self._links.get(link.instance) is not link:
            return False
        del self._links[link.instance]
        return True
