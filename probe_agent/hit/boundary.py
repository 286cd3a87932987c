"""Where exceptions of ours end: what is told apart here never enters the application."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from probe_agent.builtin_names import BUILTINS
from probe_agent.expression import EvaluationError

__builtins__ = BUILTINS  # the application may replace its own

# What our code can raise by mistake; anything else was raised by a signal handler or from outside.
# By id: a metaclass of the application's may say what its classes are equal to. What comes here was
# caught as Exception: where the stack is full a tuple of classes is not looked through (3.14).
_OUR_TYPES: Final = (
    *(AttributeError, IndexError, KeyError, TypeError, ValueError, RuntimeError, MemoryError),
    *(OverflowError, UnicodeDecodeError, UnicodeEncodeError, ZeroDivisionError, NameError),
    *(UnboundLocalError, AssertionError, SystemError, BytesWarning),
)
_OUR_TYPE_IDS: Final = frozenset(map(id, _OUR_TYPES))
_OUR_FOLDER: Final = str(Path(__file__).parent.parent)


def is_ours(error: BaseException) -> bool:
    """Tell a failure of our code from an exception that the application's signal handler raised
    while our code ran, or that was sent to the thread from outside.
    """
    if isinstance(error, EvaluationError):
        return True
    if id(type(error)) not in _OUR_TYPE_IDS:
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    file = trace.tb_frame.f_code.co_filename
    return file.startswith((_OUR_FOLDER, "<sonde"))
