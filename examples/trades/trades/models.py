"""What the desk talks about: a trade that was asked for, and what was decided."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Trade:
    """One order of the feed. `amount` is kept as sent, so that no digit is lost on the way."""

    trade_id: str
    account: str
    symbol: str
    side: str
    amount: str


@dataclass(frozen=True)
class Decision:
    """What became of a trade. `reason` is empty for an accepted one."""

    trade_id: str
    accepted: bool
    reason: str = ""
