"""What `find_code` shows: a function's text, a line with its surroundings, a file's outline."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import CodeType
from typing import Final, TypeAlias

from probe_agent.errors import LineNotExecutable
from probe_agent.literal import spelled
from probe_agent.probe import SourceMatch
from probe_agent.source.files import find_file
from probe_agent.source.lines import variables
from probe_agent.source.live import OriginalOf
from probe_agent.source.names import find_named, plain_name
from probe_agent.source.pieces import piece_around, pieces
from probe_agent.source.text import Text
from probe_agent.source.views import View, view_of

Matches: TypeAlias = tuple[tuple[SourceMatch, ...], int]

_AROUND: Final = 10  # lines before and after (tool contract)
_MOST_MATCHES: Final = 200
_LONGEST_FUNCTION: Final = 2_000  # lines
_DEF: Final = re.compile(r"\s*(?:async\s+)?def\b")
_Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def find_function(file: str, function: str, original_of: OriginalOf, started_s: float) -> Matches:
    """Show a function's whole text in `after` from its `def` line, its decorators in `before`.

    Raises: UnknownFunction, AmbiguousFunction, UnknownFile, AmbiguousFile.
    """
    named = find_named(find_file(file) if file else None, function, original_of, started_s)
    first, text = named.code.co_firstlineno, named.view.text
    name, names = named.code.co_qualname, variables(named.code)
    if text is None:
        return (named.view.match(first, name, names),), 0
    line = first if named.code.co_name == "<lambda>" else _def_line(text, first)
    last = min(_last_line(text, line, named.code), line + _LONGEST_FUNCTION)
    match = replace(
        named.view.match(line, name, names),
        before=text.lines[first - 1 : line - 1],
        after=text.lines[line - 1 : last],
    )
    return (match,), 0


def find_line(file: str, line: int, original_of: OriginalOf, started_s: float) -> Matches:
    """Show a line with ten before and after, and the variables that a probe there can read.

    Raises: LineNotExecutable: the file has no such line. UnknownFile, AmbiguousFile.
    """
    view = view_of(find_file(file), original_of, started_s)
    code = view.function_at(line)
    name, names = (code.co_qualname, variables(code)) if code else ("<module>", ())
    match = view.match(line, name, names)
    if view.text is None:
        return (match,), 0
    lines = view.text.lines
    if not 0 < line <= len(lines):
        raise LineNotExecutable(
            f"Cannot show {spelled(file)}:{line}",
            f"the file has {len(lines)} lines",
            "Give one of them",
        )
    before, after = lines[max(line - 1 - _AROUND, 0) : line - 1], lines[line : line + _AROUND]
    return (replace(match, before=before, after=after),), 0


def outline(file: str, original_of: OriginalOf, started_s: float) -> Matches:
    """List a file's classes and functions in order of lines.

    Raises: UnknownFile, AmbiguousFile.
    """
    view = view_of(find_file(file), original_of, started_s)
    found = list(_from_code(view) if view.text is None else _from_text(view, view.text))
    return tuple(found[:_MOST_MATCHES]), max(len(found) - _MOST_MATCHES, 0)


def _from_code(view: View) -> Iterator[SourceMatch]:
    """Outline what lives, where the text cannot be believed."""
    for code in sorted(view.functions(), key=lambda code: code.co_firstlineno):
        if "<" not in code.co_name:
            yield view.match(code.co_firstlineno, plain_name(code))


def _from_text(view: View, text: Text) -> Iterator[SourceMatch]:
    for piece in pieces(text.lines):
        for name, node in _definitions(piece.tree(), ""):
            yield view.match(node.lineno, name)


def _definitions(node: ast.AST, outer: str) -> Iterator[tuple[str, _Definition]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _Definition):
            yield outer + child.name, child
            yield from _definitions(child, f"{outer}{child.name}.")
        elif not isinstance(child, ast.expr):
            yield from _definitions(child, outer)


def _def_line(text: Text, first: int) -> int:
    """Find the `def` line of a function whose code begins at its first decorator."""
    for number in range(first, min(first + _LONGEST_FUNCTION, len(text.lines)) + 1):
        if _DEF.match(text.line(number)):
            return number
    return first


def _last_line(text: Text, line: int, code: CodeType) -> int:
    """Find where a function's text ends; where its code ends if the text does not parse."""
    try:
        piece = piece_around(text.lines, line)
        nodes: Sequence[tuple[str, _Definition]] = (
            list(_definitions(piece.tree(), "")) if piece else []
        )
    except (SyntaxError, ValueError, RecursionError):
        nodes = []
    ends = [node.end_lineno for _, node in nodes if node.lineno == line and node.end_lineno]
    return ends[0] if ends else max((n for _, _, n in code.co_lines() if n), default=line)
