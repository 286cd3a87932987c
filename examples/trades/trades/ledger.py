"""What was decided, and how long it took: the desk's memory while it runs."""

from __future__ import annotations

from collections import Counter, deque
from statistics import quantiles
from threading import Lock

from trades.models import Decision

_LATENCIES_KEPT = 1000


class Ledger:
    """Counts decisions and keeps the latest latencies. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: Counter[str] = Counter()
        self._latencies_ms: deque[float] = deque(maxlen=_LATENCIES_KEPT)

    def record(self, decision: Decision, latency_ms: float) -> None:
        """Count one decision, made within `latency_ms`."""
        with self._lock:
            self._counts["accepted" if decision.accepted else "rejected"] += 1
            self._latencies_ms.append(latency_ms)

    def totals(self) -> dict[str, int]:
        """How many trades were accepted and rejected since the start."""
        with self._lock:
            return {name: self._counts[name] for name in ("accepted", "rejected")}

    def latency_p99_ms(self) -> float | None:
        """99 of 100 of the latest decisions were faster than this; None before the second one."""
        with self._lock:
            latest = list(self._latencies_ms)
        return quantiles(latest, n=100)[98] if len(latest) > 1 else None
