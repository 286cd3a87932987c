"""Fair comparisons on a noisy machine: contestants take turns, ratios of pairs, medians.

Times are CPU times of the measuring thread: what other programs take of the machine meanwhile is in
none of them. Wall time is for what waits (placing, stalls), and is measured where that is.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from time import thread_time_ns
from typing import TypeAlias

# Before a turn is timed, so that the interpreter's specialised instructions are back.
WARM_UP_CALLS = 200


@dataclass(frozen=True)
class Measured:
    """Medians over rounds. `ns`: per call. `ratio`, `extra_ns`: to the reference of the same round."""

    ns: float
    ratio: float
    extra_ns: float


# One row: by contestant, the reference first.
Figures: TypeAlias = dict[str, Measured]
# Makes a row in so many rounds (a row that takes long makes fewer).
Row: TypeAlias = Callable[[int], Figures]


@dataclass(frozen=True)
class Contestant:
    """What is called with which arguments, and what is so while it takes its turn."""

    function: Callable[..., object]
    arguments: tuple[object, ...] = ()
    within: Callable[[], AbstractContextManager[object]] = nullcontext


def compare(contestants: Mapping[str, Contestant], *, calls: int, rounds: int) -> Figures:
    """Time each contestant `calls` times a round, in turn. The first is the reference."""
    loops = {name: _loop_over(c.function, c.arguments) for name, c in contestants.items()}
    times: dict[str, list[float]] = {name: [] for name in contestants}
    turns = list(contestants.items())
    for _ in range(rounds):
        for name, contestant in turns:
            with contestant.within():
                times[name].append(_per_call(loops[name], calls))
        turns.reverse()
    return measured(times)


def measured(times: Mapping[str, Sequence[float]]) -> Figures:
    """Sum up times, a list per contestant with one entry for each round. The first is the reference."""
    reference = times[next(iter(times))]
    return {
        name: Measured(
            statistics.median(took),
            statistics.median(a / b for a, b in zip(took, reference, strict=True)),
            statistics.median(a - b for a, b in zip(took, reference, strict=True)),
        )
        for name, took in times.items()
    }


def to_json(rows: Mapping[str, Figures]) -> str:
    """Write {row: {contestant: {"ns": ..., "ratio": ..., "extra_ns": ...}}}."""
    return json.dumps({row: {name: asdict(m) for name, m in f.items()} for row, f in rows.items()})


def from_json(text: str) -> dict[str, Figures]:
    """Read what `to_json` wrote."""
    rows = json.loads(text)
    return {row: {name: Measured(**m) for name, m in f.items()} for row, f in rows.items()}


def _per_call(loop: Callable[[int], None], calls: int) -> float:
    loop(min(calls, WARM_UP_CALLS))
    started = thread_time_ns()
    loop(calls)
    return (thread_time_ns() - started) / calls


def _loop_over(
    function: Callable[..., object], arguments: tuple[object, ...]
) -> Callable[[int], None]:
    """Make a loop with code of its own: call sites are specialised for what they call."""
    names = [f"argument_{n}" for n in range(len(arguments))]
    text = f"def loop(times):\n for _ in range(times):\n  function({', '.join(names)})"
    namespace: dict[str, object] = {
        "function": function,
        **dict(zip(names, arguments, strict=True)),
    }
    exec(text, namespace)
    return namespace["loop"]  # type: ignore[return-value]
