"""The service's own answers, before, during and after: rate, latency, and whether any differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from load import Answer, decision, is_right, percentile

_HEAD = ("", "answers", "per second", "p50 ms", "p99 ms", "failed", "changed", "wrong")


@dataclass(frozen=True)
class Window:
    """A stretch of time, on the machine's monotonic clock."""

    name: str
    began_s: float
    ended_s: float


@dataclass(frozen=True)
class Row:
    """One window's answers.

    `changed`: not what an order of this amount and symbol got in the first window. `wrong_share`:
    0-1, against the desk's rules, worked out with numbers.
    """

    name: str
    answers: int
    per_second: float
    p50_ms: float
    p99_ms: float
    failed: int
    changed: int
    wrong_share: float


def measure(answers: Sequence[Answer], windows: Sequence[Window], limit: Decimal) -> list[Row]:
    """Sum up each window; the first one is what the others are compared with."""
    parts = [_within(answers, window) for window in windows]
    usual = {_same_order(answer): decision(answer) for answer in parts[0]}
    return [_row(window, part, usual, limit) for window, part in zip(windows, parts, strict=True)]


def table(rows: Sequence[Row]) -> list[str]:
    """Lay the rows out as lines of text."""
    cells = [_HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEAD))]
    return [
        "  ".join(
            text.rjust(width) if column else text.ljust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in cells
    ]


def _within(answers: Sequence[Answer], window: Window) -> list[Answer]:
    return [answer for answer in answers if window.began_s <= answer.asked_s < window.ended_s]


def _same_order(answer: Answer) -> tuple[str, str]:
    return answer.order.amount, answer.order.symbol


def _row(
    window: Window, answers: Sequence[Answer], usual: dict[tuple[str, str], str], limit: Decimal
) -> Row:
    answered = [answer for answer in answers if answer.status]
    latencies_ms = [answer.latency_ms for answer in answered]
    wrong = sum(not is_right(answer, limit) for answer in answered)
    return Row(
        name=window.name,
        answers=len(answered),
        per_second=len(answered) / (window.ended_s - window.began_s),
        p50_ms=percentile(latencies_ms, 0.50),
        p99_ms=percentile(latencies_ms, 0.99),
        failed=len(answers) - len(answered),
        changed=sum(decision(answer) != usual.get(_same_order(answer)) for answer in answered),
        wrong_share=wrong / len(answered) if answered else 0.0,
    )


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.name,
        str(row.answers),
        f"{row.per_second:.1f}",
        f"{row.p50_ms:.2f}",
        f"{row.p99_ms:.2f}",
        str(row.failed),
        str(row.changed),
        f"{row.wrong_share:.0%}",
    )
