"""What else could stop at a line: a tracer, and a monitor, at their best.

Both look at one code object and one line, and evaluate a condition that was compiled before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import CodeType, FrameType
from typing import Any, TypeAlias

HAS_MONITORING = sys.version_info >= (3, 12)
TOOL_ID = 3

# Makes the state of the interpreter in which a line of a code object is looked at.
Rival: TypeAlias = Callable[[], AbstractContextManager[None]]


def settrace(code: CodeType, line: int, condition: str) -> Rival:
    """Look at the line from a trace function; other functions are not traced line by line."""
    test = compile(condition, "<condition>", "eval")

    def on_call(frame: FrameType, event: str, argument: object) -> Any:
        return on_line if frame.f_code is code else None

    def on_line(frame: FrameType, event: str, argument: object) -> Any:
        if frame.f_lineno == line and event == "line":
            decide(test, frame)
        return on_line

    @contextmanager
    def tracing() -> Iterator[None]:
        sys.settrace(on_call)
        yield
        sys.settrace(None)

    return tracing


def monitoring(code: CodeType, line: int, condition: str) -> Rival:
    """Look at the line from a callback for LINE events on the code object, all other lines off."""
    test = compile(condition, "<condition>", "eval")
    monitor: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]

    def on_line(_: CodeType, number: int) -> object:
        if number != line:
            return monitor.DISABLE
        decide(test, sys._getframe(1))
        return None

    @contextmanager
    def watching() -> Iterator[None]:
        monitor.use_tool_id(TOOL_ID, "bench")
        monitor.register_callback(TOOL_ID, monitor.events.LINE, on_line)
        monitor.set_local_events(TOOL_ID, code, monitor.events.LINE)
        yield
        monitor.set_local_events(TOOL_ID, code, 0)
        monitor.register_callback(TOOL_ID, monitor.events.LINE, None)
        monitor.free_tool_id(TOOL_ID)

    return watching


def decide(test: CodeType, frame: FrameType) -> None:
    if eval(test, frame.f_globals, frame.f_locals):
        raise AssertionError("the condition was true")


RIVALS: dict[str, Callable[[CodeType, int, str], Rival]] = {"sys.settrace": settrace} | (
    {"sys.monitoring": monitoring} if HAS_MONITORING else {}
)
