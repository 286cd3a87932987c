"""Parse a text in pieces that hold the interpreter briefly: one function, or one top-level
statement group, at a time.

`compile` and `ast.parse` keep the GIL, 4-6 us per line each. A file is cut where a line at the left
margin begins a `def` or a
`class`; a cut in the wrong place (inside of a string) is a SyntaxError and is mended by taking in
the next piece.
"""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Final

from probe_agent.syntax import parse_module

_TOP: Final = re.compile(r"(?:def|class|async\s+def)\b|@")
_DEF: Final = re.compile(r"\s*(?:(?:async\s+)?def\b|@)")
_INDENT: Final = re.compile(r"[ \t\f]*")
# A backslash that begins no escape makes the compiler warn, and a warning is the application's to
# see, not ours to cause.
_ODD_ESCAPE: Final = re.compile(r"\\([\\'\"\nabfnrtvxuU0-7]|N\{)?")
_LINES_PER_SLICE: Final = 2_000

NESTED: Final = "<locals>"


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a file that parses by itself. `first`, `last`: 1-based lines. `source`: padded, so
    that lines keep their numbers.
    """

    first: int
    last: int
    source: str

    def tree(self) -> ast.Module:
        """Parse it. Raises: SyntaxError."""
        return parse_module(self.source)

    def code(self, flags: int = 0, imported: Collection[str] = ()) -> CodeType:
        """Compile it, as if the text before it had imported some names. Raises: SyntaxError,
        ValueError.
        """
        has_room = bool(imported) and self.source.startswith("\n")
        head = f"import {', '.join(imported)}" if has_room else ""
        code = compile(head + self.source, "<sonde>", "exec", flags, dont_inherit=True)
        assert isinstance(code, CodeType)
        return code


def without_odd_escapes(source: str) -> str:
    """Replace each backslash that the compiler would warn about by `_`; strings change, lines and
    names do not.
    """
    return _ODD_ESCAPE.sub(lambda m: m.group() if m.group(1) else "_", source)


def pieces(lines: Sequence[str]) -> Iterator[Piece]:
    """Cut a whole file; gives the interpreter back between pieces.

    Raises: SyntaxError: the rest of the text cannot be parsed.
    """
    cuts = [*_top_cuts(lines), len(lines)]
    start, index = 0, 0
    while start < len(lines):
        while index < len(cuts) and cuts[index] <= start:
            index += 1
        piece = _shortest(lines, start, cuts[index:], ())
        yield piece
        time.sleep(0)
        start = piece.last


def piece_around(lines: Sequence[str], line: int) -> Piece | None:
    """Find the piece that holds a line. Raises: SyntaxError."""
    return next((piece for piece in pieces(lines) if piece.first <= line <= piece.last), None)


def _top_cuts(lines: Sequence[str]) -> Iterator[int]:
    for number, line in enumerate(lines):
        if _TOP.match(line):
            yield number
        if number % _LINES_PER_SLICE == 0:
            time.sleep(0)


def function_piece(
    lines: Sequence[str], first: int, qualname: str, longest_lines: int
) -> Piece | None:
    """Cut out the function that begins (with its decorators) at line `first`, inside of bare copies
    of its classes.

    Returns: None for a lambda, a function inside of a function, one longer than `longest_lines`, or
    what does not parse.
    """
    *outer, _ = qualname.split(".")
    if NESTED in outer or not 0 < first <= len(lines) or not _DEF.match(lines[first - 1]):
        return None
    indent = _indent(lines[first - 1])
    if len(indent) < len(outer) or first <= len(outer):
        return None
    heads = [f"{indent[:depth]}class {name}:" for depth, name in enumerate(outer)]
    if indent and not outer:
        heads = ["if x:"]
    cuts = list(_ends(lines, first, len(indent), longest_lines))
    try:
        return _shortest(lines, first - 1, cuts, heads)
    except (SyntaxError, ValueError):
        return None


def _indent(line: str) -> str:
    found = _INDENT.match(line)
    return found.group() if found else ""


def _ends(lines: Sequence[str], first: int, indent: int, longest_lines: int) -> Iterator[int]:
    """Yield the indices at which the block that begins at line `first` may be over."""
    limit = min(len(lines), first + longest_lines)
    for index in range(first, limit):
        line = lines[index]
        stripped = line.strip()
        if stripped and stripped[0] != "#" and len(_indent(line)) <= indent:
            yield index
    if limit == len(lines):
        yield limit


def _shortest(lines: Sequence[str], start: int, cuts: Sequence[int], heads: Sequence[str]) -> Piece:
    """Take lines from index `start` to the first cut that makes a complete text.

    After a few failures the steps double, so that a long string full of `def` costs no square of
    its length.
    Raises: SyntaxError: not even the last cut does.
    """
    index, step = 0, 1
    while index < len(cuts):
        piece = _piece(lines, start, cuts[index], heads)
        try:
            piece.tree()
        except SyntaxError:
            if index == len(cuts) - 1:
                raise
            index = min(index + step, len(cuts) - 1)
            step = step * 2 if index > 3 else 1
            time.sleep(0)
        else:
            return piece
    raise SyntaxError("no end found")


def _piece(lines: Sequence[str], start: int, end: int, heads: Sequence[str]) -> Piece:
    padding = "\n" * (start - len(heads))
    body = without_odd_escapes("\n".join(lines[start:end]))
    return Piece(start + 1, end, padding + "".join(f"{h}\n" for h in heads) + body + "\n")
