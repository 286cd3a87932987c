"""Parse Python text into a syntax tree without disturbing the application's own parsing.

CPython 3.11 counts the depth of a tree under construction in a variable of the whole interpreter
(`state->recursion_depth`, Python/Python-ast.c). If a thread is switched out in the middle, which
only a finaliser that the garbage collector runs there can cause, a second `ast.parse` in another
thread makes the first one fail with `SystemError: AST constructor recursion depth mismatch`: in the
application, because of us. So on 3.11 we parse only while nobody collects, and let no collection
begin meanwhile. From 3.12 on, the collector runs between bytecodes only, and nothing can happen.
"""

from __future__ import annotations

import ast
import gc
import sys
import time
from collections.abc import Callable
from typing import Final, TypeVar

from probe_agent.errors import Unsupported

_Tree = TypeVar("_Tree", bound=ast.AST)

_IS_SHARED: Final = sys.version_info < (3, 12)
# A collection takes milliseconds; one whose finalisers take longer is waited for, not for ever.
_PATIENCE_S: Final = 1.0
_PAUSE_S: Final = 0.001


def parse_module(text: str) -> ast.Module:
    """Parse a module. Not for application threads: it may wait.

    Raises: what `ast.parse` raises; Unsupported: a garbage collection did not end within a second.
    """
    return _while_nobody_collects(lambda: ast.parse(text)) if _IS_SHARED else ast.parse(text)


def parse_expression(text: str) -> ast.expr:
    """Parse one expression; otherwise as `parse_module`."""
    if _IS_SHARED:
        return _while_nobody_collects(lambda: ast.parse(text, mode="eval")).body
    return ast.parse(text, mode="eval").body


def _while_nobody_collects(parse: Callable[[], _Tree]) -> _Tree:
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            if _nobody_collects():
                return parse()
        finally:
            if was_enabled:
                gc.enable()
        time.sleep(_PAUSE_S)
    raise Unsupported(
        "Cannot parse Python text now",
        "the process has been collecting garbage for a second, and parsing could disturb it",
        "Try again",
    )


def _nobody_collects() -> bool:
    """Try to collect the youngest objects: in vain while another thread does (gcmodule.c)."""
    phases: list[str] = []

    def note(phase: str, _: object) -> None:
        phases.append(phase)

    gc.callbacks.append(note)
    try:
        gc.collect(0)
    finally:
        gc.callbacks.remove(note)
    return bool(phases)
