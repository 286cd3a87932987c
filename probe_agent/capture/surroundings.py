"""Where a hit happened: call stack, thread, task. Cheap, raw, and running no code of the
application's.
"""

from __future__ import annotations

import _thread
import asyncio
import threading
from asyncio import Task, current_task
from types import FrameType
from typing import Final

from probe_agent.builtin_names import BUILTINS
from probe_agent.reading import EvaluationError, read_attribute
from probe_agent.reading.attributes import get_attribute
from probe_agent.reading.kinds import find_in_class

__builtins__ = BUILTINS  # the application may replace its own

# Taken at import: gevent and eventlet replace the names in their modules later.
_ident: Final = _thread.get_ident
_NAME_LENGTH: Final = 100
_running_loop: Final = asyncio._get_running_loop  # noqa: SLF001 - the public one raises
_OBJECT_HASH: Final = object.__hash__

# The thread classes of the standard library keep their name in `_name`, with no say in reading it.
_THREAD_IDS: Final = frozenset(
    map(id, (threading.Thread, threading.Timer, type(threading.main_thread())))
)


def stack_of(frame: FrameType | None, count: int) -> tuple[tuple[str, int, str], ...]:
    """List at most `count` frames as (file, line, qualified name), from this one outwards."""
    frames = []
    while frame is not None and count > 0:
        code = frame.f_code
        frames.append((code.co_filename, frame.f_lineno or 0, code.co_qualname))
        frame = frame.f_back
        count -= 1
    return tuple(frames)


def thread_name() -> str:
    """Name the running thread.

    `threading.current_thread()` would register a thread that Python did not start, and ask a
    subclass for its name.
    """
    ident = _ident()
    # The only place that knows; keyed by exact ints.
    threads = threading._active  # type: ignore[attr-defined] # noqa: SLF001
    name = _stored_name(threads.get(ident)) if type(threads) is dict else None
    return name[:_NAME_LENGTH] if type(name) is str else f"thread-{ident}"


def task_name() -> str | None:
    """Name the running asyncio task; None if there is none, or it is of a class of its own."""
    loop = _running_loop()
    # Up to 3.13 the task is looked up in a dict by loop.
    if loop is None or find_in_class(type(loop), "__hash__") is not _OBJECT_HASH:
        return None
    task = current_task(loop)
    if type(task) is not Task:
        return None
    return task.get_name()[:_NAME_LENGTH]


def _stored_name(thread: object) -> object:
    if id(type(thread)) in _THREAD_IDS:
        return get_attribute(thread, "_name")
    try:
        return read_attribute(thread, "_name")
    except EvaluationError:
        return None
