"""Say in words why a line has no code that a probe could stand before."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from probe_agent.source.lines import lines_of, tree
from probe_agent.source.pieces import Piece, piece_around
from probe_agent.source.text import Text

_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
_Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_BARE: Final = ("else", "try", "finally")
NO_CODE: Final = "the compiler made no code for it"
OVER: Final = (
    "it belongs to the body of a {body} that is already imported, which will not run again"
)
NOT_ALIVE: Final = "no function that is alive in this process has this line"


@dataclass(frozen=True, slots=True)
class _Place:
    """The innermost statement around a line. `body`: `function`, `class` or `module`.

    `is_compiled`: the line's text gives code.
    """

    statement: ast.stmt
    body: str
    is_first: bool
    is_compiled: bool


def reason_by_look(text: Text | None, line: int) -> str:
    """Say why from the line alone: cheap enough for the application's threads."""
    if text is None:
        return NO_CODE
    if not 0 < line <= len(text.lines):
        return f"the file has {len(text.lines)} lines"
    stripped = text.line(line).strip()
    if not stripped:
        return "the line is blank"
    if stripped.startswith("#"):
        return "the line is a comment"
    word = stripped.partition(":")[0].strip()
    return f"`{word}:` has no code of its own" if word in _BARE else NO_CODE


def reason(text: Text | None, line: int, *, bodies_are_over: bool) -> str:
    """Say why, parsing as much of the file as it takes. For the background thread.

    Args: bodies_are_over: the module has been executed; False while it is only on the import path.
    """
    looks = reason_by_look(text, line)
    if text is None or not 0 < line <= len(text.lines):
        return looks
    place = _place_in_file(text, line)
    if place is None:
        return looks
    return _reason_in_statement(place, line, looks, bodies_are_over=bodies_are_over)


def _place_in_file(text: Text, line: int) -> _Place | None:
    try:
        piece = piece_around(text.lines, line)
        if piece is not None:
            return _innermost(piece.tree(), line, is_compiled=line in _compiled(piece))
    except (SyntaxError, ValueError, RecursionError):
        pass  # without a tree the look of the line has to do
    return None


def _compiled(piece: Piece) -> frozenset[int]:
    return frozenset().union(*(lines_of(chain[-1]) for chain in tree(piece.code())))


def _innermost(module: ast.Module, line: int, *, is_compiled: bool) -> _Place | None:
    place: _Place | None = None
    pending: list[tuple[ast.AST, str]] = [(module, "module")]
    while pending:
        node, body = pending.pop()
        for statement in _statements(node):
            if _first_line(statement) <= line <= (statement.end_lineno or statement.lineno):
                is_first = getattr(node, "body", [None])[0] is statement
                place = _Place(statement, body, is_first, is_compiled)
                pending = [(statement, _body_of(statement, body))]
                break
    return place


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """Yield the statements directly inside of one, through `except` and `case` clauses."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield child
        elif isinstance(child, ast.ExceptHandler | ast.match_case):
            yield from _statements(child)


def _first_line(statement: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(d.lineno for d in decorators)])


def _body_of(statement: ast.stmt, outer: str) -> str:
    if isinstance(statement, _Function):
        return "function"
    return "class" if isinstance(statement, ast.ClassDef) else outer


def _reason_in_statement(place: _Place, line: int, looks: str, *, bodies_are_over: bool) -> str:
    statement = place.statement
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        if isinstance(statement.value.value, str):
            return "the line is part of a docstring" if place.is_first else "the line is a string"
        return NO_CODE
    if isinstance(statement, ast.Global | ast.Nonlocal):
        word = "global" if isinstance(statement, ast.Global) else "nonlocal"
        return f"`{word}` has no code of its own"
    if looks != NO_CODE:
        return looks
    if isinstance(statement, _Definition) and line > statement.lineno:
        return "the line is part of the head of a definition"
    if place.body != "function" and bodies_are_over:
        return OVER.format(body=place.body)
    if place.is_compiled and bodies_are_over:
        return NOT_ALIVE
    if line > statement.lineno:
        return f"the line continues the statement that begins on line {statement.lineno}"
    return NO_CODE
