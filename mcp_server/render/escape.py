"""Captured text on its way out: what could act on a terminal or mislead a reader becomes an escape.

`escape` is the one function that every captured field passes, in both forms. In the text form,
source lines go through `source_line` and everything else through `quoted`, `literal` or `word`.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# Unicode's names for what is control, format (which has the bidirectional, zero-width and tag
# characters), surrogate, private use, unassigned, line and paragraph separator.
_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Assigned to letters and marks, yet drawn as nothing: joiners, fillers, variation selectors.
_INVISIBLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)
# What may stand unquoted: a path, a dotted name, an index. No spaces, so no sentences.
_WORD: Final = re.compile(r"[\w.\[\]<>@:/+\-]{1,300}")
_IN_QUOTES: Final = {"\\": "\\\\", "'": "\\'"}


def escape(text: str) -> str:
    r"""Escape as in Python (`\n`, `\x1b`, `\u202e`) what must not reach a reader as it is.

    Leaves backslashes alone: literals come escaped already, and are not escaped twice.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(character) for character in text)


def quoted(text: str) -> str:
    """Write text that is not a literal yet as a quoted one, on one line."""
    inner = "".join(_IN_QUOTES.get(character) or _escaped(character) for character in text)
    return f"'{inner}'"


def literal(text: str) -> str:
    """Write what the agent rendered to a literal: it has its quotes."""
    return escape(text)


def word(text: str) -> str:
    """Write a name, a path or an expression: quoted, unless nobody could read it as prose."""
    return text if text.isascii() and _WORD.fullmatch(text) else quoted(text)


def source_line(text: str) -> str:
    """Write a line of source behind its bar."""
    return f"| {escape(text)}"


def numbered_line(number: int, text: str, width: int, *, is_asked: bool = False) -> str:
    """Write a line of source with its number before the bar, marked if it is the one asked for.

    Args: width: of the longest number beside it.
    """
    return f"{'>' if is_asked else ' '} {number:>{width}} {source_line(text)}".rstrip()


def _escaped(character: str) -> str:
    if character.isascii():
        is_plain = character.isprintable()
    else:
        category = unicodedata.category(character)
        is_plain = category not in _CATEGORIES and not _INVISIBLE.match(character)
    return character if is_plain else character.encode("unicode_escape").decode("ascii")
