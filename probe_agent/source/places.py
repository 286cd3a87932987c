"""From what the caller said (`Where`) to one executable line and its code chains: the rules of the
tool contract.

Pure: knows code objects and text, no modules, no files. Text is compared with white space folded
and trailing comments ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Final

from probe_agent.errors import (
    AmbiguousCode,
    CodeMismatch,
    LineNotExecutable,
    SondeError,
    Unsupported,
)
from probe_agent.literal import spelled
from probe_agent.probe import Location, Where
from probe_agent.source.lines import Chain, line_map
from probe_agent.source.reasons import reason_by_look
from probe_agent.source.text import NO_TEXT, Text

_MARK: Final = re.compile(r"\\.|'''|\"\"\"|['\"#]", re.DOTALL)
_WORD: Final = re.compile(r"\w+")
_MOST_NUMBERS: Final = 20
_LONGEST_CODE: Final = 500  # characters of a line that are shown or compared


@dataclass(frozen=True, slots=True)
class Place:
    """One executable line. `moved_from`: the line asked for, if the text was found elsewhere."""

    line: int
    chains: Sequence[Chain]
    moved_from: int | None = None


def locate_in(
    root: CodeType, text: Text | None, where: Where
) -> tuple[Location, tuple[Chain, ...]]:
    """Resolve a place in a module's code that has not been executed yet. Cheap: runs on an
    importing application thread.

    Returns: the location, with the code object's own file name, and the chains; each begins with
    `root`, the module's code.
    Raises: LineNotExecutable, CodeMismatch, AmbiguousCode, Unsupported (no text to compare).
    """
    place = resolve(where, line_map((root,)), text, lambda line: reason_by_look(text, line))
    location = Location(
        file=root.co_filename,
        line=place.line,
        function=place.chains[0][-1].co_qualname,
        code=shown(text, place.line),
        moved_from=place.moved_from,
    )
    return location, tuple(place.chains)


def shown(text: Text | None, line: int) -> str:
    """Give a line as it is shown: without indentation, cut to 500 characters."""
    return NO_TEXT if text is None else text.line(line).strip()[:_LONGEST_CODE]


def resolve(
    where: Where,
    lines: Mapping[int, Sequence[Chain]],
    text: Text | None,
    reason: Callable[[int], str],
) -> Place:
    """Find the one executable line that is meant.

    Args: lines: executable lines and their chains. reason: why a line has no code, asked only when
    refusing.
    Raises: LineNotExecutable, CodeMismatch, AmbiguousCode, Unsupported (no text to compare).
    """
    if where.expect_code is None:
        line = where.line or 0
        if line not in lines:
            raise not_executable(where, line, lines, reason(line))
        return Place(line, lines[line])
    return _by_text(where, where.expect_code, lines, text, reason)


def _by_text(
    where: Where,
    expected: str,
    lines: Mapping[int, Sequence[Chain]],
    text: Text | None,
    reason: Callable[[int], str],
) -> Place:
    if text is None:
        raise Unsupported(
            _cannot(where, where.line),
            "the running code has no source text to compare with",
            "Give file and line without expect_code",
        )
    wanted = fold(expected)
    head = wanted.split(" ", 1)[0]
    likely = [line for line in sorted(lines) if head in text.line(line)]
    found = [line for line in likely if wanted and fold(text.line(line)) == wanted]
    if where.line in found:
        return Place(where.line or 0, lines[where.line or 0])
    silent = _silent_line(text, wanted, where.line, lines)
    if silent and (not found or silent == where.line):
        raise not_executable(where, silent, lines, reason(silent))
    if len(found) == 1:
        return Place(found[0], lines[found[0]], moved_from=where.line)
    raise (
        _ambiguous(where, found)
        if found and not where.line
        else _mismatch(where, found, lines, text)
    )


def _silent_line(
    text: Text, wanted: str, line: int | None, executable: Mapping[int, object]
) -> int:
    """Find a line that has the text and no code, the one asked for first; 0 if there is none."""
    if not wanted:
        return 0
    if line and line not in executable and fold(text.line(line)) == wanted:
        return line
    head = wanted.split(" ", 1)[0]
    for number, content in enumerate(text.lines, 1):
        if head in content and number not in executable and fold(content) == wanted:
            return number
    return 0


def fold(code: str) -> str:
    """Drop a trailing comment, fold white space."""
    code = code[: 4 * _LONGEST_CODE]
    return " ".join((code[: _comment_at(code)] if "#" in code else code).split())


def _comment_at(code: str) -> int:
    """Find the `#` that begins a comment; the length of the text if none does."""
    quote = ""
    for mark in _MARK.finditer(code):
        found = mark.group()
        if quote:
            quote = "" if found == quote else quote
        elif found == "#":
            return mark.start()
        elif found[0] in "'\"":
            quote = found
    return len(code)


def _cannot(where: Where, line: int | None) -> str:
    return (
        f"Cannot place a probe at {spelled(where.file)}:{line}"
        if line
        else f"Cannot place a probe in {spelled(where.file)}"
    )


def not_executable(
    where: Where, line: int, lines: Mapping[int, object], why: str
) -> LineNotExecutable:
    """Refuse a line, naming the executable ones before and after it."""
    before = max((n for n in lines if n < line), default=None)
    after = min((n for n in lines if n > line), default=None)
    near = [str(n) for n in (before, after) if n is not None]
    if len(near) == 2:
        step = f"The nearest lines that run are {near[0]} and {near[1]}"
    else:
        step = (
            f"The nearest line that runs is {near[0]}"
            if near
            else "No line of this file can carry a probe now"
        )
    return LineNotExecutable(_cannot(where, line), why, step)


def _ambiguous(where: Where, found: Sequence[int]) -> SondeError:
    return AmbiguousCode(
        f"Cannot tell which line of {spelled(where.file)} is meant",
        f"the text stands on {_numbers(found)}",
        "Add the line to file and expect_code",
    )


def _mismatch(
    where: Where, found: Sequence[int], lines: Mapping[int, object], text: Text
) -> SondeError:
    if found:
        why = f"the text is not on that line, but on {_numbers(found)}"
        return CodeMismatch(_cannot(where, where.line), why, "Give one of these lines")
    place = (
        "on that line, nor on any other line that runs" if where.line else "on any line that runs"
    )
    near = _most_similar(fold(where.expect_code or ""), lines, text)
    step = (
        f"The most similar line is {near}; look at it with find_code"
        if near
        else "Look with find_code"
    )
    return CodeMismatch(_cannot(where, where.line), f"the text is not {place}", step)


def _numbers(lines: Sequence[int]) -> str:
    head = ", ".join(map(str, lines[:_MOST_NUMBERS]))
    more = len(lines) - _MOST_NUMBERS
    return f"lines {head} and {more} more" if more > 0 else f"lines {head}"


def _most_similar(wanted: str, lines: Mapping[int, object], text: Text) -> int:
    """Find the line that shares most words with the text; 0 if none shares half."""
    words = set(_WORD.findall(wanted))
    best, best_share = 0, 0.0
    for line in sorted(lines):
        here = set(_WORD.findall(text.line(line)[:_LONGEST_CODE]))
        share = len(words & here) / max(len(words | here), 1)
        if share > best_share:
            best, best_share = line, share
    return best if best_share >= 0.5 else 0
