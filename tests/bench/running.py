"""Frames that began before the probe: served by events on 3.12+, counted on 3.11."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Generator
from time import thread_time_ns, time_ns
from types import FunctionType

import modules
from placing import Placing
from probing import put, tagged_line, twin
from timing import Figures, Row, measured

from probe_agent.hit import LiveProbe

ROUNDS_OF_LOOP = 500
WAIT_S = 10
ENDLESS = """
def endless(stop, begun):
    begun()
    rounds = 0
    while not stop:
        rounds += 1  # probe: here
    return rounds
"""
LINE_OF_ENDLESS = 6


def looping(clock):
    """A frame that lives on: each time it goes round so often, and says how long that took."""
    took = 0
    while True:
        rounds = yield took
        started = clock()
        for number in range(rounds):
            total = number + 1
            total -= 1  # probe: here
        took = clock() - started
        total = 0  # probe: elsewhere


def events(rounds: int) -> Figures:
    """ns per round of the loop: `events elsewhere` is the loop when another line has the probe."""
    loops = {
        "the loop, untouched": _Loop(None),
        "probe on a line outside of it": _Loop("# probe: elsewhere", condition="total > 0"),
        "event, condition false": _Loop("# probe: here", condition="number < 0"),
        "event and hit": _Loop("# probe: here"),
    }
    times: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(rounds):
        for name, loop in loops.items():
            loop.go()
            times[name].append(loop.go())
    for loop in loops.values():
        loop.end()
    return measured(times)


class _Loop:
    """A frame of `looping` that was under way when the probe was placed."""

    def __init__(self, tag: str | None, condition: str | None = None) -> None:
        function: FunctionType = twin(looping)
        self._frame: Generator[int, int, None] = function(thread_time_ns)
        next(self._frame)
        self._live: LiveProbe | None = None
        self._rewriter = None
        if tag is not None:
            line = tagged_line(looping, tag)
            self._rewriter, self._live = put(function, line, condition=condition)
            assert self._rewriter.is_serving, "the frame is not reached"

    def go(self) -> float:
        """Go round. Returns: ns per round."""
        took = self._frame.send(ROUNDS_OF_LOOP)
        while self._live is not None and not self._live.intake.empty():
            self._live.intake.get_nowait()
        return took / ROUNDS_OF_LOOP

    def end(self) -> None:
        self._frame.close()
        if self._rewriter is not None:
            self._rewriter.restore_all()


def first_hit(rounds: int) -> Figures:
    """From the order to the first hit in a loop that never returns; wall time."""
    times: dict[str, list[float]] = {"order to first hit": []}
    with modules.imported(ENDLESS) as module:
        for _ in range(max(1, rounds // 5)):
            stop: list[int] = []
            begun = threading.Event()
            thread = threading.Thread(target=module.endless, args=(stop, begun.set))
            thread.start()
            begun.wait(WAIT_S)
            times["order to first hit"].append(_order_to_hit(Placing(module, LINE_OF_ENDLESS)))
            stop.append(1)
            thread.join(WAIT_S)
    return measured(times)


def _order_to_hit(placing: Placing) -> int:
    ordered = time_ns()
    placing.place()
    hit = placing.intake.get(timeout=WAIT_S)
    placing.remove()
    placing.holding.tend(time.monotonic())
    return hit.time_ns - ordered


ROWS: dict[str, Row] = (
    {
        "a running loop, ns per round": events,
        "a loop that never returns": first_hit,
    }
    if sys.version_info >= (3, 12)
    else {}
)
