"""Cursors: opaque text that holds after a restart, and is never taken for another store's."""

from __future__ import annotations

import base64
import binascii
from enum import Enum
from typing import Final

from mcp_server.errors import StaleCursor

_LONGEST: Final = 40


class Over(Enum):
    """What a cursor runs over."""

    RESULTS = b"r"
    PROBES = b"p"


def write_cursor(over: Over, tag: bytes, position: int) -> str:
    """Make the cursor that stands at `position`. Args: tag: the store's."""
    number = position.to_bytes((position.bit_length() + 7) // 8 or 1)
    return base64.b32encode(over.value + tag + number).decode().rstrip("=").lower()


def read_cursor(over: Over, tag: bytes, text: str) -> int:
    """Find the position of a cursor.

    Raises: StaleCursor: not one of ours, of another list, or of a store that is gone.
    """
    head = over.value + tag
    try:
        if len(text) > _LONGEST:
            raise ValueError
        raw = base64.b32decode(text.upper() + "=" * (-len(text) % 8))
    except (ValueError, binascii.Error):
        raw = b""
    if not raw.startswith(head) or not len(head) < len(raw) <= len(head) + 8:
        raise StaleCursor(
            "Cannot continue from this cursor",
            "it is not one that this store gave out for this list",
            "Start again without a cursor",
        )
    return int.from_bytes(raw[len(head) :])
