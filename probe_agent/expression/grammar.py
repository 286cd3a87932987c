"""The read-only language: Python's own syntax, and of it only what is listed here.

Called by the server, which refuses a bad expression at the tool call, and by the agent, which
enforces the same whatever the server says. It parses and looks; nothing is ever evaluated here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from probe_agent.errors import ExpressionRefused
from probe_agent.expression.scanner import DEEPEST, SIMPLER, refusal, refuse_unreadable, scan
from probe_agent.literal import brief
from probe_agent.syntax import parse_expression

# Each costs some 5 us to check; nothing that a person or a model writes has a tenth of it.
_MOST_NODES: Final = 1_000
_LARGEST_BITS: Final = 4_096
# What ends a line for Python's tokenizer; `splitlines` knows more.
_LINE_END: Final = re.compile(r"(?<=\n)|(?<=\r)(?!\n)")

_ALLOWED: Final[tuple[type[ast.AST], ...]] = (
    *(ast.Expression, ast.Name, ast.Load, ast.Constant, ast.Attribute, ast.Subscript, ast.Slice),
    *(ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE),
    *(ast.Is, ast.IsNot, ast.In, ast.NotIn),
    *(ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.UAdd, ast.IfExp),
    *(ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow),
    *(ast.Tuple, ast.List),
)
_CONSTANTS: Final = (str, bytes, int, float, complex, bool, type(None))

_BIT_OPERATION: Final = (
    "bit operations are not part of the language yet",
    "Capture the number itself",
)
_COMPREHENSION: Final = (
    "comprehensions are not part of the language yet",
    "Capture the collection itself, or one of its items",
)
_WAITING: Final = ("it would wait for something", "Capture the object itself")
_DISPLAY: Final = (
    "it would hash what it holds, and so run code of the application's",
    "Use a list or a tuple",
)
# What is refused by name: why, and the allowed way to say it. Everything else gets `_OTHER`.
_REFUSED: Final[dict[type[ast.AST], tuple[str, str]]] = {
    ast.Call: (
        "calls are not part of the language yet, because a call could run code of the "
        "application's",
        "Name the value itself: compare `status` or `order.total`, not what a function returns",
    ),
    ast.Lambda: ("it would define a function", "Write the expression itself"),
    ast.NamedExpr: ("it would assign to a variable", "Compare with == and write the value out"),
    ast.ListComp: _COMPREHENSION,
    ast.SetComp: _COMPREHENSION,
    ast.DictComp: _COMPREHENSION,
    ast.GeneratorExp: _COMPREHENSION,
    ast.Await: _WAITING,
    ast.Yield: _WAITING,
    ast.YieldFrom: _WAITING,
    ast.JoinedStr: (
        "formatted strings are not part of the language yet",
        "Capture the values by themselves, or use a log message with {expression}",
    ),
    ast.Dict: _DISPLAY,
    ast.Set: _DISPLAY,
    ast.Starred: ("unpacking would iterate over the value", "Capture the value itself"),
    ast.MatMult: ("matrices are not part of the language", "Capture both sides by themselves"),
    ast.BitAnd: _BIT_OPERATION,
    ast.BitOr: _BIT_OPERATION,
    ast.BitXor: _BIT_OPERATION,
    ast.Invert: _BIT_OPERATION,
    ast.LShift: _BIT_OPERATION,
    ast.RShift: _BIT_OPERATION,
}
_OTHER: Final = (
    "this part of Python is not in the read-only language",
    "Use names, attributes, items, constants, comparisons, and/or/not and arithmetic",
)


@dataclass(frozen=True, slots=True)
class Checked:
    """An expression of the language.

    `names`: free names in order of first appearance. `parts`: the longest chains of name,
    attributes and items, as written, e.g. `trade.amount`. `words`: every identifier, attribute and
    constant key in it, for redaction by name.
    """

    text: str
    names: tuple[str, ...]
    parts: tuple[str, ...]
    words: tuple[str, ...]


def check(text: str) -> Checked:
    """Check that a text is an expression of the language.

    Raises: ExpressionRefused: it is not; says what part, why, and the allowed way.
    """
    text = refuse_unreadable(text).strip()
    tree = parse(text)
    places = _Places(text)
    nodes = sorted(_expressions(tree), key=places.start)
    names = [node.id for node in nodes if isinstance(node, ast.Name)]
    chains = sorted(_chains(tree), key=places.start)
    return Checked(
        text=text,
        names=tuple(dict.fromkeys(names)),
        parts=tuple(dict.fromkeys(places.source(node) for node in chains)),
        words=tuple(dict.fromkeys(_words(tree))),
    )


def parse(text: str) -> ast.expr:
    """Parse an expression, and refuse it if any node of it is not in the language.

    Raises: ExpressionRefused.
    """
    if not text:
        raise ExpressionRefused(
            "Cannot use this expression", "it is empty", "Name a value, such as `order.total`"
        )
    scan(text, 0, "")
    tree = _parse_python(text)
    places = _Places(text)
    waiting: list[tuple[ast.AST, int, int]] = [(tree, 1, 0)]
    seen = 0
    while waiting:
        node, depth, at = waiting.pop()
        seen += 1
        if isinstance(node, ast.expr):
            at = places.start(node)
        if depth > DEEPEST:
            raise refusal(text, at, f"it is nested deeper than {DEEPEST}", SIMPLER)
        if seen > _MOST_NODES:
            raise refusal(text, at, f"it has more than {_MOST_NODES} parts", SIMPLER)
        why = _why_foreign(node)
        if why is not None:
            raise refusal(text, at, *why)
        waiting += [(child, depth + 1, at) for child in ast.iter_child_nodes(node)]
    return tree


def _parse_python(text: str) -> ast.expr:
    try:
        return parse_expression(text)
    except SyntaxError as error:
        at = _Places(text).at(error.lineno or 1, 0) + max(0, (error.offset or 1) - 1)
        why = f"Python does not read it: {error.msg}"
    except (RecursionError, MemoryError, ValueError) as error:
        if type(error) not in (RecursionError, MemoryError, ValueError):
            raise
        at, why = 0, "it is too much for Python's parser"
    raise refusal(text, at, why, "Write one expression, such as `order.total > 100`")


def _why_foreign(node: ast.AST) -> tuple[str, str] | None:
    """Say why a node is not in the language, and the allowed way; None if it is."""
    if not isinstance(node, _ALLOWED):
        return _REFUSED.get(type(node), _OTHER)
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return _why_hidden(name)
        case ast.Subscript(slice=ast.Tuple()):
            return ("a key of several parts is not looked up", "Capture the collection itself")
        case ast.Constant(value=value):
            return _why_odd_constant(value)
        case _:
            return None


def _why_hidden(name: str) -> tuple[str, str] | None:
    # The parser has made it NFKC: `__ｄict__` is `__dict__` here.
    if name.startswith("__") and name.endswith("__"):
        return (
            f"{brief(name)} leads into Python's own machinery",
            "Name one of the application's variables, attributes or items",
        )
    return None


def _why_odd_constant(value: object) -> tuple[str, str] | None:
    if type(value) not in _CONSTANTS:
        return ("`...` is not in the language", "Use None, True, False, a number or a string")
    if type(value) is int and value.bit_length() > _LARGEST_BITS:
        return (f"the number has more than {_LARGEST_BITS} bits", "Use a smaller number")
    return None


class _Places:
    """Turns the parser's lines and byte columns into positions in the text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines = _LINE_END.split(text)
        self._starts = [0, *accumulate(map(len, self._lines))]

    def at(self, line: int, column: int) -> int:
        """Position of a byte column, from 0, on a line, from 1."""
        number = min(line, len(self._lines)) - 1
        inside = self._lines[number]
        if inside.isascii():
            return self._starts[number] + column
        return self._starts[number] + len(inside.encode()[:column].decode(errors="replace"))

    def start(self, node: ast.expr) -> int:
        return self.at(node.lineno, node.col_offset)

    def source(self, node: ast.expr) -> str:
        """Text of a node as written."""
        end = self.at(node.end_lineno or node.lineno, node.end_col_offset or 0)
        return self._text[self.start(node) : end]


def _expressions(node: ast.AST) -> Iterator[ast.expr]:
    """Yield a node and those below it that are expressions. `ast.walk` imports at each call."""
    if isinstance(node, ast.expr):
        yield node
    for child in ast.iter_child_nodes(node):
        yield from _expressions(child)


def _chains(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the longest chains of a name, attributes and items. What stands in brackets belongs to
    its chain.
    """
    if isinstance(node, ast.Name) or (
        isinstance(node, ast.Attribute | ast.Subscript) and _is_chain(node)
    ):
        yield node
        return
    for child in ast.iter_child_nodes(node):
        yield from _chains(child)


def _is_chain(node: ast.expr) -> bool:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return isinstance(node, ast.Name)


def _words(node: ast.AST) -> Iterator[str]:
    """Yield identifiers, attributes and constant keys, those of a chain one after the other."""
    for child in ast.iter_child_nodes(node):
        yield from _words(child)
    match node:
        case ast.Name(id=word) | ast.Attribute(attr=word):
            yield word
        case ast.Subscript(slice=ast.Constant(value=str(key))):
            yield key
        case ast.Subscript(slice=ast.Constant(value=bytes(key))):
            yield key.decode("latin-1")
        case _:
            pass
