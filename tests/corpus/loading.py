"""Instrument modules before they are executed, and functions of those that were loaded before us.

Unlike the product's import watch, this stands in the loaders' classes: nothing is added to
`sys.meta_path`, which the test suites of the library look at.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from types import CodeType, FunctionType

Instrument = Callable[[CodeType], CodeType]
Wanted = Callable[[str], bool]


def instrument_imports(instrument: Instrument, wanted: Wanted) -> None:
    """Instrument what is imported from now on, from wanted files, for the life of this process."""
    original = SourceFileLoader.get_code

    def get_code(self: SourceFileLoader, name: str) -> CodeType | None:
        code = original(self, name)
        return instrument(code) if code is not None and wanted(code.co_filename) else code

    SourceFileLoader.get_code = get_code


def instrument_rewritten_tests(rewrite: object, instrument: Instrument, wanted: Wanted) -> None:
    """Instrument test modules whose assertions pytest rewrites. `rewrite`: that module of pytest's.

    Nothing may be cached: such a loader takes what it finds in its own .pyc files.
    """
    original = rewrite._rewrite_test

    def rewrite_test(path: object, config: object) -> tuple[object, CodeType]:
        stat, code = original(path, config)
        return stat, instrument(code) if wanted(code.co_filename) else code

    rewrite._rewrite_test = rewrite_test


def instrument_loaded(instrument: Instrument, wanted: Wanted) -> None:
    """Instrument the functions that are alive already: of library modules that the agent uses."""
    done: dict[int, tuple[CodeType, CodeType]] = {}  # the original, so that its id stays taken
    functions = [f for f in gc.get_objects() if type(f) is FunctionType]
    for function in functions:
        code = function.__code__
        if not wanted(code.co_filename):
            continue
        if id(code) not in done:
            done[id(code)] = (code, instrument(code))
        function.__code__ = done[id(code)][1]
