"""Message templates: `{expression}`, `{expression:format}`, and `{{` and `}}` for braces.

Checked by server and agent alike; filled from plain values, in the background thread.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from probe_agent import plain
from probe_agent.errors import ExpressionRefused
from probe_agent.expression.grammar import Checked, check
from probe_agent.expression.scanner import refusal, refuse_unreadable, scan
from probe_agent.literal import escape, render
from probe_agent.plain import Plain

_WIDEST: Final = 1_000
_LONGEST_DATE_FORMAT: Final = 100
_BRACE: Final = re.compile("[{}]")
# Python's mini-language without `n`, which asks the application's locale.
_FORMAT: Final = re.compile(
    r"(?:[^{}]?[<>=^])?[-+ ]?z?#?0?(?P<width>\d*)[_,]?(?:\.(?P<precision>\d+))?[bcdeEfFgGosxX%]?"
)
_DATE_FORMAT: Final = re.compile(r"(?=.*%)(?:[^%{}]|%[aAbBcdfGHIjmMpSuUVwWxXyYzZ%])*")
_FORMATTED: Final = (
    int,
    float,
    bool,
    str,
    Decimal,
    datetime.datetime,
    datetime.date,
    datetime.time,
)
_FORMAT_ERRORS: Final = (ValueError, TypeError, OverflowError)


@dataclass(frozen=True, slots=True)
class CheckedTemplate:
    """A template of the language.

    `pieces`: literal text, or an expression with its format specification ("" if none).
    """

    text: str
    pieces: tuple[str | tuple[Checked, str], ...]

    @property
    def expressions(self) -> tuple[Checked, ...]:
        """The expressions in order, as `fill` wants their values."""
        return tuple(piece[0] for piece in self.pieces if not isinstance(piece, str))


def check_template(text: str) -> CheckedTemplate:
    """Check a message template.

    Raises: ExpressionRefused: a brace or an expression is wrong; says where, and the allowed way.
    """
    text = refuse_unreadable(text)
    pieces: list[str | tuple[Checked, str]] = []
    at = 0
    while at < len(text):
        brace = _BRACE.search(text, at)
        literal = text[at : brace.start() if brace else None]
        if brace is None or text.startswith(brace[0] * 2, brace.start()):
            pieces.append(literal + (brace[0] if brace else ""))
            at = brace.start() + 2 if brace else len(text)
            continue
        if brace[0] == "}":
            raise refusal(text, brace.start(), "`}` closes nothing", "Write }} for a brace")
        if literal:
            pieces.append(literal)
        piece, at = _expression(text, brace.start())
        pieces.append(piece)
    return CheckedTemplate(text, _joined(pieces))


def fill(template: CheckedTemplate, values: Sequence[Plain]) -> str:
    """Write the message from plain values, one for each of `template.expressions`.

    A str stands as it is, without quotes, as in Python; control characters and such are escaped.
    """
    left = iter(values)
    return "".join(
        escape(piece) if isinstance(piece, str) else escape(_formatted(next(left), piece[1]))
        for piece in template.pieces
    )


def _expression(text: str, opening: int) -> tuple[tuple[Checked, str], int]:
    """Check what stands in braces; returns it with the position behind them."""
    end = scan(text, opening + 1, "}:!{")
    if end == len(text):
        raise refusal(text, opening, "`{` is never closed", "Write {{ for a brace")
    if text[end] == "!":
        raise refusal(
            text, end, "conversions such as !r are not part of a template", "Remove the conversion"
        )
    try:
        checked = check(text[opening + 1 : end])
    except ExpressionRefused as error:
        what = f"{error.what}, in the braces at character {opening + 1} of the message"
        raise ExpressionRefused(what, error.why, error.next_step) from None
    if text[end] == "}":
        return (checked, ""), end + 1
    closing = _BRACE.search(text, end)
    if closing is None or closing[0] == "{":
        raise refusal(text, end, "the format is never closed, or holds a brace", "Write {x:.2f}")
    return (checked, _format(text, end + 1, closing.start())), closing.end()


def _format(text: str, start: int, end: int) -> str:
    specification = text[start:end]
    found = _FORMAT.fullmatch(specification)
    if found is not None:
        sizes = (found["width"] or "0", found["precision"] or "0")
        if all(len(size) < 5 and int(size) <= _WIDEST for size in sizes):
            return specification
    elif len(specification) <= _LONGEST_DATE_FORMAT and _DATE_FORMAT.fullmatch(specification):
        return specification
    raise refusal(
        text,
        start,
        f"a format is one of Python's for numbers and strings, at most {_WIDEST} wide, or one of "
        "strftime's for dates",
        "Write for example {price:.2f}, {name:>20} or {when:%H:%M}",
    )


def _joined(pieces: list[str | tuple[Checked, str]]) -> tuple[str | tuple[Checked, str], ...]:
    """Join neighbouring literal texts."""
    joined: list[str | tuple[Checked, str]] = []
    for piece in pieces:
        if isinstance(piece, str) and joined and isinstance(joined[-1], str):
            joined[-1] += piece
        else:
            joined.append(piece)
    return tuple(joined)


def _formatted(value: Plain, specification: str) -> str:
    exact = _exact(value)
    if specification and type(exact) in _FORMATTED:
        try:
            if isinstance(exact, datetime.date | datetime.time) and "%" not in specification:
                raise ValueError("the format is none for dates")
            return format(exact, specification)
        except _FORMAT_ERRORS as error:
            return f"<error {type(error).__name__}: {error}>"
    if isinstance(value, str):
        return value
    match value:
        case (plain.CUT_STR, str(head), int(total)):
            return f"{head}... +{total - len(head)}"
        case _:
            return render(value)


def _exact(value: Plain) -> Any:
    """Give the exact number, str or date that a format can be applied to, else the value."""
    match value:
        case (plain.VERBATIM, _, _, exact):
            return exact
        case _:
            return value
