"""Modules to place probes in: written to a folder, imported, gone afterwards."""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType


@contextmanager
def imported(text: str, name: str = "bench_module") -> Iterator[ModuleType]:
    """Import a text as a module of that name."""
    with tempfile.TemporaryDirectory(prefix="sonde") as folder:
        (Path(folder) / f"{name}.py").write_text(text)
        sys.path.insert(0, folder)
        importlib.invalidate_caches()
        try:
            yield importlib.import_module(name)
        finally:
            sys.path.remove(folder)
            sys.modules.pop(name, None)


@contextmanager
def beside(count: int) -> Iterator[None]:
    """Let so many other modules be loaded, as in a service with its packages."""
    names = [f"bench_package_{n % 40}.module_{n}" for n in range(count)]
    for name in names:
        module = ModuleType(name)
        module.__file__ = f"/srv/packages/{name.replace('.', '/')}.py"
        module.__spec__ = ModuleSpec(name, None, origin=module.__file__)
        sys.modules[name] = module
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


def text_of(functions: int, lines: int) -> str:
    """Write a module of functions with so many lines each; what they compute does not matter."""
    body = "\n".join(f"    x = x + {n} if x < {n} else x - {n}" for n in range(lines))
    return "\n\n".join(f"def f{n}(x):\n{body}\n    return x" for n in range(functions))


# 600 lines: what a module of a service has.
USUAL = text_of(functions=40, lines=12)
# 8,600 lines.
LARGE = text_of(functions=200, lines=40)
