"""What happens on the application's thread when a probed line is reached.

In this order: condition, hit limit and rate, capture to plain values, intake. No I/O, no lock, no
formatting, no redaction; `deliver` does the rest in the background. `rewrite` inserts the calls:
`Entry.guard` with the condition's variables, and, only if that returned True, `Entry.hit`. Where
the condition is a quick test, the inserted code asks the guard only now and then.

Nothing of ours escapes: `_is_ours` tells our own failures from what the application's signal
handlers raise while we run, and only the first are swallowed, and counted.
"""

from __future__ import annotations

import builtins
from _queue import SimpleQueue
from _thread import get_ident
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from sys import _getframe
from time import perf_counter_ns, time_ns
from types import CodeType, FrameType, MethodType
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
    compile_guard,
    quick_test,
)
from probe_agent.expression.condition import check_condition
from probe_agent.limits import HitRate
from probe_agent.plain import MARK, UNBOUND, Plain
from probe_agent.probe import Counts, Kind, Probe
from probe_agent.quick import Quick, Tally
from probe_agent.redaction import Redactor

# Raw hits that may wait for the background thread; at a few kB each, a few MB at the most.
INTAKE_HITS: Final = 1000
# Variables that a probe without capture expressions brings back.
MOST_VARIABLES: Final = 100
_SAMPLES: Final = 3
_SAMPLE_EVERY_NS: Final = 1_000_000_000
# One false evaluation in so many is timed: two clock readings cost more than a simple condition.
_TIME_EVERY: Final = 64
# What a quick test that was false took, by `make bench`: less than it would take to time it.
_QUICK_NS: Final = 25

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
        return MethodType(compile_guard(self.condition.checked, _OUR_TYPES), self)

    def _captures(self) -> tuple[Reading, ...]:
        if self.probe.kind is Kind.LOG:
            self.template = check_template(self.probe.message or "")
            return tuple(_reading(c.text, c) for c in self.template.expressions)
        return tuple(_reading(c.name, check(c.expression)) for c in self.probe.captures)

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
        if self.tallies and now_ns - self.sampled_ns > _SAMPLE_EVERY_NS:
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
        elif _is_ours(error):
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
        with suppress(EvaluationError):
            self.condition.evaluate(*values)
        now = perf_counter_ns()
        if len(self.samples) == _SAMPLES or self.errors:
            self.guard_ns += now - started
            self.guard_timed += 1
        else:  # the first ones run cold: the latest is the best guess so far
            self.guard_ns, self.guard_timed = now - started, 1
        return now

    def _sample(self, known: Mapping[str, object], now_ns: int) -> None:
        sample = _copy(self.capture, self.parts, known, None)
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


class Entry:
    """One probe in one code object: what `rewrite` inserts there.

    `guard_names` and `hit_names` are variables of that code; every other name of an expression is
    looked up in the frame's globals, then the builtins. `guard` returns exactly True if the hit
    counts; None: there is no condition.
    """

    __slots__ = ("_line", "guard", "guard_names", "hit_names", "live", "quick", "readings")

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
        is_whole = self.guard_names == condition_names
        self.guard = live.guard if is_whole else self.guard_with_outer
        self.quick = Quick(live.quick, live.tally()) if live.quick and is_whole else None

    def _every_variable(self, code: CodeType, variables: tuple[str, ...]) -> tuple[Reading, ...]:
        if self.live.probe.kind is Kind.LOG:
            return ()
        # A module or class body has no variables of its own: the names that it uses stand in.
        names = variables or code.co_names
        visible = (n for n in names if n.isidentifier() and not n.startswith("__"))
        return tuple(_variable(n) for n in list(visible)[:MOST_VARIABLES])

    def guard_with_outer(self, *values: object) -> bool:
        """Decide where the condition reads names that are no variables of the code."""
        live = self.live
        assert live.guard is not None
        assert live.condition is not None
        known = dict(zip(self.guard_names, values, strict=True))
        frame = _getframe(1)
        names = live.condition.names
        return live.guard(*(known[n] if n in known else _outer(n, frame) for n in names))

    def hit(self, *values: object) -> None:
        """Count this hit, and capture it if the limits allow."""
        self._hit(values, _getframe(1))

    def _hit(self, values: tuple[object, ...], frame: FrameType) -> None:
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
            self._take(values, frame, started)
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

    def run(self, frame: FrameType, read: Callable[[FrameType, str], object]) -> None:
        """Do what the inserted code does, for a frame that runs code without it.

        Args: read: gives the value of a variable there, or UNBOUND.
        """
        live = self.live
        if live.is_over:
            return
        try:
            if live.guard is not None and live.condition is not None:
                names, own = live.condition.names, self.guard_names
                seen = [read(frame, n) if n in own else _outer(n, frame) for n in names]
                if not live.guard(*seen):
                    return
            values = tuple([read(frame, name) for name in self.hit_names])
        except _OUR_TYPES as error:
            if not _is_ours(error):
                raise
            live.dropped_capture_failed += 1
            return
        self._hit(values, frame)


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
