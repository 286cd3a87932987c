"""From the bytes of a request to a `Trade`."""

from __future__ import annotations

import json
import re

from trades.models import Trade

_AMOUNT = re.compile(r"[1-9][0-9]{0,11}(\.[0-9]{1,2})?")
_SIDES = ("buy", "sell")
_LONGEST_TEXT = 64


class BadOrder(Exception):
    """The order cannot be understood; the text says why, for its sender."""


def parse_order(body: bytes) -> Trade:
    """Read one order.

    Raises: BadOrder: not a JSON object, a field is missing, or one is not of its form.
    """
    try:
        order = json.loads(body)
    except ValueError:
        raise BadOrder("the body is not JSON") from None
    if not isinstance(order, dict):
        raise BadOrder("the body is not a JSON object")
    trade = Trade(
        trade_id=_text(order, "trade_id"),
        account=_text(order, "account"),
        symbol=_text(order, "symbol"),
        side=_text(order, "side"),
        amount=_text(order, "amount"),
    )
    if trade.side not in _SIDES:
        raise BadOrder("side is neither buy nor sell")
    if not _AMOUNT.fullmatch(trade.amount):
        raise BadOrder("amount is not a positive number with at most two decimals")
    return trade


def _text(order: dict[str, object], field: str) -> str:
    value = order.get(field)
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_TEXT:
        raise BadOrder(f"{field} is not a text of 1 to {_LONGEST_TEXT} characters")
    return value
