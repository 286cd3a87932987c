"""The store's times: whole milliseconds since the Unix epoch, as every database keeps them."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now_ms() -> int:
    """Read the wall clock: replicas compare each other's times."""
    return time.time_ns() // 1_000_000


def to_time(ms: int) -> datetime:
    """Turn a stored time into the model's."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def to_ms(time_utc: datetime) -> int:
    """Turn one of the model's times into a stored one."""
    return round(time_utc.timestamp() * 1000)
