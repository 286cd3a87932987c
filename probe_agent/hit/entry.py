"""One probe in one code object: what `rewrite` inserts there."""

from __future__ import annotations

from _thread import get_ident
from collections.abc import Callable
from sys import _getframe
from time import perf_counter_ns, time_ns
from types import CodeType, FrameType
from typing import Final

from probe_agent.builtin_names import BUILTINS
from probe_agent.capture import stack_of, task_name, thread_name
from probe_agent.hit.boundary import is_ours
from probe_agent.hit.live import INTAKE_HITS, LiveProbe, RawHit
from probe_agent.hit.readings import Reading, copy_all, outer_value, variable
from probe_agent.probe import Kind
from probe_agent.quick import Quick

__builtins__ = BUILTINS  # the application may replace its own

# Variables that a probe without capture expressions brings back.
MOST_VARIABLES: Final = 100


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
        return tuple(variable(n) for n in list(visible)[:MOST_VARIABLES])

    def guard_with_outer(self, *values: object) -> bool:
        """Decide where the condition reads names that are no variables of the code."""
        live = self.live
        assert live.guard is not None
        assert live.condition is not None
        known = dict(zip(self.guard_names, values, strict=True))
        frame = _getframe(1)
        names = live.condition.names
        return live.guard(*(known[n] if n in known else outer_value(n, frame) for n in names))

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
        except Exception as error:
            if not is_ours(error):
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
            plain = copy_all(live.capture, self.readings, known, frame)
            stack = stack_of(frame, live.probe.stack_frames)
            if stack and not stack[0][1]:
                # A block out of line, as on each round of a `for`, has no line of its own.
                stack = ((stack[0][0], self._line, stack[0][2]), *stack[1:])
            raw = RawHit(live, self.readings, time_ns(), thread_name(), task_name(), plain, stack)
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
                seen = [read(frame, n) if n in own else outer_value(n, frame) for n in names]
                if not live.guard(*seen):
                    return
            values = tuple([read(frame, name) for name in self.hit_names])
        except Exception as error:
            if not is_ours(error):
                raise
            live.dropped_capture_failed += 1
            return
        self._hit(values, frame)
