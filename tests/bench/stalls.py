"""How long other threads are kept from running.

`gap_beside` is what they see: a thread that does nothing but read the clock notes its longest gap.
On a shared machine that is mostly the machine's own noise, so it is measured while nothing is done
too. `longest_hold` is our share without the noise: the most CPU time that the work takes between
two places where it gives the interpreter back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter_ns, thread_time_ns

_IDLE_S = 0.02


def idle() -> None:
    """Do nothing for as long as a placing may take."""
    time.sleep(_IDLE_S)


def gap_beside(act: Callable[[], object]) -> tuple[int, int]:
    """Do something on this thread while another one reads the clock.

    Returns: that thread's longest gap, and how long the work took; wall time in ns.
    """
    stop, running = threading.Event(), threading.Event()
    found: list[int] = []
    thread = threading.Thread(target=_watch_clock, args=(running, stop, found))
    thread.start()
    running.wait()
    started = perf_counter_ns()
    act()
    took = perf_counter_ns() - started
    stop.set()
    thread.join()
    return found[0], took


def _watch_clock(running: threading.Event, stop: threading.Event, found: list[int]) -> None:
    is_over = stop.is_set
    longest = 0
    running.set()
    last = perf_counter_ns()
    while not is_over():
        now = perf_counter_ns()
        longest = max(longest, now - last)
        last = now
    found.append(longest)


def longest_hold(act: Callable[[], object]) -> int:
    """Do something, and note its CPU time between any two calls of `time.sleep`: they are how the
    agent gives the interpreter back. From 5 ms on (`sys.getswitchinterval`) it is taken away where
    Python runs, so the rest is a stall only within one call of C.
    """
    with _noting_releases() as holds:
        started = thread_time_ns()
        act()
        total = thread_time_ns() - started
    return max([*holds, total - sum(holds)])


@contextmanager
def _noting_releases() -> Iterator[list[int]]:
    """Give a list of the CPU times up to each release."""
    release = time.sleep
    holds: list[int] = []
    began = thread_time_ns()

    def noting(seconds: float) -> None:
        nonlocal began
        holds.append(thread_time_ns() - began)
        release(seconds)
        began = thread_time_ns()

    time.sleep = noting
    try:
        yield holds
    finally:
        time.sleep = release
