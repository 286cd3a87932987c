"""What is known by name and cannot carry a probe: no bytecode, or none that may be exchanged."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib.machinery import EXTENSION_SUFFIXES, FrozenImporter
from types import CodeType
from typing import Final

from probe_agent.errors import Unsupported
from probe_agent.literal import spelled
from probe_agent.source.files import AGENT_FOLDER, LoadedFile, PathFile
from probe_agent.source.functions import module_dict

try:
    import ctypes as _ctypes
except ImportError:  # some builds lack it; then nobody can be asked about C-level caches
    _extra_of = None
else:
    _extra_of = getattr(
        _ctypes.pythonapi,
        "_PyCode_GetExtra" if sys.version_info < (3, 12) else "PyUnstable_Code_GetExtra",
        None,
    )

_COMPILED: Final = (".pyx", ".pxd", ".so", ".pyd", ".c", ".cpp")
_MOST_TOOLS: Final = 4  # that keep something with a code object; each asks for an index, from 0 on
_BY_CALLER: Final = "Place the probe in Python code that calls it"


def require_python(file: LoadedFile | PathFile, wanted: str) -> None:
    """Refuse files whose code is not Python's, or not ours to change. Args: wanted: as asked for.

    Raises: Unsupported.
    """
    if os.path.abspath(file.path).startswith(AGENT_FOLDER):
        raise _cannot(wanted, "it is the agent itself", "Choose another file")
    if file.path.endswith(_COMPILED) or _has_compiled_twin(file):
        raise not_python(wanted)
    if isinstance(file, LoadedFile) and any(map(_is_frozen, file.modules)):
        raise frozen(wanted)


def frozen(wanted: str) -> Unsupported:
    """Say that Python runs a file's or function's copy in its own executable."""
    return _cannot(
        wanted,
        "Python runs a copy of it that is frozen into the interpreter",
        "Start the service with -X frozen_modules=off, or place the probe where it is called",
    )


def not_python(wanted: str) -> Unsupported:
    """Say that a file or function is compiled, by whatever compiler."""
    return _cannot(wanted, "it is compiled to machine code and has no bytecode", _BY_CALLER)


def is_compiled_name(file: str) -> bool:
    """True for the name of a file that Python does not run as bytecode."""
    return file.endswith(_COMPILED)


def require_uncached(code: CodeType) -> None:
    """Refuse code for which a tool keeps something in C, such as machine code made from it: it
    would not see the change, or lose what it made.

    Raises: Unsupported. Source: PEP 523; Python/ceval.c, co_extra.
    """
    if _extra_of is not None and any(
        _extra(_extra_of, code, index) for index in range(_MOST_TOOLS)
    ):
        raise _cannot(
            code.co_qualname,
            "a tool that works below Python (a compiler or debugger) keeps its own version of it",
            _BY_CALLER,
        )


def _extra(ask: Callable[..., int], code: CodeType, index: int) -> bool:
    found = _ctypes.c_void_p()
    arguments = (_ctypes.py_object(code), _ctypes.c_ssize_t(index), _ctypes.byref(found))
    return ask(*arguments) == 0 and bool(found.value)


def _has_compiled_twin(file: LoadedFile | PathFile) -> bool:
    """True if the import system would take, or has taken, an extension module in place of a source
    file.
    """
    stem, suffix = os.path.splitext(file.path)
    return (
        isinstance(file, PathFile)
        and suffix == ".py"
        and any(os.path.isfile(stem + ending) for ending in EXTENSION_SUFFIXES)
    )


def _is_frozen(module: str) -> bool:
    namespace = module_dict(sys.modules.get(module)) or {}
    return namespace.get("__loader__") is FrozenImporter


def _cannot(wanted: str, why: str, step: str) -> Unsupported:
    return Unsupported(f"Cannot place a probe in {spelled(wanted)}", why, step)
