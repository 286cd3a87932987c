"""Start the agent at the beginning of a program: the part of `sitecustomize` that may be modern.

Called once per process by `site/sitecustomize.py`, before the program's own `sitecustomize` and
before its main module. Whatever it raises is swallowed there. It must leave the program's warnings,
import path and choice of modules as it found them.
"""

from __future__ import annotations

import _thread
import importlib
import os
import sys
import warnings
from importlib.machinery import PathFinder

# Children that only serve the standard library (or joblib): not the service, so not an instance.
_HELPERS_OF_MULTIPROCESSING = ("resource_tracker import main", "forkserver import main")


def start(loaded_before: frozenset[str]) -> None:
    """Start the agent from the environment, if this process is a program.

    Args: loaded_before: names of the modules that the interpreter had loaded by itself.
    """
    if not _is_program():
        return
    # The filters are the whole process's, but so far nobody else is in it. `-W error` and
    # PYTHONDEVMODE concern the program's code, not what our dependencies do when imported.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Not at the top: the import itself may warn, and a process that is no program needs none.
        from probe_agent.agent import start_from_environment  # noqa: PLC0415

        start_from_environment()
    _give_way_to_the_program(loaded_before)


def _is_program() -> bool:
    """True in the main interpreter of a process that runs somebody's program."""
    if not _is_main_interpreter():
        return False
    if any(code in word for word in sys.orig_argv for code in _HELPERS_OF_MULTIPROCESSING):
        return False
    return os.path.basename(_first_argument()) != "sonde"  # `sonde run` inside `sonde run`


def _is_main_interpreter() -> bool:
    is_main = getattr(_thread, "_is_main_interpreter", None)  # 3.12+
    if is_main is not None:
        return bool(is_main())
    interpreters = importlib.import_module("_xxsubinterpreters")
    return bool(interpreters.get_current() == interpreters.get_main())


def _give_way_to_the_program(loaded_before: frozenset[str]) -> None:
    """Forget modules that we loaded and of which the program has its own by the same name.

    A script beside a `platform.py` or `bytecode.py` of its own must import that one, as it does
    without us. Ours stay alive: those who imported them hold them.
    """
    ours = {name.partition(".")[0] for name in sys.modules.keys() - loaded_before}
    folders = _program_folders()
    known_folders = frozenset(sys.path_importer_cache)
    hidden = {name for name in ours - loaded_before if _is_hidden_from_program(name, folders)}
    for name in [name for name in sys.modules if name.partition(".")[0] in hidden]:
        del sys.modules[name]
    for folder in folders:
        if folder not in known_folders:
            sys.path_importer_cache.pop(folder, None)


def _is_hidden_from_program(name: str, folders: list[str]) -> bool:
    ours = getattr(sys.modules.get(name), "__spec__", None)
    if ours is None or ours.origin in ("frozen", "built-in"):  # those are found before any folder
        return False
    found = PathFinder.find_spec(name, folders)
    if found is None or found.origin is None:  # a namespace package is no rival: its parts join
        return False
    return ours.origin is None or os.path.realpath(ours.origin) != os.path.realpath(found.origin)


def _program_folders() -> list[str]:
    """List the folders that will stand in front of sys.path once the program runs.

    CPython adds the first one after `site`: the script's own, or the working folder. The console
    scripts of servers (gunicorn, uvicorn, celery) add the working folder themselves.
    """
    if sys.flags.safe_path:
        return []
    script = _first_argument()
    if script in ("", "-", "-c", "-m"):
        return [os.getcwd()]
    if os.path.isdir(script):
        return [os.path.abspath(script)]
    folder = os.path.dirname(os.path.realpath(script))
    is_console_script = os.path.dirname(os.path.abspath(script)) == os.path.dirname(sys.executable)
    return [folder, os.getcwd()] if is_console_script else [folder]


def _first_argument() -> str:
    arguments: list[str] = getattr(sys, "argv", [])  # an embedded interpreter may have none
    return arguments[0] if arguments else ""
