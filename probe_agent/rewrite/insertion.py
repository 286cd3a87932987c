"""What is to be inserted, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Insertion:
    """One probe's share of a code object.

    Each time control comes to `line`, `guard` is called with the values of `guard_names`; if it
    returns exactly True, or if there is no guard, `hit` is called with the values of `hit_names`
    and its result is dropped. All names are of `variables(code)`; one without a value is passed as
    `plain.UNBOUND`. What the two raise goes into the application, except RecursionError: they must
    raise nothing but what the application's own signal handlers raised in them. Both stand in
    co_consts, so one that is pickled with the code decides by its `__reduce__` what the other side
    gets.
    """

    probe_id: str
    line: int
    guard: Callable[..., object] | None
    guard_names: tuple[str, ...]
    hit: Callable[..., object]
    hit_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reach:
    """What a placing got to.

    `functions`: live functions whose next call sees the probe. `frames_missed`: calls begun before
    that still run the old code, suspended generators and coroutines included; see `census` for how
    sure that number is.
    """

    functions: int
    frames_missed: int
