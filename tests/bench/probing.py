"""Put a probe into a function of its own, as the agent does, without the agent around it."""

from __future__ import annotations

import inspect
from _queue import SimpleQueue
from collections.abc import Callable
from types import FunctionType

from probe_agent.capture import CaptureLimits
from probe_agent.hit import Entry, Intake, LiveProbe
from probe_agent.probe import Kind, Probe, Where
from probe_agent.rewrite import Insertion, Rewriter, variables

UNLIMITED = 1_000_000_000
PROBE_ID = "p-aaaaaa"
TAG = "# probe: here"


def twin(function: FunctionType) -> FunctionType:
    """Define a function once more, with a code object of its own."""
    namespace: dict[str, FunctionType] = {}
    # Not FunctionType(code): calls of what it makes are not specialised from 3.13 on.
    exec(inspect.getsource(function), function.__globals__, namespace)
    return namespace[function.__name__]


def tagged_line(function: FunctionType, tag: str = TAG) -> int:
    """Find the line with a tag, counted as in a twin: from the `def`."""
    lines = inspect.getsource(function).splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.endswith(tag))


def probed(function: FunctionType, **options: object) -> tuple[FunctionType, LiveProbe]:
    """Make a twin with a probe on its tagged line."""
    again = twin(function)
    _, live = put(again, tagged_line(function), **options)
    return again, live


def put(function: FunctionType, line: int, **options: object) -> tuple[Rewriter, LiveProbe]:
    """Place a probe, without limits where none are given, in a function that only its caller has."""
    without_limits = {"max_hits": UNLIMITED, "max_hits_per_second": UNLIMITED}
    options = {"kind": Kind.SNAPSHOT} | without_limits | options
    probe = Probe(probe_id=PROBE_ID, where=Where("x", line), **options)  # type: ignore[arg-type]
    intake: Intake = SimpleQueue()
    live = LiveProbe(probe, intake, CaptureLimits())
    rewriter = Rewriter(lambda codes: [function] if function.__code__ in codes else [])
    rewriter.place((function.__code__,), _insertion(live, function, line))
    return rewriter, live


def _insertion(live: LiveProbe, function: FunctionType, line: int) -> Insertion:
    entry = Entry(live, function.__code__, variables(function.__code__), line)
    return Insertion(
        *(PROBE_ID, line, entry.guard, entry.guard_names, entry.hit, entry.hit_names),
        quick=entry.quick,
        run=entry.run,
    )


def drained(function: Callable[..., object], live: LiveProbe) -> Callable[..., None]:
    """Empty the intake after each call: its cost is in the row too, some 60 ns."""
    take = live.intake.get_nowait

    def act(*arguments: object) -> None:
        function(*arguments)
        take()

    return act
