"""What comes from outside and must fit into the store and onto the wire: both are UTF-8."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Final, cast

from mcp_server.errors import InvalidArgument

_LONGEST: Final = 10_000
_LAST_LINE: Final = 10_000_000


def require_text(*arguments: object) -> None:
    """Check every text in the arguments, and in the frozen types and collections among them.

    Raises: InvalidArgument: one is longer than 10,000 characters, or holds half a surrogate pair,
    which JSON can write and UTF-8 cannot.
    """
    for text in _texts(arguments):
        if len(text) > _LONGEST:
            raise InvalidArgument(
                "Cannot use one of the arguments",
                f"it has {len(text):,} characters, and {_LONGEST:,} is the most",
                "Send a shorter one",
            )
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidArgument(
                "Cannot use one of the arguments",
                "it holds half a surrogate pair, which is not text",
                "Send it as valid Unicode",
            ) from None


def require_line(line: int | None) -> None:
    """Check a line number, 0 and None meaning none.

    Raises: InvalidArgument: no file has so many lines, and the wire no such number.
    """
    if line is not None and not 0 <= line <= _LAST_LINE:
        raise InvalidArgument(
            "Cannot use line", f"it is not from 1 to {_LAST_LINE:,}", "Give a line of the file"
        )


def _texts(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts(tuple(value.items()))
    elif isinstance(value, tuple | list):
        for item in cast("Iterable[object]", value):
            yield from _texts(item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for part in dataclasses.fields(value):
            yield from _texts(getattr(value, part.name))
