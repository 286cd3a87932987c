"""Turn a checked expression into a function that holds only guarded operations.

The function's text is written here, from our own pieces: variables become `v0`, `v1`, constants
`k0`, attributes `a0`; no text of the caller's is in it. Names, constants and comparisons become the
bare operation behind an exact-type test: `v0 > k0 if type(v0) is int or ... else greater(v0, k0)`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any, ClassVar, Final, Protocol

from probe_agent.expression.grammar import Checked, parse
from probe_agent.expression.operations import (
    is_in,
    is_not_in,
    make_arithmetic,
    make_comparison,
    negative,
    positive,
    unbound,
)
from probe_agent.plain import UNBOUND
from probe_agent.reading import make_attribute, make_item, read_item, read_slice, testable

_COMPARISONS: Final[dict[type[ast.cmpop], tuple[str, str]]] = {
    ast.Eq: ("==", "equal"),
    ast.NotEq: ("!=", "unequal"),
    ast.Lt: ("<", "less"),
    ast.LtE: ("<=", "at_most"),
    ast.Gt: (">", "greater"),
    ast.GtE: (">=", "at_least"),
    ast.Is: ("is", ""),
    ast.IsNot: ("is not", ""),
    ast.In: ("in", "is_in"),
    ast.NotIn: ("not in", "is_not_in"),
}
_ARITHMETIC: Final[dict[type[ast.operator], tuple[str, str]]] = {
    ast.Add: ("+", "add"),
    ast.Sub: ("-", "subtract"),
    ast.Mult: ("*", "multiply"),
    ast.Div: ("/", "divide"),
    ast.FloorDiv: ("//", "floor_divide"),
    ast.Mod: ("%", "modulo"),
    ast.Pow: ("**", "power"),
}
# What every generated function may call; the rest is added as it is needed.
_ALWAYS: Final[dict[str, Any]] = {
    "type": type,
    "int": int,
    "float": float,
    "str": str,
    "UNBOUND": UNBOUND,
    "unbound": unbound,
    "is_in": is_in,
    "is_not_in": is_not_in,
    "negative": negative,
    "positive": positive,
    "read_item": read_item,
    "read_slice": read_slice,
    "testable": testable,
}
# An int below this is compared with any other in one step.
_SMALL: Final = (1 << 30) - 1
# Which exact types of the other side a constant's comparison is bare for.
_BARE_TESTS: Final = {
    int: "type({0}) is int or type({1}) is float",
    float: "type({0}) is float or type({1}) is int",
    str: "type({0}) is str",
}


@dataclass(frozen=True, slots=True)
class _Piece:
    """Generated text of one node.

    `text`: checks that variables are bound. `bare`: the same without that check, to stand behind a
    test of its type; only variables and constants have it. `constant`: the exact type of one.
    `is_bool`: the value is always an exact bool.
    """

    text: str
    bare: str | None = None
    constant: type | None = None
    is_bool: bool = False


def compile_expression(checked: Checked) -> Callable[..., object]:
    """Make the function that computes the expression's value.

    Returns: a function of the values of `checked.names`, by position; UNBOUND is allowed. It
        returns a live value, and raises EvaluationError only. Any thread may call it.
    Raises: ExpressionRefused: the text is not in the language; `checked` is not taken on trust.
    """
    writer = _Writer(checked)
    return writer.function(writer.whole().text)


def compile_condition(checked: Checked) -> Callable[..., bool]:
    """Make the function that computes whether the expression is true: exactly True or False.

    Raises: ExpressionRefused: the text is not in the language; `checked` is not taken on trust.
    """
    writer = _Writer(checked)
    piece = writer.whole()
    return writer.function(piece.text if piece.is_bool else f"not not {_testable(piece)}")


def compile_guard(checked: Checked) -> Callable[..., bool]:
    """Make the function that decides whether a hit counts, and counts it if it does not.

    Returns: a function of a `Guarded` and the values of `checked.names`, by position; UNBOUND is
        allowed. Gives exactly True or False; raises nothing of ours.
    Raises: ExpressionRefused: the text is not in the language; `checked` is not taken on trust.
    """
    writer = _Writer(checked)
    piece = writer.whole()
    return writer.guard(piece.text if piece.is_bool else _testable(piece))


class Guarded(Protocol):
    """What a guard tells: the counts of one probe.

    `false`: how often the condition was false; from `next_look` on, `look` is called with the
    values. `failed` tells whether an exception was ours, and has counted it then.
    """

    false: int
    next_look: int

    def look(self, values: tuple[object, ...]) -> None:
        """Take note of values with which the condition was false."""

    def failed(self, error: Exception, values: tuple[object, ...]) -> bool:
        """Count an exception of ours. Returns: False if it is not ours."""


# One class to catch: a tuple of them is not looked through where the stack is full (3.14).
_GUARD: Final = """\
def guard(live, {parameters}):
 try:
  if {condition}:
   return True
  live.false += 1
  if live.false >= live.next_look:
   live.look(({parameters}))
 except Exception as error:
  if not live.failed(error, ({parameters})):
   raise
 return False
"""


class _Writer:
    """Writes one function: its text, and the globals that it needs."""

    def __init__(self, checked: Checked) -> None:
        self._tree = parse(checked.text)
        self._parameters = {name: f"v{i}" for i, name in enumerate(checked.names)}
        self._globals: dict[str, Any] = {"__builtins__": {}, **_ALWAYS}
        self._attributes: dict[str, int] = {}
        self._constants: dict[tuple[type, str], int] = {}
        self._temporaries = 0

    def whole(self) -> _Piece:
        """Write the whole expression."""
        return self._write(self._tree)

    def function(self, body: str) -> Callable[..., Any]:
        """Compile what was written; nothing of it runs yet."""
        return self._compiled(f"def expression({self._listed()}):\n return {body}\n")

    def guard(self, condition: str) -> Callable[..., bool]:
        """Compile a condition that was written, with its counts."""
        self._keep("Exception", Exception)
        return self._compiled(_GUARD.format(parameters=self._listed(), condition=condition))

    def _listed(self) -> str:
        """List the parameters, each with a comma behind it."""
        return "".join(f"{name}, " for name in self._parameters.values())

    def _compiled(self, text: str) -> Callable[..., Any]:
        module = compile(text, "<sonde expression>", "exec", dont_inherit=True)
        code = next(c for c in module.co_consts if type(c) is CodeType)
        return FunctionType(code, self._globals)

    def _write(self, node: ast.expr) -> _Piece:
        return self._WRITERS[type(node)](self, node)

    def _name(self, node: ast.Name) -> _Piece:
        variable = self._parameters[node.id]
        name = self._keep(f"n{variable}", node.id)
        return _Piece(f"({variable} if {variable} is not UNBOUND else unbound({name}))", variable)

    def _constant(self, node: ast.Constant) -> _Piece:
        value = node.value
        # Others as globals: `v0 is 1` would make Python warn.
        is_literal = value is None or value is True or value is False
        # As in Python, equal constants are one object.
        number = self._constants.setdefault((type(value), repr(value)), len(self._constants))
        text = repr(value) if is_literal else self._keep(f"k{number}", value)
        return _Piece(text, text, type(value), is_bool=type(value) is bool)

    def _attribute(self, node: ast.Attribute) -> _Piece:
        number = self._attributes.setdefault(node.attr, len(self._attributes))
        read = self._keep_made(f"a{number}", lambda: make_attribute(node.attr))
        return _Piece(f"{read}({self._write(node.value).text})")

    def _subscript(self, node: ast.Subscript) -> _Piece:
        of = self._write(node.value).text
        if isinstance(node.slice, ast.Constant):
            key = node.slice.value
            read = self._keep(f"i{len(self._globals)}", make_item(key))
            return _Piece(f"{read}({of})")
        if not isinstance(node.slice, ast.Slice):
            return _Piece(f"read_item({of}, {self._write(node.slice).text})")
        bounds = [
            "None" if bound is None else self._write(bound).text
            for bound in (node.slice.lower, node.slice.upper, node.slice.step)
        ]
        return _Piece(f"read_slice({of}, {', '.join(bounds)})")

    def _unary(self, node: ast.UnaryOp) -> _Piece:
        operand = node.operand
        match node.op:
            case ast.Not():
                return _Piece(f"(not {_testable(self._write(operand))})", is_bool=True)
            case ast.USub():
                if isinstance(operand, ast.Constant) and isinstance(operand.value, int | float):
                    return self._constant(ast.Constant(-operand.value))
                return _Piece(f"negative({self._write(operand).text})")
            case _:
                return _Piece(f"positive({self._write(operand).text})")

    def _arithmetic(self, node: ast.BinOp) -> _Piece:
        symbol, word = _ARITHMETIC[type(node.op)]
        compute = self._keep_made(word, lambda: make_arithmetic(symbol))
        return _Piece(f"{compute}({self._write(node.left).text}, {self._write(node.right).text})")

    def _choice(self, node: ast.IfExp) -> _Piece:
        test, yes, no = (self._write(n) for n in (node.test, node.body, node.orelse))
        text = f"({yes.text} if {_testable(test)} else {no.text})"
        return _Piece(text, is_bool=yes.is_bool and no.is_bool)

    def _display(self, node: ast.Tuple | ast.List) -> _Piece:
        inside = "".join(f"{self._write(element).text}, " for element in node.elts)
        return _Piece(f"({inside})" if isinstance(node, ast.Tuple) else f"[{inside}]")

    def _boolean(self, node: ast.BoolOp) -> _Piece:
        """Write `and` and `or`, which give one of their operands."""
        pieces = [self._write(value) for value in node.values]
        word = " and " if isinstance(node.op, ast.And) else " or "
        # Once it is known to be harmless, Python's own test of an operand is the fastest.
        texts = [*map(_testable, pieces[:-1]), pieces[-1].text]
        return _Piece(f"({word.join(texts)})", is_bool=all(piece.is_bool for piece in pieces))

    def _comparisons(self, node: ast.Compare) -> _Piece:
        """Write a chain of comparisons; what stands in the middle is computed once."""
        left = self._write(node.left)
        written = []
        for operation, operand in zip(node.ops, node.comparators, strict=True):
            right = self._write(operand)
            kept = right
            if right.bare is None and operand is not node.comparators[-1]:
                temporary = self._temporary()
                right = _Piece(f"({temporary} := {right.text})")
                kept = _Piece(temporary, temporary)
            written.append(self._comparison(left, type(operation), right))
            left = kept
        return _Piece(f"({' and '.join(written)})", is_bool=True)

    def _comparison(self, left: _Piece, operation: type[ast.cmpop], right: _Piece) -> str:
        symbol, word = _COMPARISONS[operation]
        if operation is ast.Is or operation is ast.IsNot:
            return f"({left.text} {symbol} {right.text})"
        if operation is ast.In or operation is ast.NotIn:
            return f"{word}({left.text}, {right.text})"
        slow = self._keep_made(word, lambda: make_comparison(symbol))
        if right.constant in _BARE_TESTS:
            return self._with_constant(left, symbol, right, slow, right.constant)
        if left.constant in _BARE_TESTS:
            return self._with_constant(left, symbol, right, slow, left.constant)
        if left.constant is not None or right.constant is not None:
            return f"{slow}({left.text}, {right.text})"
        (first, one), (second, other) = self._first_use(left), self._first_use(right)
        # Both are computed, in order, before anything is compared.
        test = f"type({first}) is type({second}) is int and {-_SMALL} < {one} < {_SMALL}"
        texts = (left.text if left.bare else one, right.text if right.bare else other)
        return f"({one} {symbol} {other} if {test} else {slow}({', '.join(texts)}))"

    def _with_constant(
        self, left: _Piece, symbol: str, right: _Piece, slow: str, constant: type
    ) -> str:
        """Write a comparison with a constant: bare behind a test of the other side's type."""
        other = left if right.constant is constant else right
        first, name = self._first_use(other)
        test = _BARE_TESTS[constant].format(first, name)
        sides = [name if piece is other else piece.text for piece in (left, right)]
        guarded = [
            (other.text if other.bare else name) if piece is other else piece.text
            for piece in (left, right)
        ]
        return f"({f' {symbol} '.join(sides)} if {test} else {slow}({', '.join(guarded)}))"

    def _first_use(self, piece: _Piece) -> tuple[str, str]:
        """Give the text that computes a piece, and the name by which to use it from then on."""
        if piece.bare is not None:
            return piece.bare, piece.bare
        temporary = self._temporary()
        return f"{temporary} := {piece.text}", temporary

    def _temporary(self) -> str:
        self._temporaries += 1
        return f"t{self._temporaries}"

    def _keep(self, name: str, value: object) -> str:
        self._globals[name] = value
        return name

    def _keep_made(self, name: str, make: Callable[[], object]) -> str:
        if name not in self._globals:
            self._globals[name] = make()
        return name

    _WRITERS: ClassVar[dict[type[ast.expr], Callable[[_Writer, Any], _Piece]]] = {
        ast.Name: _name,
        ast.Constant: _constant,
        ast.Attribute: _attribute,
        ast.Subscript: _subscript,
        ast.UnaryOp: _unary,
        ast.BinOp: _arithmetic,
        ast.IfExp: _choice,
        ast.Tuple: _display,
        ast.List: _display,
        ast.BoolOp: _boolean,
        ast.Compare: _comparisons,
    }


def _testable(piece: _Piece) -> str:
    return piece.text if piece.is_bool else f"testable({piece.text})"
