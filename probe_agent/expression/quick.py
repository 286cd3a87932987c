"""Find out whether a condition is one that the inserted code can decide by itself (see `quick`)."""

from __future__ import annotations

import ast
from itertools import pairwise
from typing import Final

from probe_agent.expression.grammar import Checked, parse
from probe_agent.quick import (
    Compared,
    ComparedPair,
    Flag,
    Joined,
    Negated,
    QuickTest,
    Same,
)

# Each costs about 25 ns where it is decided, and some 30 bytes of inserted code.
_MOST_TESTS: Final = 8
_MOST_ITEMS: Final = 16

_SYMBOLS: Final[dict[type[ast.cmpop], str]] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
_MIRRORED: Final = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_NUMBERS: Final = (int, float)
# Against a constant of which exact type a variable of which exact types is compared.
_TYPES: Final[dict[type, tuple[type, ...]]] = {
    int: (int, float),
    float: (float, int),
    str: (str,),
    bytes: (bytes,),
}


def quick_test(checked: Checked) -> QuickTest | None:
    """Translate a condition; None if any part of it is more than a quick test can decide."""
    test = _test(parse(checked.text))
    return test if test is not None and _count(test) <= _MOST_TESTS else None


def _test(node: ast.expr) -> QuickTest | None:
    match node:
        case ast.Name():
            return Flag(node.id)
        case ast.UnaryOp(op=ast.Not()):
            inner = _test(node.operand)
            return None if inner is None else Negated(inner)
        case ast.BoolOp():
            return _joined([_test(value) for value in node.values], isinstance(node.op, ast.And))
        case ast.Compare():
            sides = pairwise((node.left, *node.comparators))
            steps = zip(sides, node.ops, strict=True)
            return _joined([_step(left, op, right) for (left, right), op in steps], is_and=True)
        case _:
            return None


def _joined(tests: list[QuickTest | None], is_and: bool) -> QuickTest | None:  # noqa: FBT001
    known = [test for test in tests if test is not None]
    if len(known) < len(tests):
        return None
    return known[0] if len(known) == 1 else Joined(tuple(known), is_and)


def _step(left: ast.expr, op: ast.cmpop, right: ast.expr) -> QuickTest | None:
    """Translate one comparison, which may stand in a chain of them."""
    if isinstance(op, ast.Is | ast.IsNot):
        same = _same(left, right) or _same(right, left)
        return Negated(same) if same is not None and isinstance(op, ast.IsNot) else same
    if isinstance(op, ast.In | ast.NotIn):
        return _member(left, "in" if isinstance(op, ast.In) else "not in", right)
    symbol = _SYMBOLS[type(op)]
    if isinstance(left, ast.Name) and isinstance(right, ast.Name):
        return ComparedPair(left.id, symbol, right.id, _NUMBERS)
    return _compared(left, symbol, right) or _compared(right, _MIRRORED[symbol], left)


def _same(variable: ast.expr, other: ast.expr) -> Same | None:
    match variable, other:
        case ast.Name(id=name), ast.Constant(value=None | True | False as constant):
            return Same(name, constant)
        case _:
            return None


def _compared(variable: ast.expr, symbol: str, other: ast.expr) -> Compared | None:
    found = _constant(other)
    if not isinstance(variable, ast.Name) or found is None:
        return None
    return Compared(variable.id, symbol, found, _TYPES[type(found)])


def _member(variable: ast.expr, symbol: str, others: ast.expr) -> Compared | None:
    """Translate `variable in (1, 2)`, of constants that are all numbers, all texts or all bytes."""
    if not isinstance(variable, ast.Name) or not isinstance(others, ast.Tuple | ast.List):
        return None
    found = [_constant(element) for element in others.elts]
    items = tuple(item for item in found if item is not None)
    kinds = {_TYPES[type(item)][0] for item in items}
    is_alike = len(kinds) == 1 or kinds == set(_NUMBERS)
    if len(items) < len(found) or len(items) > _MOST_ITEMS or not is_alike:
        return None
    return Compared(variable.id, symbol, items, _TYPES[type(items[0])])


def _constant(node: ast.expr) -> int | float | str | bytes | None:
    """Read a constant of a type that is compared here; None: it is none."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _constant(node.operand)
        return -inner if isinstance(inner, int | float) else None
    if isinstance(node, ast.Constant) and type(node.value) in _TYPES:
        value = node.value
        assert isinstance(value, int | float | str | bytes)
        return value
    return None


def _count(test: QuickTest) -> int:
    match test:
        case Joined():
            return sum(_count(part) for part in test.tests)
        case Negated():
            return _count(test.test)
        case _:
            return 1
