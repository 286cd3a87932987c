from __future__ import annotations

import ast
import sys
import threading

import pytest

from probe_agent import syntax


class Ending:
    """Garbage whose finaliser gives the interpreter away."""

    def __init__(self, pause: threading.Event) -> None:
        self.itself = self
        self._pause = pause

    def __del__(self) -> None:
        self._pause.wait(0.0005)


def test_our_parsing_never_breaks_a_parse_of_the_application():
    """Red on 3.11 with a bare `ast.parse` in place of `parse_expression`: nearly every round."""
    text = "\n".join(
        f"def f{i}(a, b):\n    return [a + {i} for a in b if a > b]" for i in range(60)
    )
    pause, done = threading.Event(), threading.Event()

    def agent() -> None:
        while not done.is_set():
            syntax.parse_expression("a.b > 1 and c[0] == 'x'")

    thread = threading.Thread(target=agent)
    thread.start()
    try:
        for _ in range(12):
            for _ in range(10):
                Ending(pause)
            ast.parse(text)
    finally:
        done.set()
        thread.join()


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="3.12+ collects between bytecodes only")
def test_parsing_leaves_the_collector_as_it_was():
    import gc

    before = (gc.isenabled(), list(gc.callbacks))
    assert isinstance(syntax.parse_module("x = 1"), ast.Module)
    with pytest.raises(SyntaxError):
        syntax.parse_module("x =")
    assert (gc.isenabled(), list(gc.callbacks)) == before
