"""Real traffic for the trades service: orders over loopback, bounded in rate, count and time.

    python load.py --address http://127.0.0.1:PORT --rate 200 --seconds 10 --report report.json

Every order is its own (`T-000001`, `T-000002`, ...); its amount comes from a fixed list, so the
same number always asks for the same. It ends at its bounds, on SIGTERM or SIGINT, or when the
service has gone, and then writes its report: one row per second, and every answer with the time it
was asked for on the machine's monotonic clock (seconds), which other processes read as well.

It knows nothing of Sonde. What is right it works out by itself, with numbers: `is_right`.
"""

from __future__ import annotations

import argparse
import json
import math
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from http.client import HTTPConnection, HTTPException
from itertools import count, groupby
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlsplit

AMOUNTS = (
    *("1250.00", "8200", "15000", "4999.99", "9100", "2100", "12500.50"),
    *("3300", "8999.99", "120000", "1800", "9000.01", "5600", "10750"),
)
SYMBOLS = ("ACME", "NWND", "TYRL", "HLX")
ACCOUNTS = ("A-17", "A-23", "B-02")
RESTRICTED = ("HLX",)

_CONNECTIONS = 4
_FAILURES_UNTIL_GONE = 20
_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Order:
    """One order, as the feed sends it."""

    trade_id: str
    account: str
    symbol: str
    side: str
    amount: str


@dataclass(frozen=True)
class Answer:
    """What came back for one order.

    `asked_s`: monotonic clock. `status`: of HTTP; 0 if no answer came. `body`: as received.
    """

    order: Order
    asked_s: float
    latency_ms: float
    status: int
    body: str


@dataclass(frozen=True)
class Bounds:
    """When to stop, and how fast to go. `rate`: orders per second, over all connections."""

    rate: float
    orders: int
    seconds: float


def order(number: int) -> Order:
    """Make the order of this number, from 1 on: always the same one."""
    return Order(
        trade_id=f"T-{number:06}",
        account=ACCOUNTS[number % len(ACCOUNTS)],
        symbol=SYMBOLS[number // 2 % len(SYMBOLS)],
        side="buy" if number % 2 else "sell",
        amount=AMOUNTS[number % len(AMOUNTS)],
    )


def is_right(answer: Answer, limit: Decimal) -> bool:
    """True if the decision is the one that the desk's rules ask for, compared as numbers."""
    must_reject = answer.order.symbol in RESTRICTED or Decimal(answer.order.amount) > limit
    return answer.status == 200 and decision(answer) == ("rejected" if must_reject else "accepted")


def decision(answer: Answer) -> str:
    """`accepted` or `rejected`; anything else that is not such an answer gives an empty text."""
    try:
        content = json.loads(answer.body)
        return str(content["decision"]) if content["trade_id"] == answer.order.trade_id else ""
    except (ValueError, KeyError, TypeError):
        return ""


class Load:
    """Sends orders at an even pace over a few connections that stay open."""

    def __init__(self, address: str, bounds: Bounds) -> None:
        parts = urlsplit(address)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._bounds = bounds
        self._numbers = count(1)
        self._stop = Event()
        self._answers: list[Answer] = []

    def run(self) -> list[Answer]:
        """Send until a bound is reached, or `stop`. Returns: the answers, in the order asked."""
        began = time.monotonic()
        workers = [Thread(target=self._work, args=(began,)) for _ in range(_CONNECTIONS)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return sorted(self._answers, key=lambda answer: answer.asked_s)

    def stop(self) -> None:
        """Let every connection finish the order it is at, and end."""
        self._stop.set()

    def _work(self, began: float) -> None:
        connection = HTTPConnection(self._host, self._port, timeout=_TIMEOUT_S)
        failures = 0
        try:
            for number in self._due(began):
                answer = _ask(connection, order(number))
                self._answers.append(answer)
                failures = 0 if answer.status else failures + 1
                if failures == _FAILURES_UNTIL_GONE:
                    self.stop()
        finally:
            connection.close()

    def _due(self, began: float) -> Iterator[int]:
        """Give the numbers of orders, each when its time has come, while the bounds allow."""
        while True:
            number = next(self._numbers)  # one call of C: each number goes to one thread
            due_s = (number - 1) / self._bounds.rate
            if number > self._bounds.orders or due_s > self._bounds.seconds:
                return
            if self._stop.wait(max(0.0, began + due_s - time.monotonic())):
                return
            if time.monotonic() - began > self._bounds.seconds:
                return
            yield number


def _ask(connection: HTTPConnection, asked: Order) -> Answer:
    began = time.monotonic()
    try:
        connection.request("POST", "/orders", json.dumps(asdict(asked)).encode())
        response = connection.getresponse()
        body, status = response.read().decode(errors="replace"), response.status
    except (OSError, HTTPException) as error:
        connection.close()  # the next request opens it again
        body, status = type(error).__name__, 0
    return Answer(asked, began, (time.monotonic() - began) * 1000, status, body)


def percentile(latencies_ms: Sequence[float], share: float) -> float:
    """Give the latency that `share` (0-1) of them do not exceed (nearest rank); nan for none."""
    if not latencies_ms:
        return math.nan
    return sorted(latencies_ms)[max(0, math.ceil(share * len(latencies_ms)) - 1)]


def per_second(answers: Sequence[Answer]) -> list[dict[str, object]]:
    """Sum up each second in which orders were asked for, counted from the first of them."""
    began = answers[0].asked_s if answers else 0.0
    return [
        {"second": second, **_row(list(group))}
        for second, group in groupby(answers, key=lambda answer: int(answer.asked_s - began))
    ]


def _row(answers: Sequence[Answer]) -> dict[str, object]:
    latencies_ms = [answer.latency_ms for answer in answers if answer.status]
    return {
        "answers": len(latencies_ms),
        "failed": len(answers) - len(latencies_ms),
        "p50_ms": round(percentile(latencies_ms, 0.50), 3) if latencies_ms else None,
        "p99_ms": round(percentile(latencies_ms, 0.99), 3) if latencies_ms else None,
    }


def report(answers: Sequence[Answer], limit: Decimal) -> dict[str, object]:
    """Put everything into one JSON object; `read_report` reads it."""
    return {
        **_row(answers),
        "wrong": sum(not is_right(answer, limit) for answer in answers if answer.status),
        "seconds": per_second(answers),
        "all": [asdict(answer) for answer in answers],
    }


def read_report(path: Path) -> list[Answer]:
    """Read back the answers of a report, in the order asked."""
    rows = json.loads(path.read_text(encoding="utf-8"))["all"]
    return [Answer(**{**row, "order": Order(**row["order"])}) for row in rows]


def main() -> int:
    """Run the load process. Returns: 0, or 1 if no order was answered."""
    parser = argparse.ArgumentParser(prog="load", description="Send orders to the trades service.")
    parser.add_argument("--address", required=True, metavar="URL")
    parser.add_argument("--rate", type=float, default=100, help="orders per second (100)")
    parser.add_argument("--orders", type=int, default=100_000, help="at most so many (100000)")
    parser.add_argument("--seconds", type=float, default=60, help="at most so long (60)")
    parser.add_argument("--limit", type=Decimal, default=Decimal(9000), help="what is right (9000)")
    parser.add_argument("--report", type=Path, metavar="FILE", help="JSON, written at the end")
    options = parser.parse_args()

    load = Load(options.address, Bounds(options.rate, options.orders, options.seconds))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: load.stop())
    answers = load.run()
    content = report(answers, options.limit)
    if options.report:
        options.report.write_text(json.dumps(content), encoding="utf-8")
    print(*(json.dumps(row) for row in per_second(answers)), sep="\n")
    return 0 if content["answers"] else 1


if __name__ == "__main__":
    sys.exit(main())
