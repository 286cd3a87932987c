"""What the server talks about: frozen types shared by store, hub, relay and render.

The fields and their meaning are those of the tool contract; probes, statuses and results are the
agent's own types (`probe_agent.probe`). Times are timezone-aware UTC datetimes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from probe_agent.probe import Kind, Location, Problem, Result, SourceMatch, State, Where


@dataclass(frozen=True, slots=True)
class Owner:
    """Who places: `principal` (the person), `session` (one per stdio server process), `client` (the
    assistant's name).
    """

    principal: str
    session: str
    client: str


@dataclass(frozen=True, slots=True)
class Instance:
    """One process with an agent, as in its Hello; `environment` is `default` where none was."""

    instance: str
    service: str
    environment: str
    version: str
    language: str
    python: str
    pid: int
    host: str
    labels: dict[str, str]
    since: datetime
    connected: bool


@dataclass(frozen=True, slots=True)
class ServiceView:
    """One service in one environment. `python`: versions, sorted. `probes`: how many are in place
    or wanted.
    """

    service: str
    environment: str
    versions: tuple[str, ...]
    instances: int
    python: tuple[str, ...]
    probes: int
    allowed: tuple[Kind, ...]
    instance_list: tuple[Instance, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """Which instances a call means. `instances`: at most so many, or exactly these ids, or all."""

    service: str
    environment: str | None = None
    version: str | None = None
    instances: int | tuple[str, ...] | None = None
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Capture:
    """One value to capture: its name in results and its expression."""

    name: str
    expression: str


@dataclass(frozen=True, slots=True)
class PlaceRequest:
    """What a placing tool asks for, ranges already checked. `wait_seconds` 0-40; `ttl_seconds`
    10-86400.
    """

    target: Target
    kind: Kind
    where: Where
    reason: str
    condition: str | None = None
    captures: tuple[Capture, ...] = ()
    message: str | None = None
    stack_frames: int = 5
    max_hits: int = 5
    ttl_seconds: int = 600
    wait_seconds: float = 15.0
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class StoredProbe:
    """A probe as the store holds it. `environment` is resolved. `removed_at`: when somebody wanted
    it gone.
    """

    probe_id: str
    owner: Owner
    target: Target
    kind: Kind
    where: Where
    location: Location | None
    condition: str | None
    captures: tuple[Capture, ...]
    message: str | None
    stack_frames: int
    max_hits: int
    reason: str
    created_at: datetime
    expires_at: datetime
    removed_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A result in order of arrival: `position` grows by one or more and is never reused."""

    position: int
    instance: str
    version: str
    result: Result


@dataclass(frozen=True, slots=True)
class NotArmed:
    """An instance that never had the probe in place, and why."""

    instance: str
    state: State
    why: str


@dataclass(frozen=True, slots=True)
class Reach:
    """Which instances a probe got to. `armed`: ever armed. `pending`: not imported there, or not
    answered yet.
    """

    instances: int = 0
    armed: int = 0
    pending: int = 0
    refused: int = 0
    failed: int = 0
    frames_missed: int = 0
    not_armed: tuple[NotArmed, ...] = ()


@dataclass(frozen=True, slots=True)
class FleetCounts:
    """Sums over all instances. `dropped_by`: only the reasons that happened."""

    line_hits: int = 0
    condition_true: int = 0
    condition_false: int = 0
    condition_errors: int = 0
    captured: int = 0
    dropped: int = 0
    dropped_by: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NameSummary:
    """One captured name over all results: types and how often, up to 8 distinct literals and how
    often.
    """

    name: str
    types: dict[str, int]
    distinct: tuple[tuple[str, int], ...]
    redacted: int = 0


@dataclass(frozen=True, slots=True)
class Silence:
    """Why nothing was captured. `why` is our sentence; `sample` and `error` are captured text."""

    code: str
    why: str
    sample: tuple[dict[str, str], ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Overhead:
    """Mean over instances, weighted by hits; `core_share` is the largest of any instance, 0-1."""

    ns_per_hit: float
    core_share: float


@dataclass(frozen=True, slots=True)
class ProbeView:
    """Everything that a placing tool or a reader says about one probe. `probe_id` is None for a dry
    run.
    """

    probe_id: str | None
    state: State
    kind: Kind
    service: str
    environment: str
    where: Where
    location: Location | None
    reach: Reach
    counts: FleetCounts
    summary: tuple[NameSummary, ...]
    silence: Silence | None
    overhead: Overhead | None
    expires_at: datetime
    owner: Owner
    reason: str
    age_seconds: float
    condition: str | None
    max_hits: int
    results: tuple[StoredResult, ...] = ()
    next_cursor: str = ""
    waited_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ReadAnswer:
    """Answer of `Hub.read`. `more`: results after `next_cursor` that are there already."""

    probes: tuple[ProbeView, ...]
    results: tuple[StoredResult, ...]
    next_cursor: str
    more: int


@dataclass(frozen=True, slots=True)
class ProbePage:
    """Answer of `Hub.probes`. `cursors`: one for each probe, which stands behind it."""

    probes: tuple[ProbeView, ...]
    cursors: tuple[str, ...]
    more: int


@dataclass(frozen=True, slots=True)
class RemoveAnswer:
    """Answer of `Hub.remove`: ids by what became of them, as the contract names the four lists."""

    removed: tuple[str, ...] = ()
    removing: tuple[str, ...] = ()
    already_gone: tuple[str, ...] = ()
    not_yours: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CodeAnswer:
    """Answer of `Hub.find_code`."""

    matches: tuple[SourceMatch, ...]
    more: int


@dataclass(frozen=True, slots=True)
class Question:
    """Something only an agent can answer: where a place is (`where`), or what its source says
    (`source`).
    """

    question_id: str
    instance: str
    where: Where | None = None
    source: SourceQuestion | None = None


@dataclass(frozen=True, slots=True)
class SourceQuestion:
    """`file` and `line`, `file` alone, or `function`; empty and 0 mean not given."""

    file: str = ""
    line: int = 0
    function: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """An agent's answer: one of `location`, `code` and `problem`."""

    question_id: str
    location: Location | None = None
    code: CodeAnswer | None = None
    problem: Problem | None = None
