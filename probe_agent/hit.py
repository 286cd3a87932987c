"""What happens on the application's thread when a probed line is reached.

In this order: condition, hit limit and rate, capture to plain values, intake. No I/O, no lock, no
formatting, no redaction; `deliver` does the rest in the background. `rewrite` inserts the calls:
`Entry.guard` with the condition's variables, and, only if that returned True, `Entry.hit`.

Nothing of ours escapes: `_is_ours` tells our own failures from what the application's signal
handlers raise while we run, and only the first are swallowed, and counted.
"""

from __future__ import annotations

import builtins
from _queue import SimpleQueue
from _thread import get_ident
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from sys import _getframe
from time import perf_counter_ns, time_ns
from types import CodeType, FrameType
from typing import Final, NamedTuple

from probe_agent.capture import (
    CaptureLimits,
    make_capture_all,
    stack_of,
    task_name,
    thread_name,
)
from probe_agent.expression import (
    Checked,
    CheckedTemplate,
    EvaluationError,
    check,
    check_template,
    compile_condition,
    compile_expression,
)
from probe_agent.expression.condition import check_condition
from probe_agent.limits import HitRate
from probe_agent.plain import MARK, UNBOUND, Plain
from probe_agent.probe import Counts, Kind, Probe
from probe_agent.redaction import Redactor

# Raw hits that may wait for the background thread; at a few kB each, a few MB at the most.
INTAKE_HITS: Final = 1000
# Variables that a probe without capture expressions brings back.
MOST_VARIABLES: Final = 100
_SAMPLES: Final = 3
_SAMPLE_EVERY_NS: Final = 1_000_000_000
# One false evaluation in so many is timed: two clock readings cost more than a simple condition.
_TIME_EVERY: Final = 64

# What our code can raise by mistake; anything else was raised by a signal handler or from outside.
_OUR_TYPES: Final = (
    *(AttributeError, IndexError, KeyError, TypeError, ValueError, RuntimeError, MemoryError),
    *(OverflowError, UnicodeDecodeError, UnicodeEncodeError, ZeroDivisionError, NameError),
    *(UnboundLocalError, AssertionError, SystemError, EvaluationError),
)
_OUR_FOLDER: Final = str(Path(__file__).parent)
_BUILTINS: Final = vars(builtins)
_MISSING: Final = object()
_CO_OPTIMIZED: Final = 1


class RawHit(NamedTuple):
    """One hit on its way to the background thread. `stack`: (file, line, qualified name)."""

    entry: Entry
    time_ns: int
    thread: str
    task: str | None
    values: tuple[Plain, ...]
    stack: tuple[tuple[str, int, str], ...]


Intake = SimpleQueue[RawHit]


@dataclass(frozen=True, slots=True)
class Reading:
    """One expression ready to run: `names` are its free names, in the order of its arguments."""

    name: str
    names: tuple[str, ...]
    evaluate: Callable[..., object]
    checked: Checked


def _reading(name: str, checked: Checked) -> Reading:
    return Reading(name, checked.names, compile_expression(checked), checked)


def _variable(name: str) -> Reading:
    """Read a variable as it is: nothing to check, nothing to compile."""
    return Reading(name, (name,), _itself, Checked(name, (name,), (name,), (name,)))


def _itself(value: object) -> object:
    return value


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
        *("busy", "captures", "intake", "next_slow", "parts", "sampled_ns", "template", "capture"),
        *("is_over", "redactor"),
    )

    def __init__(self, probe: Probe, intake: Intake, limits: CaptureLimits) -> None:
        self.probe = probe
        self.intake = intake
        self.redactor = Redactor()
        self.rate = HitRate(probe.max_hits_per_second)
        self.capture = make_capture_all(limits)
        self.condition = self._condition()
        self.parts = tuple(
            _reading(part, check(part))
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
        self.next_slow = 0
        self.is_over = False
        self.busy: set[int] = set()

    def _condition(self) -> Reading | None:
        if not self.probe.condition:
            return None
        checked = check_condition(self.probe.condition)
        return Reading("condition", checked.names, compile_condition(checked), checked)

    def _captures(self) -> tuple[Reading, ...]:
        if self.probe.kind is Kind.LOG:
            self.template = check_template(self.probe.message or "")
            return tuple(_reading(c.text, c) for c in self.template.expressions)
        return tuple(_reading(c.name, check(c.expression)) for c in self.probe.captures)

    def end(self) -> None:
        """Count and capture nothing more: a frame that began before may still run our code."""
        self.is_over = True
        self.next_slow = 0  # the guard's quick way does not look at `is_over`

    def revive(self) -> None:
        """Go on counting where it ended."""
        self.is_over = False

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
        captured, false, errors = self.captured, self.false, self.errors
        true = captured + sum(dropped)
        return Counts(true + false + errors, true, false, errors, captured, *dropped)

    def cost_ns(self) -> float:
        """Time spent on the application's threads so far: hits measured, guards estimated."""
        evaluated = self.false + self.errors + self.captured
        guard_mean = self.guard_ns / self.guard_timed if self.guard_timed else 0.0
        return self.hit_ns + guard_mean * (evaluated if self.condition else 0)


class Entry:
    """One probe in one code object: what `rewrite` inserts there.

    `guard_names` and `hit_names` are variables of that code; every other name of an expression is
    looked up in the frame's globals, then the builtins.
    """

    __slots__ = ("_all_names", "_line", "guard_names", "hit_names", "live", "readings")

    def __init__(
        self, live: LiveProbe, code: CodeType, variables: tuple[str, ...], line: int = 0
    ) -> None:
        self.live = live
        self._line = line
        self.readings = live.captures or self._every_variable(code, variables)
        condition_names = live.condition.names if live.condition else ()
        self.guard_names = tuple(n for n in condition_names if n in variables)
        wanted = dict.fromkeys(n for r in self.readings for n in r.names)
        self.hit_names = tuple(n for n in wanted if n in variables)
        self._all_names = self.guard_names == condition_names

    def _every_variable(self, code: CodeType, variables: tuple[str, ...]) -> tuple[Reading, ...]:
        if self.live.probe.kind is Kind.LOG:
            return ()
        # A module or class body has no variables of its own: the names that it uses stand in.
        names = variables or code.co_names
        visible = (n for n in names if n.isidentifier() and not n.startswith("__"))
        return tuple(_variable(n) for n in list(visible)[:MOST_VARIABLES])

    def guard(self, *values: object) -> bool:
        """Evaluate the condition. Returns: True exactly if the hit counts."""
        live = self.live
        condition = live.condition
        assert condition is not None
        if live.false + live.errors >= live.next_slow:
            return self._guard_slowly(values, _getframe(1))
        try:
            if not self._all_names:
                values = _complete(condition.names, self.guard_names, values, _getframe(1))
            outcome = condition.evaluate(*values)
        except EvaluationError as error:
            live.errors += 1
            live.condition_error = error.reason
            return False
        if outcome is True:
            return True
        live.false += 1
        return False

    def _guard_slowly(self, values: tuple[object, ...], frame: FrameType) -> bool:
        """Evaluate as `guard` does, timed, and keep the values compared now and then."""
        live = self.live
        if live.is_over:
            return False
        condition = live.condition
        assert condition is not None
        started = perf_counter_ns()
        values = _complete(condition.names, self.guard_names, values, frame)
        outcome = None
        try:
            outcome = condition.evaluate(*values)
        except EvaluationError as error:
            live.errors += 1
            live.condition_error = error.reason
        now = perf_counter_ns()
        has_samples = len(live.samples) >= _SAMPLES
        if has_samples:
            live.guard_ns += now - started
            live.guard_timed += 1
        else:  # the first ones run cold: the latest is the best guess so far
            live.guard_ns, live.guard_timed = now - started, 1
        if outcome is False:
            live.false += 1
            if not has_samples or now - live.sampled_ns > _SAMPLE_EVERY_NS:
                self._sample(condition.names, values, now)
        live.next_slow = live.false + live.errors + (_TIME_EVERY if has_samples else 0)
        return outcome is True

    def _sample(self, names: tuple[str, ...], values: tuple[object, ...], now_ns: int) -> None:
        live = self.live
        known = dict(zip(names, values, strict=True))
        try:
            sample = _copy(live.capture, live.parts, known, None)
        except _OUR_TYPES as error:
            if not _is_ours(error):
                raise
            return
        live.sampled_ns = now_ns
        live.samples = (*live.samples, sample)[-_SAMPLES:]

    def hit(self, *values: object) -> None:
        """Count this hit, and capture it if the limits allow."""
        started = perf_counter_ns()
        live = self.live
        if live.is_over:
            return
        me = get_ident()
        if me in live.busy:
            # A signal handler, or a function that our own code calls, reached the line again.
            live.dropped_capture_failed += 1
            return
        try:
            live.busy.add(me)
            self._take(values, _getframe(1), started)
        except _OUR_TYPES as error:
            if not _is_ours(error):
                raise
        finally:
            live.busy.discard(me)
            live.hit_ns += perf_counter_ns() - started

    def _take(self, values: tuple[object, ...], frame: FrameType, now_ns: int) -> None:
        live = self.live
        if live.captured >= live.probe.max_hits:
            live.dropped_hit_limit += 1
        elif live.intake.qsize() >= INTAKE_HITS:
            live.dropped_outbox += 1
        elif not live.rate.take(now_ns):
            live.dropped_rate += 1
        # From here to the next call no other thread runs: max_hits is never exceeded.
        elif live.captured >= live.probe.max_hits:
            live.dropped_hit_limit += 1
        else:
            live.captured += 1
            self._capture(values, frame)

    def _capture(self, values: tuple[object, ...], frame: FrameType) -> None:
        live = self.live
        done = False
        try:
            known = dict(zip(self.hit_names, values, strict=True))
            plain = _copy(live.capture, self.readings, known, frame)
            stack = stack_of(frame, live.probe.stack_frames)
            if stack and not stack[0][1]:
                # A block out of line, as on each round of a `for`, has no line of its own.
                stack = ((stack[0][0], self._line, stack[0][2]), *stack[1:])
            raw = RawHit(self, time_ns(), thread_name(), task_name(), plain, stack)
            live.intake.put(raw)
            done = True
        finally:
            if not done:
                live.captured -= 1
                live.dropped_capture_failed += 1


def _copy(
    capture_all: Callable[[Sequence[object]], tuple[Plain, ...]],
    readings: Sequence[Reading],
    known: Mapping[str, object],
    frame: FrameType | None,
) -> tuple[Plain, ...]:
    """Read expressions and copy what they bring; what cannot be read leaves a mark in its place.

    Args: known: values of names; others come from outside of the frame's function.
    """
    values: list[object] = []
    marks: dict[int, Plain] = {}
    for at, reading in enumerate(readings):
        if reading.checked.text in known:
            values.append(known[reading.checked.text])
            continue
        arguments = [known[n] if n in known else _outer(n, frame) for n in reading.names]
        try:
            values.append(reading.evaluate(*arguments))
        except EvaluationError as error:
            values.append(None)
            marks[at] = (MARK, error.mark)
    copied = capture_all(values)
    return tuple(marks.get(at, c) for at, c in enumerate(copied)) if marks else copied


def _complete(
    names: tuple[str, ...],
    passed: tuple[str, ...],
    values: tuple[object, ...],
    frame: FrameType,
) -> tuple[object, ...]:
    """Put the values of all `names` in order: those `passed` by the block, the others from outside
    of the function.
    """
    if names == passed:
        return values
    known = dict(zip(passed, values, strict=True))
    return tuple(known[n] if n in known else _outer(n, frame) for n in names)


def _outer(name: str, frame: FrameType | None) -> object:
    """Look a name up where the code itself would: class body or module, then builtins."""
    if frame is None:
        return UNBOUND
    if not frame.f_code.co_flags & _CO_OPTIMIZED and type(frame.f_locals) is dict:
        found = frame.f_locals.get(name, _MISSING)
        if found is not _MISSING:
            return found
    found = frame.f_globals.get(name, _MISSING)
    return _BUILTINS.get(name, UNBOUND) if found is _MISSING else found


def _is_ours(error: BaseException) -> bool:
    """Tell a failure of our code from an exception that the application's signal handler raised
    while our code ran, or that was sent to the thread from outside.
    """
    if type(error) not in _OUR_TYPES:
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    file = trace.tb_frame.f_code.co_filename
    return file.startswith((_OUR_FOLDER, "<sonde"))
