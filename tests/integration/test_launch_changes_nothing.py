"""`sonde run` beside the same command without it: real processes, every behaviour compared.

All of them are begun at once, a few at a time: most of what a case takes is starting interpreters.
"""

from __future__ import annotations

import importlib.metadata
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = sys.executable
BASE_PYTHON = getattr(sys, "_base_executable", PYTHON)
AT_ONCE = 3  # of two processes each, one waiting for the other
SITE_PACKAGES = str(Path(pytest.__file__).parents[1])
SONDE = [PYTHON, "-m", "mcp_server.cli", "run", "--service", "trades", "--"]
# `sonde` is a Python program too, and would run PYTHONPATH's sitecustomize for itself.
BLIND_SONDE = [
    *(PYTHON, "-E", "-c"),
    f"import sys; sys.path[:0] = {sys.path!r}; from mcp_server.cli import main; sys.exit(main())",
    *SONDE[3:],
]

# Says all that a program can see of how it was started, except for what `sonde run` promises to add.
PROGRAM = """
import gc, json, locale, os, resource, signal, sys, threading, warnings
ours = {name for name in os.environ if name.startswith("SONDE_")} | {"PYTHONPATH"}
def is_inheritable(fd):
    try:
        return os.get_inheritable(fd)
    except OSError:
        return False
print(json.dumps({
    "argv": sys.argv, "path": sys.path, "flags": repr(sys.flags), "xoptions": sys._xoptions,
    "executable": [sys.executable, sys.prefix], "name": [__name__, globals().get("__file__")],
    "folder": os.getcwd(), "umask": os.umask(0), "parent": os.getppid(), "group": os.getpgrp(),
    "signals": {s.name: repr(signal.getsignal(s)).partition(" at ")[0] for s in signal.Signals},
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "inherited": [fd for fd in range(3, 64) if is_inheritable(fd)],
    "limits": [resource.getrlimit(resource.RLIMIT_NOFILE), os.nice(0)],
    "threads": [[t.name for t in threading.enumerate()], threading.active_count()],
    "collector": [gc.get_threshold(), gc.isenabled(), gc.callbacks],
    "locale": [locale.setlocale(locale.LC_ALL), sys.getfilesystemencoding()],
    "streams": [(s.encoding, s.errors, s.line_buffering) for s in (sys.stdin, sys.stdout, sys.stderr)],
    "warnings": [repr(warnings.filters), sys.warnoptions, warnings.showwarning.__module__],
    "hooks": [sys.excepthook is sys.__excepthook__, sys.unraisablehook is sys.__unraisablehook__,
              sys.gettrace(), sys.getprofile(), threading.gettrace(), sys.breakpointhook.__module__],
    "our folder": [folder for folder in sys.path_importer_cache if folder.endswith("launch/site")],
    "sitecustomize": getattr(sys.modules.get("sitecustomize"), "__file__", None),
    "interpreter": [sys.getrecursionlimit(), sys.getswitchinterval(), sys.dont_write_bytecode],
    "environment": {k: v for k, v in os.environ.items() if k not in ours},
}, indent=1))
"""
SPAWN = """
import multiprocessing
def double(number):
    return number * 2
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(double, [1, 2, 3]))
"""
FORK = """
import os, sys
print("before", flush=True)
if os.fork() == 0:
    print("child", flush=True)
    os._exit(7)
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""
ECHO = """
import sys
sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])
sys.stderr.write("caf\\xe9\\n")
sys.exit(3)
"""
CUSTOMISE = """
import sys
print("customised", __name__, __file__, [entry for entry in sys.path if "launch" in entry])
print(sys.modules[__name__].__spec__.name)
"""
WARNS = """
import warnings, asyncio, logging
warnings.warn("the program's own", DeprecationWarning)
"""


# Exit status, standard output, standard error.
Outcome: TypeAlias = tuple[int, bytes, bytes]


@dataclass(frozen=True)
class Case:
    """A command, what it reads, what its environment has more, and the files in its folder."""

    command: tuple[str, ...]
    text: bytes = b""
    environ: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


def python(
    *words: str, text: str = "", environ: Mapping[str, str] | None = None, **files: str
) -> Case:
    """A case of this Python; `app="..."` is the file app.py, `pkg____main__` is pkg/__main__.py."""
    paths = {
        name.replace("__", "/", 1) if "__" in name else name: body for name, body in files.items()
    }
    named = {f"{name}.py": body for name, body in paths.items()}
    return Case((PYTHON, *words), text.encode(), environ or {}, named)


def killed_by(number: signal.Signals) -> Case:
    code = f"import os; print('x', flush=True); os.kill(os.getpid(), {int(number)}); print('alive')"
    return python("-c", code)


def customised(body: str, *options: str) -> Case:
    files = {
        "customise__sitecustomize": body,
        "customise__usercustomize": "print('user', __name__)",
    }
    return python(*options, "-c", PROGRAM, environ={"PYTHONPATH": "customise"}, **files)


CUSTOMISING = {
    "none": Case((PYTHON, "-c", PROGRAM)),
    "one": customised(CUSTOMISE),
    "one that lacks a module": customised("import no_such_module"),
    "one that fails": customised("1 / 0"),
    "one that cannot be parsed": customised("1 +"),
    "one for the user": Case(
        (BASE_PYTHON, "-c", PROGRAM),  # a virtual environment does not look for it
        environ={"PYTHONPATH": os.pathsep.join(["customise", SITE_PACKAGES, str(ROOT)])},
        files={"customise/usercustomize.py": CUSTOMISE},
    ),
}
CASES = {
    "a script": python("app.py", "one", "--two", "", app=PROGRAM),
    "a module": python("-m", "pkg", "one", pkg____main__=PROGRAM),
    "code": python("-c", PROGRAM, "one"),
    "standard input": python("-", "one", text=PROGRAM),
    "its own options": python("-u", "-B", "-W", "error", "-X", "dev", "app.py", app=PROGRAM),
    "warnings as errors by environment": python(
        "app.py",
        app=PROGRAM,
        environ={
            "PYTHONWARNINGS": "error",
            "PYTHONDEVMODE": "1",
            "PYTHONWARNDEFAULTENCODING": "1",
        },
    ),
    "encoding warnings": Case(  # the agent reads the commit's name
        (PYTHON, "-X", "warn_default_encoding", "-c", PROGRAM),
        files={".git/HEAD": "0123456789abcdef"},
    ),
    "its own warning": python("-W", "default", "app.py", app=WARNS),
    "the C locale": python("-c", PROGRAM, environ={"LC_ALL": "", "LC_CTYPE": "", "LANG": "C"}),
    "a locale set by LC_CTYPE": python(
        "-c", PROGRAM, environ={"LC_ALL": "", "LC_CTYPE": "C.UTF-8"}
    ),
    "a safe path": python("-P", "-c", PROGRAM, environ={"PYTHONPATH": ":twice:twice"}),
    "streams and status": python("app.py", text="abc\x00", app=ECHO),
    "a status in words": python("-c", "import sys; sys.exit('no such trade')"),
    "an exception": python("app.py", app="def f():\n    return 1 / 0\nf()\n"),
    "a sudden exit": python("-c", "import os; print('lost'); os._exit(4)"),
    "SIGTERM": killed_by(signal.SIGTERM),
    "SIGKILL": killed_by(signal.SIGKILL),
    "SIGINT": killed_by(signal.SIGINT),
    "multiprocessing": python("app.py", app=SPAWN),
    "a fork": python("-W", "error", "app.py", app=FORK),
    "what a shell inherits": Case(("sh", "-c", "ls /proc/$$/fd; locale; umask; ulimit -a")),
    "a signal that Python ignores": Case(("sh", "-c", "kill -PIPE $$; echo alive")),
    "env": Case(("env", "EXTRA=1", PYTHON, "-c", PROGRAM)),
    "modules named like ours": python(
        "app.py",
        app="import bytecode, google, h2, logging, platform, selectors\n"
        "print(bytecode.X, h2.X, platform.X, logging.X, google.X, selectors.DefaultSelector)",
        google____init__="X = 5",
        bytecode="X = 1",
        h2____init__="X = 2",
        platform="X = 3",
        logging="X = 4",
    ),
}


def environment(changes: Mapping[str, str]) -> dict[str, str]:
    """What programs get on this machine, with a Sonde to import, and a hub nowhere."""
    inherited = dict(os.environ)  # noqa: TID251 - what a person's shell would hand on
    mine = ("SONDE_", "PYTEST", "COV", "PYTHONWARN", "PYTHONDEV")
    environ = {k: v for k, v in inherited.items() if not k.startswith(mine)}
    entries = [entry for entry in (changes.get("PYTHONPATH"), environ.get("PYTHONPATH")) if entry]
    if "sonde" not in {found.name for found in importlib.metadata.distributions()}:
        entries.append(str(ROOT))
    python_path = {"PYTHONPATH": os.pathsep.join(entries)} if entries else {}
    return {**environ, **changes, **python_path, "SONDE_HOME": "no-hub-here"}


def outcome(command: list[str], case: Case, folder: Path) -> Outcome:
    ended = subprocess.run(
        command,
        cwd=folder,
        env=environment(case.environ),
        input=case.text,
        capture_output=True,
        timeout=30,
    )
    return ended.returncode, ended.stdout, ended.stderr


def write(files: Mapping[str, str], folder: Path) -> None:
    for name, body in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(body)


def both(command: list[str], case: Case, folder: Path) -> tuple[Outcome, Outcome]:
    """Run a case in its folder. Returns: what it did alone, and under `sonde run`."""
    write(case.files, folder)
    return (
        outcome(list(case.command), case, folder),
        outcome([*command, *case.command], case, folder),
    )


@pytest.fixture(scope="module")
def outcomes(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Future[tuple[Outcome, Outcome]]]]:
    todo = [(SONDE, name, case) for name, case in CASES.items()]
    todo += [(BLIND_SONDE, name, case) for name, case in CUSTOMISING.items()]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            name: pool.submit(both, command, case, tmp_path_factory.mktemp("case"))
            for command, name, case in todo
        }
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", CASES)
def test_a_program_cannot_tell_that_it_runs_under_sonde(name, outcomes) -> None:
    alone, inside = outcomes[name].result()
    assert inside == alone


@pytest.mark.parametrize("name", CUSTOMISING)
def test_the_programs_own_start_up_modules_run_once_and_fail_as_ever(name, outcomes) -> None:
    alone, inside = outcomes[name].result()
    assert inside == alone
