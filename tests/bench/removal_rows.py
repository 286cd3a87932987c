"""Calls after removal: functions that have carried a probe beside twins that never have.

Run as a program, as `agent_rows.py`: prints {row: {contestant: [ns, ratio]}} as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from types import FunctionType, SimpleNamespace

from timing import Measured, compare

from probe_agent.rewrite import Insertion, Rewriter

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
    rewriter = Rewriter(lambda codes: [function])
    code = function.__code__
    *_, (_, _, last_line) = code.co_lines()
    insertion = Insertion("p-aaaaaa", last_line or 0, None, (), int, ())
    rewriter.place((code,), insertion)
    function(*[None] * code.co_argcount)
    rewriter.remove("p-aaaaaa")
    assert function.__code__ is code


def after_removal(shape: str) -> dict[str, Measured]:
    """Call in a loop of 1,000; the times are per loop."""
    never, once = make_program(), make_program()
    account_of_never, account_of_once = never.Account(), once.Account()
    call_never, call_once = getattr(never, f"call_{shape}"), getattr(once, f"call_{shape}")
    for _ in range(3):
        call_once(account_of_once)
    place_and_remove(SHAPES[shape](once))
    for _ in range(3):
        call_once(account_of_once)
        call_never(account_of_never)
    return compare(
        {
            "1,000 calls, never probed": lambda: call_never(account_of_never),
            "1,000 calls, after removal": lambda: call_once(account_of_once),
        },
        calls=20,
        rounds=101,
    )


ROWS: dict[str, Callable[[], dict[str, Measured]]] = {
    f"calls after removal: {shape}": lambda shape=shape: after_removal(shape) for shape in SHAPES
}


def main() -> None:
    """Print the rows."""
    rows = {name: {k: (m.ns, m.ratio) for k, m in row().items()} for name, row in ROWS.items()}
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
