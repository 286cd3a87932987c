"""Calls after removal: functions that have carried a probe beside twins that never have."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, SimpleNamespace

from probing import PROBE_ID, put
from timing import Contestant, Figures, Row, compare

TEXT = """
def function(x):
    return x

class Account:
    def method(self, x):
        return x
    @property
    def property(self):
        return 1
    def __getitem__(self, key):
        return key

def call_function(account):
    for i in LOOPS:
        function(i)

def call_method(account):
    for i in LOOPS:
        account.method(i)

def call_property(account):
    for i in LOOPS:
        account.property

def call_item(account):
    for i in LOOPS:
        account[i]
"""
LOOPS = range(1000)
SHAPES: dict[str, Callable[[SimpleNamespace], FunctionType]] = {
    "function": lambda program: program.function,
    "method": lambda program: program.Account.method,
    "property": lambda program: vars(program.Account)["property"].fget,
    "item": lambda program: program.Account.__getitem__,
}


def make_program() -> SimpleNamespace:
    """Make the program anew, with code objects of its own."""
    namespace: dict[str, object] = {"__name__": "program", "LOOPS": LOOPS}
    exec(compile(TEXT, "<program>", "exec"), namespace)
    return SimpleNamespace(**namespace)


def place_and_remove(function: FunctionType) -> None:
    """Let a probe come and go."""
    code = function.__code__
    *_, (_, _, last_line) = code.co_lines()
    rewriter, _ = put(function, last_line or 0)
    function(*[None] * code.co_argcount)
    rewriter.remove(PROBE_ID)
    assert function.__code__ is code, "not the original"


def after_removal(shape: str, rounds: int) -> Figures:
    """Call in a loop of 1,000; the times are per loop."""
    never, once = make_program(), make_program()
    of_never = Contestant(getattr(never, f"call_{shape}"), (never.Account(),))
    of_once = Contestant(getattr(once, f"call_{shape}"), (once.Account(),))
    for _ in range(3):
        of_once.function(*of_once.arguments)
    place_and_remove(SHAPES[shape](once))
    contestants = {"1,000 calls, never probed": of_never, "1,000 calls, after removal": of_once}
    return compare(contestants, calls=20, rounds=3 * rounds)


ROWS: dict[str, Row] = {
    f"after removal, calls of a {shape}": lambda rounds, shape=shape: after_removal(  # type: ignore[misc]
        shape, rounds
    )
    for shape in SHAPES
}
