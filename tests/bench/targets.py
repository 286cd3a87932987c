"""What each row must reach, and whether it does: the one place where targets stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from timing import Figures

# Rows of one Python.
Rows: TypeAlias = Mapping[str, Figures]

_US: Final = 1_000
_MS: Final = 1_000_000


@dataclass(frozen=True)
class Target:
    """At most `most` in one figure of a contestant of a row. `wanted`: the same in words.

    `by`: an attribute of `timing.Measured`.
    """

    row: str
    contestant: str
    by: Literal["ns", "ratio", "extra_ns"]
    most: float
    wanted: str


def duration(ns: float) -> str:
    """Write a time in the unit that suits it."""
    if abs(ns) < _US:
        return f"{ns:.1f} ns"
    return f"{ns / _US:.1f} us" if abs(ns) < _MS else f"{ns / _MS:.1f} ms"


_SHOW: Final[Mapping[str, Callable[[float], str]]] = {
    "ns": duration,
    "ratio": lambda ratio: f"x{ratio:.3f}",
    "extra_ns": lambda ns: f"{'+' if ns >= 0 else ''}{duration(ns)}",
}


def _calls() -> Iterator[Target]:
    """Code without a probe costs nothing, before, meanwhile and after."""
    elsewhere = "unrelated function, probe armed elsewhere"
    yield Target("no probe, agent loaded", "agent loaded", "ratio", 1.02, "x1.00")
    yield Target(elsewhere, "probe elsewhere", "ratio", 1.02, "x1.00")
    for shape in ("function", "method", "property", "item"):
        row = f"after removal, calls of a {shape}"
        yield Target(row, "1,000 calls, after removal", "ratio", 1.02, "x1.02")


def _conditions() -> Iterator[Target]:
    both = "`a > 1 and b < 5`"
    for condition in ("`amount > 1000`", "`status == 'PAID'`", f"{both}, by a", f"{both}, by b"):
        yield Target(f"condition false, {condition}", "probe", "extra_ns", 25, "by hand + 25 ns")
    for condition in ("`order.limit > 1000`", "`order.items['a'] > 5`"):
        yield Target(f"condition false, {condition}", "probe", "extra_ns", 400, "by hand + 400 ns")


def _hits() -> Iterator[Target]:
    yield Target("log hit, 2 expressions", "log hit", "ns", 3 * _US, "<= 3 us")
    row = "snapshot of the reference frame"
    yield Target(row, "snapshot hit", "extra_ns", 20 * _US, "no probe + 20 us")


def _placing() -> Iterator[Target]:
    kinds = ("", ", a suspended generator")
    places = [("place in a module of 600 lines", ""), ("place among 2,000 modules", "")]
    places += [(f"{n} M objects in the heap", kind) for n in (1, 6) for kind in kinds]
    for row, kind in places:
        yield Target(row, f"place{kind}", "ns", 10 * _MS, "<= 10 ms")
        yield Target(row, f"place{kind}, CPU time", "ns", 10 * _MS, "<= 10 ms")
    for row, kind in places[2:]:
        for verb in ("place", "remove"):
            stall = f"{verb}{kind}, longest hold"
            yield Target(row, stall, "ns", 2 * _MS, "others wait <= 2 ms")


def _the_rest() -> Iterator[Target]:
    reached = "3.12+: reached"
    yield Target("a loop that never returns", "order to first hit", "ns", float("inf"), reached)
    yield Target("sonde mcp, start to first reply", "sonde mcp", "ratio", 1.2, "x1.20")


TARGETS: Final = (*_calls(), *_conditions(), *_hits(), *_placing(), *_the_rest())


def print_table(of_versions: Mapping[str, Rows]) -> None:
    """Print each target that was measured, with what each Python made of it."""
    print(f"| row | target | {' | '.join(of_versions)} | |")
    print(f"|{'---|' * (len(of_versions) + 3)}")
    for target in TARGETS:
        values = {version: _value(target, rows) for version, rows in of_versions.items()}
        if any(value is not None for value in values.values()):
            cells = ("-" if v is None else _SHOW[target.by](v) for v in values.values())
            verdict = _verdict(target, values)
            print(f"| {_name(target)} | {target.wanted} | {' | '.join(cells)} | {verdict} |")


def _name(target: Target) -> str:
    """Name the contestant too where the row has several with a target."""
    several = sum(other.row == target.row for other in TARGETS) > 1
    return f"{target.row}: {target.contestant}" if several else target.row


def _value(target: Target, rows: Rows) -> float | None:
    figures = rows.get(target.row, {}).get(target.contestant)
    return None if figures is None else float(getattr(figures, target.by))


def _verdict(target: Target, values: Mapping[str, float | None]) -> str:
    missed = [version for version, v in values.items() if v is not None and v > target.most]
    return f"MISS on {', '.join(missed)}" if missed else "ok"
