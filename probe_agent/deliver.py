"""From intake to outbox, in the background: redact, render, number, keep until acknowledged.

`agent` calls `Delivery.take_some` every few milliseconds while a probe is armed. What a full outbox
drops is counted in its probe's sums. Nothing leaves the process that did not pass `_rendered`.
"""

from __future__ import annotations

import queue
import sys
from collections import deque
from typing import Final

from probe_agent.config import random_id
from probe_agent.expression import fill
from probe_agent.hit import Intake, LiveProbe, RawHit, Reading
from probe_agent.literal import render, type_name
from probe_agent.plain import REDACTED, Plain
from probe_agent.probe import Result, Value

# Hits per slice: about a millisecond of rendering, then the interpreter is given back.
SLICE_HITS: Final = 20


class Outbox:
    """Results in the order of their numbers, kept until the hub says that they are stored."""

    def __init__(self, most_results: int) -> None:
        self._most = most_results
        self._results: deque[Result] = deque()
        self._last_number = 0
        self._sent_through = 0

    def __len__(self) -> int:
        return len(self._results)

    @property
    def is_full(self) -> bool:
        """True if a further result must be dropped."""
        return len(self._results) >= self._most

    @property
    def has_unsent(self) -> bool:
        """True if this stream has not carried everything yet."""
        return bool(self._results) and self._results[-1].number > self._sent_through

    def next_number(self) -> int:
        """Number a result; every number is used once."""
        self._last_number += 1
        return self._last_number

    def add(self, result: Result) -> None:
        """Keep a result."""
        self._results.append(result)

    def unsent(self, most: int) -> tuple[Result, ...]:
        """Take up to `most` results that this stream has not carried yet."""
        found = tuple(r for r in self._results if r.number > self._sent_through)[:most]
        if found:
            self._sent_through = found[-1].number
        return found

    def acknowledge(self, through_number: int) -> None:
        """Forget every result up to a number."""
        while self._results and self._results[0].number <= through_number:
            self._results.popleft()

    def rewind(self) -> None:
        """Start over on a new stream: everything that is kept is unsent again."""
        self._sent_through = 0


class Delivery:
    """Turns raw hits into results."""

    def __init__(self, intake: Intake, outbox: Outbox) -> None:
        self._intake = intake
        self._outbox = outbox

    def take_some(self, most: int = SLICE_HITS) -> int:
        """Deliver up to `most` raw hits. Returns: how many there were."""
        for taken in range(most):
            try:
                raw = self._intake.get_nowait()
            except queue.Empty:
                return taken
            self._deliver(raw)
        return most

    def _deliver(self, raw: RawHit) -> None:
        live = raw.live
        if self._outbox.is_full:
            live.captured -= 1
            live.dropped_outbox += 1
            return
        try:
            result = self._rendered(raw)
        except Exception:  # noqa: BLE001  one hit that cannot be rendered must not stop the others
            live.captured -= 1
            live.dropped_capture_failed += 1
            return
        self._outbox.add(result)
        live.delivered += 1

    def _rendered(self, raw: RawHit) -> Result:
        live = raw.live
        redacted = [
            redact_reading(live, reading, plain)
            for reading, plain in zip(raw.readings, raw.values, strict=True)
        ]
        message = None
        values: tuple[Value, ...] = ()
        if live.template is not None:
            message = fill(live.template, redacted)
        else:
            names = (reading.name for reading in raw.readings)
            values = tuple(map(to_value, names, redacted))
        return Result(
            number=self._outbox.next_number(),
            result_id=random_id("r", 8),
            probe_id=live.probe.probe_id,
            sequence=live.delivered + 1,
            time_ms=raw.time_ns // 1_000_000,
            thread=raw.thread,
            task=raw.task,
            values=values,
            message=message,
            stack=tuple(f"{short_path(f)}:{line} {name}" for f, line, name in raw.stack),
        )


def redact_reading(live: LiveProbe, reading: Reading, plain: Plain) -> Plain:
    """Hide what must not leave the process in the value of one expression."""
    return live.redactor.redact(reading.name, plain, words=reading.checked.words)


def to_value(name: str, plain: Plain) -> Value:
    """Render a redacted plain value."""
    is_redacted = type(plain) is tuple and plain[0] == REDACTED
    return Value(name, render(plain), type_name(plain), is_redacted)


def short_path(file: str) -> str:
    """Cut a path to what follows its longest import root; other paths stay whole."""
    roots = (r for r in sys.path if r and file.startswith(r.rstrip("/") + "/"))
    longest = max(roots, key=len, default="")
    return file[len(longest) :].lstrip("/") if longest else file
