"""One order from its bytes to the answer, apart from HTTP."""

from __future__ import annotations

from time import perf_counter

from trades.ledger import Ledger
from trades.limits import Limits
from trades.orders import parse_order
from trades.validate import Validator


class Desk:
    """Decides orders and remembers what it decided."""

    def __init__(self, limits: Limits) -> None:
        self._validator = Validator(limits)
        self._ledger = Ledger()

    def take(self, body: bytes) -> dict[str, str]:
        """Decide one order.

        Returns: `trade_id`, `decision` (`accepted` or `rejected`) and, if rejected, the `reason`.
        Raises: BadOrder: it cannot be understood.
        """
        began = perf_counter()
        decision = self._validator.decide(parse_order(body))
        self._ledger.record(decision, (perf_counter() - began) * 1000)
        if decision.accepted:
            return {"trade_id": decision.trade_id, "decision": "accepted"}
        return {
            "trade_id": decision.trade_id,
            "decision": "rejected",
            "reason": decision.reason,
        }

    def health(self) -> dict[str, object]:
        """How the desk is doing: totals since the start, latency of the latest decisions."""
        return {
            "status": "ok",
            **self._ledger.totals(),
            "decision_p99_ms": self._ledger.latency_p99_ms(),
        }
