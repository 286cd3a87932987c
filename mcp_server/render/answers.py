"""The answers of the tools, field by field as the tool contract names them.

`structure` writes them as JSON, with the fields left out that are empty; `text` writes the same
objects in words. Types of `mcp_server.model` stand in them where their fields are the contract's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from mcp_server.model import FleetCounts, NameSummary, Overhead, Reach, Silence
from mcp_server.render.next_step import NextCall


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a probe is; what was asked for while nobody has found it. `line` 1-based."""

    file: str
    line: int | None = None
    function: str = ""
    code: str = ""
    moved_from: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One result. In short form only `values`, `message`, `time`, `instance` and `sequence`, and
    `probe_id` where results of several probes stand together.
    """

    result_id: str = ""
    probe_id: str = ""
    instance: str
    version: str = ""
    time: datetime
    sequence: int
    thread: str = ""
    task: str = ""
    values: dict[str, str] = field(default_factory=dict)
    message: str = ""
    stack: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What every answer says about one probe."""

    probe_id: str = ""
    state: str
    untrusted: bool = True
    expires_at: datetime
    location: Place
    reach: Reach
    counts: FleetCounts
    summary: tuple[NameSummary, ...] = ()
    silence: Silence | None = None
    overhead: Overhead | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed(Probe):
    """Answer of the placing tools. `left_out`: how many of what were cut to fit."""

    results: tuple[Hit, ...] = ()
    more: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    next_cursor: str = ""
    next_call: NextCall | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Answer of `read_results`. `more`: results after `next_cursor` that are there already."""

    probes: tuple[Probe, ...] = ()
    untrusted: bool = True
    results: tuple[Hit, ...] = ()
    more: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    next_cursor: str = ""
    next_call: NextCall | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedProbe:
    """One row of `list_probes`; fields that a tight budget takes are None."""

    probe_id: str
    state: str
    kind: str
    location: Place | None = None
    counts: FleetCounts | None = None
    overhead: Overhead | None = None
    expires_at: datetime | None = None
    owner: str = ""
    reason: str = ""
    age_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeList:
    """Answer of `list_probes`."""

    probes: tuple[ListedProbe, ...] = ()
    untrusted: bool = True
    more: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    next_cursor: str = ""
    next_call: NextCall | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """Answer of `remove_probes`: ids by what became of them."""

    removed: tuple[str, ...] = ()
    removing: tuple[str, ...] = ()
    already_gone: tuple[str, ...] = ()
    not_yours: tuple[str, ...] = ()
    next_call: NextCall | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedInstance:
    """One process of a service."""

    instance: str
    version: str = ""
    python: str = ""
    pid: int
    host: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedService:
    """One service in one environment. `instance_list`: only when the service was named."""

    service: str
    environment: str
    versions: tuple[str, ...] = ()
    instances: int
    python: tuple[str, ...] = ()
    probes: int
    allowed: tuple[str, ...] = ()
    instance_list: tuple[ListedInstance, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Answer of `list_services`."""

    services: tuple[ListedService, ...] = ()
    how_to_connect: str = ""
    more: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    next_call: NextCall | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One place in the running source. `before`, `after`: lines with their indentation."""

    file: str
    line: int
    function: str = ""
    code: str = ""
    executable: bool = False
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    source_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """Answer of `find_code`."""

    matches: tuple[Match, ...] = ()
    untrusted: bool = True
    more: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    next_call: NextCall | None = None
