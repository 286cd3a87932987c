"""What is to be inserted, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import TypeAlias

from probe_agent.quick import Quick

# Gives a variable's value in a frame that is at a line's start, or `plain.UNBOUND`.
ReadVariable: TypeAlias = Callable[[FrameType, str], object]


@dataclass(frozen=True, slots=True, eq=False)
class Insertion:
    """One probe's share of a code object.

    Each time control comes to `line`, `guard` is called with the values of `guard_names`; if it
    returns exactly True, or if there is no guard, `hit` is called with the values of `hit_names`
    and its result is dropped. All names are of `variables(code)`; one without a value is passed as
    `plain.UNBOUND`. What the two raise goes into the application, except RecursionError: they must
    raise nothing but what the application's own signal handlers raised in them. Code that is
    pickled carries neither (see `carrier`).

    `quick`: where it has an answer, the guard is not asked: a test of the variables of
    `guard_names` that says the same. `run`: does what `guard` and `hit` do together, for a frame
    that runs code without them, and raises no more than they; without it, frames that began before
    are not reached.
    """

    probe_id: str
    line: int
    guard: Callable[..., object] | None
    guard_names: tuple[str, ...]
    hit: Callable[..., object]
    hit_names: tuple[str, ...]
    quick: Quick | None = None
    run: Callable[[FrameType, ReadVariable], None] | None = None


@dataclass(frozen=True, slots=True)
class Reach:
    """What a placing got to.

    `functions`: live functions whose next call sees the probe. `frames_missed`: calls begun before
    that never will, suspended generators and coroutines included; see `census` for how sure that
    number is. Those that `running` serves are not among them.
    """

    functions: int
    frames_missed: int
