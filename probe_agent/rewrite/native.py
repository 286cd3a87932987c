"""What only C sees of CPython: words inside of objects, a variable of a running frame.

By ctypes, which some builds lack; each caller says what goes without it. Nothing here runs the
application's code.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any, Final

from probe_agent.builtin_names import BUILTINS
from probe_agent.plain import UNBOUND

__builtins__ = BUILTINS  # the application may replace its own

try:
    import ctypes as _found
except ImportError:
    _ctypes: ModuleType | None = None
else:
    _ctypes = _found

# From 3.13 on `f_locals` is a view that writes through. Before, reading it fills a dict that keeps
# the locals alive, and refreshes the one that the application's own `locals()` gave.
_HAS_VIEW: Final = sys.version_info >= (3, 13)
# PyFrame_GetVar is new in 3.12.
_HAS_GET_VAR: Final = sys.version_info >= (3, 12)


def word_of(an_object: object, offset: int) -> Any | None:
    """Give the 32-bit word at an offset in bytes into an object: its `value` reads and writes.

    The object must outlive it. Returns: a `ctypes.c_uint32`, or None without ctypes.
    """
    if _ctypes is None:
        return None
    return _ctypes.c_uint32.from_address(id(an_object) + offset)


def variable_reader() -> Callable[[FrameType, str], object] | None:
    """Make what reads a variable of a frame that runs now: local, cell or free, or UNBOUND.

    On 3.12 a comprehension's variable hides the free variable of the same name also where the
    comprehension is over: UNBOUND then. Returns: None where there is no safe way.
    """
    if _HAS_VIEW:
        return _view
    if _ctypes is None or not _HAS_GET_VAR:
        return None
    get_var = _ctypes.PYFUNCTYPE(_ctypes.py_object, _ctypes.py_object, _ctypes.py_object)(
        ("PyFrame_GetVar", _ctypes.pythonapi)
    )

    def get(frame: FrameType, name: str) -> object:
        try:
            return get_var(frame, name)
        except NameError as error:
            if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
                raise  # by a signal handler of the application
            return UNBOUND

    return get


def _view(frame: FrameType, name: str) -> object:
    return frame.f_locals.get(name, UNBOUND)
