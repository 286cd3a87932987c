"""What a probe is, where it is, and what is so about it: the agent's frozen types.

Made by `connect` from the wire, read by everything above; holds no behaviour and no reference to
application objects.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What a probe does when its line is reached."""

    SNAPSHOT = "snapshot"
    LOG = "log"


class State(StrEnum):
    """State of a probe in one process."""

    PENDING = "pending"
    ARMED = "armed"
    SUSPENDED = "suspended"
    DONE = "done"
    EXPIRED = "expired"
    REMOVED = "removed"
    REFUSED = "refused"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """True if the probe will never be in place again, and its counts no longer change."""
        return self in _FINAL


_FINAL = frozenset({State.DONE, State.EXPIRED, State.REMOVED, State.REFUSED, State.FAILED})


@dataclass(frozen=True, slots=True)
class Where:
    """A place as the caller named it.

    `file`: whole trailing path parts. `line`: 1-based, or None. `expect_code`: text believed to be
    on that line, or None. At least one of `line` and `expect_code` is given.
    """

    file: str
    line: int | None = None
    expect_code: str | None = None


@dataclass(frozen=True, slots=True)
class Location:
    """A resolved place.

    `file`: path as the interpreter knows it. `function`: qualified name, `<module>` outside of any.
    `code`: the line's text without indentation. `moved_from`: the line asked for, if `expect_code`
    moved the probe. `loaded`: False while the file is only on the import path.
    """

    file: str
    line: int
    function: str
    code: str
    moved_from: int | None = None
    loaded: bool = True


@dataclass(frozen=True, slots=True)
class CaptureExpression:
    """One value to capture: the name under which it is reported, and the expression."""

    name: str
    expression: str


@dataclass(frozen=True, slots=True)
class Probe:
    """A probe as this process should hold it. Immutable: a change is a new probe.

    `max_hits`: captured hits, 1-1000. `stack_frames`: 0-50. `ttl_ms`: life left when it arrived.
    `captures`: none means all local variables. `message`: a template, for logs only.
    """

    probe_id: str
    kind: Kind
    where: Where
    condition: str | None = None
    captures: tuple[CaptureExpression, ...] = ()
    message: str | None = None
    max_hits: int = 5
    stack_frames: int = 5
    ttl_ms: int = 600_000
    max_hits_per_second: int = 50


@dataclass(frozen=True, slots=True)
class Counts:
    """Sums since the probe was placed in this process, as the tool contract defines them."""

    line_hits: int = 0
    condition_true: int = 0
    condition_false: int = 0
    condition_errors: int = 0
    captured: int = 0
    dropped_hit_limit: int = 0
    dropped_rate: int = 0
    dropped_budget: int = 0
    dropped_outbox: int = 0
    dropped_capture_failed: int = 0


@dataclass(frozen=True, slots=True)
class Value:
    """One captured value, redacted and rendered to a literal of the tool contract."""

    name: str
    literal: str
    type: str
    is_redacted: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What one hit brought back, ready to leave the process.

    `number` grows by one over all results of the process, `sequence` over those of its probe; both
    start at 1. `time_ms`: since the Unix epoch. `stack`: from the probed line outwards.
    """

    number: int
    result_id: str
    probe_id: str
    sequence: int
    time_ms: int
    thread: str
    task: str | None
    values: tuple[Value, ...] = ()
    message: str | None = None
    stack: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a probe is refused or failed: an error of `errors` as plain text."""

    code: str
    what: str
    why: str
    next_step: str


@dataclass(frozen=True, slots=True)
class Status:
    """What is so about one probe in this process. `samples`: values of the condition's parts where
    it was false.
    """

    probe_id: str
    state: State
    counts: Counts = field(default_factory=Counts)
    problem: Problem | None = None
    ever_armed: bool = False
    frames_missed: int = 0
    location: Location | None = None
    samples: tuple[tuple[Value, ...], ...] = ()
    condition_error: str | None = None
    # The cost changes with the time alone: it is no news by itself.
    ns_per_hit: float = field(default=0.0, compare=False)
    core_share: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class SourceMatch:
    """One place in the running source; see `SourceMatch` in protos/sonde/v1/relay.proto."""

    file: str
    line: int
    function: str
    code: str
    executable: bool
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    source_sha256: str = ""
