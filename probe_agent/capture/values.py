"""Copy values of the application into plain values, running no code of its own.

On the application's thread, so made for speed: closures with all limits in their cells, atoms told
apart before any call. See `plain` for what comes out; no reference to an application object is in
it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from probe_agent.builtin_names import BUILTINS
from probe_agent.capture.builtins import VERBATIM
from probe_agent.capture.containers import SIZELESS_IDS, make_containers
from probe_agent.capture.instances import make_instances
from probe_agent.capture.limits import CaptureLimits
from probe_agent.capture.room import CYCLE, DEEPER, Copy, Room, cut_int, cut_text
from probe_agent.plain import Plain

__builtins__ = BUILTINS  # the application may replace its own

# Compared with in one step; most ints are.
_SMALL: Final = (1 << 30) - 1


def make_capture(limits: CaptureLimits) -> Callable[[object], Plain]:
    """Make a function that copies one value; any thread may call it."""
    capture_all = make_capture_all(limits)
    return lambda of: capture_all((of,))[0]


def make_capture_all(limits: CaptureLimits) -> Callable[[Sequence[object]], tuple[Plain, ...]]:
    """Make a function that copies the values of one hit, which share its nodes."""
    value = _make_value(limits)
    depth, nodes = limits.depth, limits.nodes

    def capture_all(values: Sequence[object]) -> tuple[Plain, ...]:
        room = Room(nodes)
        return tuple([value(v, depth, room) for v in values])

    return capture_all


def _make_value(limits: CaptureLimits) -> Copy:
    most_length = limits.length

    def value(of: Any, levels: int, room: Room) -> Plain:
        kind = type(of)
        if kind is str or kind is bytes:
            return cut_text(of, len(of), most_length)
        if kind is int:
            small: int = of
            return small if -_SMALL < small < _SMALL else cut_int(small)
        if id(kind) in SIZELESS_IDS:
            atom: Plain = of
            return atom
        verbatim = verbatim_of(id(kind))
        if verbatim is not None:
            return verbatim(of)
        if levels == 0:
            return DEEPER
        path = room.path
        if id(of) in path:
            return CYCLE
        path.append(id(of))
        copied = container_of(id(kind), instance)(of, levels - 1, room)
        path.pop()
        return copied

    containers = make_containers(limits, value)
    instance = make_instances(limits, value, containers)
    container_of, verbatim_of = containers.get, VERBATIM.get
    return value
