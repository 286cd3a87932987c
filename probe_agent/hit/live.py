"""One probe in this process: its compiled expressions, its limits and its sums."""

from __future__ import annotations

from _queue import SimpleQueue
from collections.abc import Callable, Mapping
from time import perf_counter_ns
from types import MethodType
from typing import Final, NamedTuple

from probe_agent.builtin_names import BUILTINS
from probe_agent.capture import CaptureLimits, make_capture_all
from probe_agent.expression import (
    CheckedTemplate,
    EvaluationError,
    check,
    check_template,
    compile_condition,
    compile_guard,
    quick_test,
)
from probe_agent.expression.condition import check_condition
from probe_agent.hit.boundary import is_ours
from probe_agent.hit.readings import Reading, copy_all, reading
from probe_agent.limits import HitRate
from probe_agent.plain import Plain
from probe_agent.probe import Counts, Kind, Probe
from probe_agent.quick import Tally
from probe_agent.redaction import Redactor

__builtins__ = BUILTINS  # the application may replace its own

# Raw hits that may wait for the background thread; at a few kB each, a few MB at the most.
INTAKE_HITS: Final = 1000
_SAMPLES: Final = 3
_SAMPLE_EVERY_NS: Final = 1_000_000_000
# One false evaluation in so many is timed: two clock readings cost more than a simple condition.
_TIME_EVERY: Final = 64
# What a quick test that was false took, by `make bench`: less than it would take to time it.
_QUICK_NS: Final = 25


class RawHit(NamedTuple):
    """One hit on its way to the background thread. `values`: as many as `readings`. `stack`: (file,
    line, qualified name).
    """

    live: LiveProbe
    readings: tuple[Reading, ...]
    time_ns: int
    thread: str
    task: str | None
    values: tuple[Plain, ...]
    stack: tuple[tuple[str, int, str], ...]


Intake = SimpleQueue[RawHit]


class LiveProbe:
    """One probe in this process: its compiled expressions, its limits and its sums.

    Several code objects may carry it; each has an `Entry`. The sums are plain attributes: `+= 1`
    on an exact int is not interrupted under the GIL.

    Raises: ExpressionRefused: the condition, a capture expression or the template is refused.
    """

    __slots__ = (
        *("armed_ns", "captured", "delivered", "dropped_budget", "dropped_capture_failed"),
        *("dropped_hit_limit", "dropped_outbox", "dropped_rate", "probe", "rate", "samples"),
        *("condition", "condition_error", "errors", "false", "guard_ns", "guard_timed", "hit_ns"),
        *("busy", "captures", "intake", "next_look", "parts", "sampled_ns", "template", "capture"),
        *("ended", "guard", "is_over", "quick", "redactor", "tallies"),
    )

    def __init__(self, probe: Probe, intake: Intake, limits: CaptureLimits) -> None:
        self.probe = probe
        self.intake = intake
        self.redactor = Redactor()
        self.rate = HitRate(probe.max_hits_per_second)
        self.capture = make_capture_all(limits)
        self.condition = self._condition()
        self.guard = self._guard()
        self.quick = quick_test(self.condition.checked) if self.condition else None
        self.tallies: tuple[Tally, ...] = ()
        self.parts = tuple(
            reading(part, check(part))
            for part in (self.condition.checked.parts if self.condition else ())
        )
        self.template: CheckedTemplate | None = None
        self.captures = self._captures()
        self.armed_ns = 0
        self.captured = self.delivered = self.false = self.errors = 0
        self.dropped_hit_limit = self.dropped_rate = self.dropped_budget = 0
        self.dropped_outbox = self.dropped_capture_failed = 0
        self.hit_ns = self.guard_ns = self.guard_timed = 0
        self.condition_error: str | None = None
        self.samples: tuple[tuple[Plain, ...], ...] = ()
        self.sampled_ns = 0
        self.next_look = 0
        self.is_over = False
        self.ended: tuple[int, int] | None = None
        self.busy: set[int] = set()

    def _condition(self) -> Reading | None:
        if not self.probe.condition:
            return None
        checked = check_condition(self.probe.condition)
        return Reading("condition", checked.names, compile_condition(checked), checked)

    def _guard(self) -> Callable[..., bool] | None:
        if self.condition is None:
            return None
        return MethodType(compile_guard(self.condition.checked), self)

    def _captures(self) -> tuple[Reading, ...]:
        if self.probe.kind is Kind.LOG:
            self.template = check_template(self.probe.message or "")
            return tuple(reading(c.text, c) for c in self.template.expressions)
        return tuple(reading(c.name, check(c.expression)) for c in self.probe.captures)

    def tally(self) -> Tally:
        """Count in one more place."""
        tally = Tally()
        self.tallies = (*self.tallies, tally)
        return tally

    def end(self) -> None:
        """Count and capture nothing more: a frame that began before may still run our code."""
        self.is_over = True
        self.ended = (self._all_false(), self.errors)

    def revive(self) -> None:
        """Go on counting where it ended."""
        self.is_over = False
        self.ended = None

    def refresh(self, now_ns: int) -> None:
        """Have quick tests ask the guard once more when the samples are old. Any thread."""
        if not self.is_over and now_ns - self.sampled_ns > _SAMPLE_EVERY_NS and self.tallies:
            self.next_look = 0
            for tally in self.tallies:
                tally.ask()

    def look(self, values: tuple[object, ...]) -> None:
        """Time an evaluation that was false, and keep the values compared now and then."""
        if self.is_over or self.condition is None:
            return
        now = self._time(values)
        if len(self.samples) < _SAMPLES or now - self.sampled_ns > _SAMPLE_EVERY_NS:
            self._sample(dict(zip(self.condition.names, values, strict=True)), now)
        if len(self.samples) == _SAMPLES:
            self.next_look = self.false + _TIME_EVERY
            for tally in self.tallies:
                tally.go_on()

    def failed(self, error: Exception, values: tuple[object, ...]) -> bool:
        """Count an evaluation that could not be done. Returns: False if the error is not ours."""
        if isinstance(error, EvaluationError):
            self.condition_error = error.reason
        elif is_ours(error):
            self.condition_error = f"{type(error).__name__} in Sonde itself; please report it"
        else:
            return False
        if self.errors % _TIME_EVERY == 0:
            self._time(values)
        self.errors += 1
        return True

    def _time(self, values: tuple[object, ...]) -> int:
        """Time the condition once more. Returns: when it was done."""
        assert self.condition is not None
        started = perf_counter_ns()
        # No `suppress`: its code is the application's too, and may carry a probe.
        try:
            self.condition.evaluate(*values)
        except Exception as error:
            if not is_ours(error):
                raise
        now = perf_counter_ns()
        if len(self.samples) == _SAMPLES or self.errors:
            self.guard_ns += now - started
            self.guard_timed += 1
        else:  # the first ones run cold: the latest is the best guess so far
            self.guard_ns, self.guard_timed = now - started, 1
        return now

    def _sample(self, known: Mapping[str, object], now_ns: int) -> None:
        sample = copy_all(self.capture, self.parts, known, None)
        self.sampled_ns = now_ns
        self.samples = (*self.samples, sample)[-_SAMPLES:]

    def _all_false(self) -> int:
        return self.false + sum(tally.count for tally in self.tallies)

    @property
    def is_exhausted(self) -> bool:
        """True once max_hits hits were captured."""
        return self.captured >= self.probe.max_hits

    @property
    def is_delivered(self) -> bool:
        """True if no captured hit is still on its way to the outbox."""
        return self.delivered >= self.captured

    def counts(self) -> Counts:
        """Sum up. The parts are read before the sums made of them, so the contract's equations
        hold even while the application runs on.
        """
        dropped = (
            *(self.dropped_hit_limit, self.dropped_rate, self.dropped_budget),
            *(self.dropped_outbox, self.dropped_capture_failed),
        )
        captured = self.captured
        false, errors = self.ended or (self._all_false(), self.errors)
        true = captured + sum(dropped)
        return Counts(true + false + errors, true, false, errors, captured, *dropped)

    def cost_ns(self) -> float:
        """Time spent on the application's threads so far: hits measured, guards estimated."""
        evaluated = self.false + self.errors + self.captured
        guard_mean = self.guard_ns / self.guard_timed if self.guard_timed else 0.0
        quick_ns = _QUICK_NS * sum(tally.count for tally in self.tallies)
        return self.hit_ns + quick_ns + guard_mean * (evaluated if self.condition else 0)
