"""Fair comparisons on a noisy machine: contestants take turns, ratios of pairs, medians."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter_ns


@dataclass(frozen=True)
class Measured:
    """Medians over rounds. `ns`: per call. `ratio`: to the reference of the same round."""

    ns: float
    ratio: float


def compare(
    contestants: Mapping[str, Callable[[], object]], *, calls: int, rounds: int = 31
) -> dict[str, Measured]:
    """Time each contestant `calls` times a round, in turn. The first is the reference."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, act in contestants.items():
            started = perf_counter_ns()
            for _ in range(calls):
                act()
            times[name].append((perf_counter_ns() - started) / calls)
    reference = times[next(iter(contestants))]
    return {
        name: Measured(
            statistics.median(took),
            statistics.median(a / b for a, b in zip(took, reference, strict=True)),
        )
        for name, took in times.items()
    }
