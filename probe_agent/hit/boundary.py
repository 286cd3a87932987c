"""Where exceptions of ours end: what is told apart here never enters the application."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from probe_agent.builtin_names import BUILTINS
from probe_agent.expression import EvaluationError

__builtins__ = BUILTINS  # the application may replace its own

# What our code can raise by mistake; anything else was raised by a signal handler or from outside.
OUR_TYPES: Final = (
    *(AttributeError, IndexError, KeyError, TypeError, ValueError, RuntimeError, MemoryError),
    *(OverflowError, UnicodeDecodeError, UnicodeEncodeError, ZeroDivisionError, NameError),
    *(UnboundLocalError, AssertionError, SystemError, EvaluationError),
)
_OUR_FOLDER: Final = str(Path(__file__).parent.parent)


def is_ours(error: BaseException) -> bool:
    """Tell a failure of our code from an exception that the application's signal handler raised
    while our code ran, or that was sent to the thread from outside.
    """
    if isinstance(error, EvaluationError):
        return True
    if type(error) not in OUR_TYPES:
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    file = trace.tb_frame.f_code.co_filename
    return file.startswith((_OUR_FOLDER, "<sonde"))
