"""May this trade go through?"""

from __future__ import annotations

from trades.limits import Limits
from trades.models import Decision, Trade


class SymbolCheck:
    """Keeps the desk away from symbols that it may not trade."""

    def __init__(self, limits: Limits) -> None:
        self.restricted = limits.restricted

    def forbids(self, trade: Trade) -> bool:
        """True if nobody here may trade this symbol."""
        return trade.symbol in self.restricted


class LimitCheck:
    """Keeps one trade within what the risk desk agreed to."""

    def __init__(self, limits: Limits) -> None:
        self.limit = limits.single_trade
        self.currency = limits.currency

    def forbids(self, trade: Trade) -> bool:
        """True if the trade is worth more than the limit."""
        return trade.amount > self.limit


class Validator:
    """Applies the desk's checks in order; the first that forbids a trade decides."""

    def __init__(self, limits: Limits) -> None:
        self.symbols = SymbolCheck(limits)
        self.limits = LimitCheck(limits)

    def decide(self, trade: Trade) -> Decision:
        """Accept the trade, or say why not."""
        if self.symbols.forbids(trade):
            return Decision(trade.trade_id, accepted=False, reason="restricted symbol")
        if self.limits.forbids(trade):
            return Decision(trade.trade_id, accepted=False, reason="over the limit")
        return Decision(trade.trade_id, accepted=True)
