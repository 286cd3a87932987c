"""From the order received to armed, and from the order to remove to the originals."""

from __future__ import annotations

import time
from _queue import SimpleQueue
from collections.abc import Callable
from time import perf_counter_ns, thread_time_ns
from types import ModuleType

import modules
from timing import Figures, Row, measured

from probe_agent.agent.holding import Holding
from probe_agent.deliver import Outbox
from probe_agent.hit import Intake
from probe_agent.probe import Kind, Probe, State, Where

# Of a service and its packages; the benchmark itself has some 400.
MODULES = 1600


class Placing:
    """One probe on a line of a module: placed once, removed once."""

    def __init__(self, module: ModuleType, line: int, condition: str | None = None) -> None:
        self.intake: Intake = SimpleQueue()
        self.holding = Holding(self.intake, Outbox(10), lambda: None)
        where = Where(module.__file__ or "", line)
        self.probe = Probe("p-aaaaaa", Kind.SNAPSHOT, where, condition=condition)

    def place(self) -> None:
        self.holding.place([self.probe], time.monotonic())

    def remove(self) -> None:
        self.holding.remove([self.probe.probe_id], time.monotonic())

    def require(self, state: State) -> None:
        """Fail if the probe is not in this state."""
        status = self.holding.statuses()[-1]
        assert status.state is state, status


def took_ns(act: Callable[[], object]) -> tuple[int, int]:
    """Time one call. Returns: wall time; CPU time, which what else the machine does is not in."""
    began, began_cpu = perf_counter_ns(), thread_time_ns()
    act()
    return perf_counter_ns() - began, thread_time_ns() - began_cpu


def placing(text: str, function: str, rounds: int) -> Figures:
    """`compile` is for scale: it would be the least that a new version of the module costs."""
    found: list[dict[str, float]] = []
    with modules.imported(text) as module:
        line = getattr(module, function).__code__.co_firstlineno + 5
        for _ in range(rounds):
            once = Placing(module, line, "x == -1")
            times = {"`compile` of the module": took_ns(lambda: compile(text, "x", "exec"))[0]}
            times["place"], times["place, CPU time"] = took_ns(once.place)
            once.require(State.ARMED)
            times["remove"], times["remove, CPU time"] = took_ns(once.remove)
            once.require(State.REMOVED)
            found.append(times)
    return measured({name: [times[name] for times in found] for name in found[0]})


def among_modules(rounds: int) -> Figures:
    with modules.beside(MODULES):
        return placing(modules.USUAL, "f20", max(1, rounds // 4))


ROWS: dict[str, Row] = {
    "place in a module of 600 lines": lambda rounds: placing(modules.USUAL, "f20", rounds),
    "place among 2,000 modules": among_modules,
    "place in a module of 8,600 lines": lambda rounds: placing(
        modules.LARGE, "f100", max(1, rounds // 8)
    ),
}
