"""Find and swap in a large heap: how long it takes, and how long other threads wait meanwhile.

The heap is lists within lists, as a service's caches are. A probe is placed and removed three
times: with no other thread at work, noting how long it holds the interpreter, and beside a thread
that computes. See `stalls` for what the last two mean.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

import modules
from placing import Placing, took_ns
from stalls import gap_beside, idle, longest_hold
from timing import Figures, Row, measured

from probe_agent.probe import State

MILLION = 1_000_000
ROUNDS_PER_ROUND = 30
# Functions of the usual kind, and a generator: the frames that are suspended are looked for too.
TEXT = f"""
{modules.USUAL}

def numbers(x):
    yield x
    y = x
    yield y
"""
FUNCTIONS = {"": "f20", ", a suspended generator": "numbers"}


def in_heap(objects: int, rounds: int, *, is_own: bool = False) -> Figures:
    """`is_own`: the heap hangs on the module that the probe goes to, not on another one."""
    store = modules.imported("", "bench_store")
    with (
        modules.imported(TEXT) as module,
        store as other,
        filled(module if is_own else other, objects),
    ):
        suspended = module.numbers(1)
        next(suspended)
        found = [_round(module) for _ in range(max(1, rounds // ROUNDS_PER_ROUND))]
    return measured({name: [times[name] for times in found] for name in found[0]})


def _round(module: ModuleType) -> dict[str, float]:
    times: dict[str, float] = {"idle, longest stall": gap_beside(idle)[0]}
    for kind, function in FUNCTIONS.items():
        line = getattr(module, function).__code__.co_firstlineno + 2
        for measure in (_alone, _holds, _beside):
            placing = Placing(module, line)
            times |= measure(f"place{kind}", placing.place)
            placing.require(State.ARMED)
            times |= measure(f"remove{kind}", placing.remove)
            placing.require(State.REMOVED)
    return times


def _alone(name: str, act: Callable[[], object]) -> dict[str, float]:
    wall, cpu = took_ns(act)
    return {name: wall, f"{name}, CPU time": cpu}


def _holds(name: str, act: Callable[[], object]) -> dict[str, float]:
    return {f"{name}, longest hold": longest_hold(act)}


def _beside(name: str, act: Callable[[], object]) -> dict[str, float]:
    gap, took = gap_beside(act)
    return {f"{name}, beside a busy thread": took, f"{name}, longest stall of that thread": gap}


@contextmanager
def filled(module: ModuleType, objects: int) -> Iterator[None]:
    """Let a module hold so many tracked objects more, no container of more than 1,000."""
    is_collecting = gc.isenabled()
    gc.disable()  # while they are made: each would be looked at many times
    rows = objects // 1000
    module.cache = [  # type: ignore[attr-defined]
        [[[n] for n in range(1000)] for _ in range(min(1000, rows - at))]
        for at in range(0, rows, 1000)
    ]
    gc.collect()
    if is_collecting:
        gc.enable()
    yield
    del module.cache  # type: ignore[attr-defined]


ROWS: dict[str, Row] = {
    "1 M objects in the heap": lambda rounds: in_heap(MILLION, rounds),
    "6 M objects in the heap": lambda rounds: in_heap(6 * MILLION, rounds),
    "1 M objects on the probed module": lambda rounds: in_heap(MILLION, rounds, is_own=True),
}
