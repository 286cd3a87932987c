"""Probes on every line: code goes in, the same code with a real probe at each line comes out.

What runs at a line is the product's own guard and hit (`probe_agent.hit`), inserted by its own
rewriter; only the background thread is missing, so what is captured is dropped at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType
from typing import TypeAlias
from zlib import crc32

from probe_agent.capture import CaptureLimits
from probe_agent.errors import ExpressionRefused, LineNotExecutable, SondeError
from probe_agent.hit import Entry, LiveProbe
from probe_agent.probe import Kind, Probe, Where
from probe_agent.rewrite import Insertion, variables, verify_identity
from probe_agent.rewrite.flow import flow_of
from probe_agent.rewrite.points import body_start, entries
from probe_agent.rewrite.tree import rebuild

# True and false, decided in line and by a call, over values of any type.
CONDITIONS = (
    "{} == 'x-no-such'",
    "{} is None",
    "{} != 0",
    "{} > 1000",
    "not {}",
    "{} is not None",
    "{}.limit == 1",
    "{0} is None or {0} == 7",
)
# True of nothing, whatever its type: decided in line, so that not even the guard is called but for
# the first few times.
FALSE_CONDITIONS = ("{0} is None and {0} is not None",)
# A condition's names: the more there are, the more conditions have to be compiled.
MOST_NAMES = 3
# To compile a condition for each line would take longer than to insert it.
LINES_OF_A_CONDITION = 20
# Hits after these are counted and dropped by the hit limit, as between the last hit and removal.
CAPTURED_PER_LINE = 3

LiveAt: TypeAlias = Callable[[CodeType, int], "LiveProbe | None"]


class Nowhere:
    """An intake that keeps nothing: there is no background thread to empty it."""

    def put(self, raw: object) -> None:
        """Drop it."""

    def qsize(self) -> int:
        return 0


def make_live(condition: str | None, max_hits: int, kind: Kind, message: str | None) -> LiveProbe:
    probe = Probe(
        probe_id="corpus",
        kind=kind,
        where=Where("corpus"),
        condition=condition,
        message=message,
        max_hits=max_hits,
        max_hits_per_second=1_000_000,
    )
    return LiveProbe(probe, Nowhere(), CaptureLimits())


class Conditions:
    """A condition on a variable of each line's own code; a hit writes a constant line of log.

    A probe serves several lines with the same text, in any code, as one may in the product.
    Args: lines: how many.
    """

    def __init__(
        self, forms: tuple[str, ...] = CONDITIONS, lines: int = LINES_OF_A_CONDITION
    ) -> None:
        self._forms = forms
        self._lines = lines
        self._lives: list[LiveProbe] = []
        self._serving: dict[str, tuple[LiveProbe, int]] = {}  # text -> probe, lines left for it
        self._refused: set[str] = set()

    def __call__(self, code: CodeType, line: int) -> LiveProbe:
        names = variables(code) or code.co_names
        names = tuple(name for name in names if not name.startswith("__"))[:MOST_NAMES]
        chosen = crc32(f"{code.co_qualname}:{line}".encode())
        form = self._forms[chosen % len(self._forms)]
        for turn in range(len(names)):
            live = self._live(form.format(names[(chosen + turn) % len(names)]))
            if live is not None:
                return live
        # No variable that a condition may read: the text itself is always false.
        live = self._live("1 == 2")
        assert live is not None
        return live

    def _live(self, text: str) -> LiveProbe | None:
        if text in self._refused:
            return None
        live, left = self._serving.get(text, (None, 0))
        if live is None or not left:
            try:
                live, left = make_live(text, 1, Kind.LOG, "reached"), self._lines
            except ExpressionRefused:
                self._refused.add(text)
                return None
            self._lives.append(live)
        self._serving[text] = (live, left - 1)
        return live

    def live_probes(self) -> list[LiveProbe]:
        return self._lives


class Captures:
    """No condition: all local variables, for the first hits of each line."""

    def __init__(self) -> None:
        self._lives: list[LiveProbe] = []

    def __call__(self, code: CodeType, line: int) -> LiveProbe:
        self._lives.append(make_live(None, CAPTURED_PER_LINE, Kind.SNAPSHOT, None))
        return self._lives[-1]

    def live_probes(self) -> list[LiveProbe]:
        return self._lives


# What each run puts on the lines; the untouched run is compared with all others.
RUNS = {
    "condition": Conditions,
    "capture": Captures,
    "false": lambda: Conditions(FALSE_CONDITIONS, lines=sys.maxsize),
}


def insertion(live: LiveProbe, code: CodeType, line: int) -> Insertion:
    """Make what the agent makes: see `_insertion` in probe_agent/agent/holding.py."""
    entry = Entry(live, code, variables(code), line)
    return Insertion(
        probe_id=live.probe.probe_id,
        line=line,
        guard=entry.guard,
        guard_names=entry.guard_names,
        hit=entry.hit,
        hit_names=entry.hit_names,
        quick=entry.quick,
    )


def lines_of(code: CodeType) -> list[int]:
    """List the lines at which `code` itself takes an insertion."""
    flow = flow_of(verify_identity(code))
    body = body_start(flow.units)
    reached = {
        unit.line
        for at, unit in enumerate(flow.units)
        if at >= body and flow.depths[at] is not None and unit.line is not None
    }
    return sorted(line for line in reached if _takes_one(flow, line))


def _takes_one(flow, line: int) -> bool:
    try:
        return bool(entries(flow, line))
    except LineNotExecutable:  # its units only clean up
        return False


class EveryLine:
    """Instruments code objects with all that is nested in them, and keeps the sums.

    Args: left_alone: starts of the qualified names that get no probes.
    """

    def __init__(self, live_at: Conditions | Captures, left_alone: tuple[str, ...] = ()) -> None:
        self._live_at = live_at
        self._left_alone = left_alone
        self.codes = self.lines = 0
        self.refused: list[tuple[str, str, str]] = []  # (file, function, why)

    def instrument(self, code: CodeType) -> CodeType:
        """Make the copy that runs instead of `code`; where the rewriter refuses, as it was."""
        if code.co_qualname.startswith(self._left_alone):
            return code
        constants = [c for c in code.co_consts if type(c) is CodeType]
        nested = {id(constant): self.instrument(constant) for constant in constants}
        self.codes += 1
        try:
            lines = lines_of(code)
            probes = [insertion(self._live_at(code, line), code, line) for line in lines]
            result = rebuild(code, probes, nested)
        except SondeError as error:
            self.refused.append((code.co_filename, code.co_qualname, str(error)))
            return rebuild(code, (), nested)
        self.lines += len(lines)
        return result

    def sums(self) -> dict[str, object]:
        counts = [live.counts() for live in self._live_at.live_probes()]
        return {
            "codes": self.codes,
            "lines": self.lines,
            "refused": self.refused,
            "hits": sum(c.line_hits for c in counts),
            "true": sum(c.condition_true for c in counts),
            "captured": sum(c.captured for c in counts),
            "errors": sum(c.condition_errors for c in counts),
            "capture_failed": sum(c.dropped_capture_failed for c in counts),
        }
