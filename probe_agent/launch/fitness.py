"""Ask the Python of a command whether the agent can live in it; refuse, with the command that mends
it, where it cannot.

One interpreter start, about 20 ms. Refuses on facts only: where the answer cannot be had (a wrapper
that is no Python, a machine too busy to answer), the command is started, and the agent stays away
silently if it must.
"""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from probe_agent.errors import Unsupported
from probe_agent.launch.interpreter import Interpreter

_OLDEST: Final = (3, 11)
_NEWEST: Final = (3, 14)

# Options with which a Python never sees our sitecustomize, and why.
_BLINDING_OPTIONS: Final = {
    "I": "ignore the environment",
    "E": "ignore the environment",
    "S": "leave out its start-up module `site`",
}

# Module, distribution, and the oldest version that works; a test compares them with pyproject.toml.
_NEEDS: Final = (
    ("google.protobuf", "protobuf", "6.31.1"),
    ("grpclib", "grpclib", "0.4.8"),
    ("bytecode", "bytecode", "0.17"),
)
_NEEDS_SINCE_314: Final = (*_NEEDS[:2], ("bytecode", "bytecode", "0.19"))
_AGENT: Final = "probe_agent.agent"

_REPORT: Final = Path(__file__).with_name("report.py")
_TIMEOUT_S: Final = 10.0  # hundreds of times what it takes; then we go on without an answer


@dataclass(frozen=True, slots=True)
class Facts:
    """What `report` says about an interpreter. `found`: versions by module, see there."""

    implementation: str
    version: tuple[int, ...]
    has_gil: bool
    found: Mapping[str, Sequence[str] | None]


def require_fit(interpreter: Interpreter, environ: Mapping[str, str]) -> None:
    """Return if the agent can live in this Python, or if that cannot be told.

    Raises: Unsupported: it cannot; the error holds the command that mends it.
    """
    _require_open_eyes(interpreter)
    facts = _ask(interpreter, environ)
    if facts is not None:
        judge(interpreter.path, facts)


def _require_open_eyes(interpreter: Interpreter) -> None:
    for option, effect in _BLINDING_OPTIONS.items():
        if option in interpreter.options:
            raise Unsupported(
                f"Cannot put the agent into {interpreter.path}",
                f"its option -{option} makes it {effect}, through which the agent comes in",
                f"Leave out -{option}, or call probe_agent.start() in the program",
            )


def _ask(interpreter: Interpreter, environ: Mapping[str, str]) -> Facts | None:
    no_user_site = ["-s"] if "s" in interpreter.options else []
    wanted = [f"{_AGENT}=sonde", "pip=pip", *(f"{module}={name}" for module, name, _ in _NEEDS)]
    try:
        answer = subprocess.run(  # its standard streams are not the program's
            [interpreter.path, "-S", "-W", "ignore", *no_user_site, str(_REPORT), *wanted],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_TIMEOUT_S,
            check=False,
        )
        return Facts(**ast.literal_eval(answer.stdout.decode().strip().rpartition("\n")[2]))
    except (OSError, subprocess.TimeoutExpired, ValueError, SyntaxError, TypeError):
        return None


def judge(python: str, facts: Facts) -> None:
    """Refuse an interpreter for what it is, or for what it lacks.

    Raises: Unsupported: see `require_fit`.
    """
    is_supported = facts.implementation == "cpython" and facts.has_gil
    if not is_supported or not _OLDEST <= facts.version[:2] <= _NEWEST:
        raise Unsupported(
            f"Cannot put the agent into {python}",
            f"it is {_kind_of(facts)}, and the agent needs CPython 3.11 to 3.14 with the GIL",
            "Run the program with one of those, or without `sonde run`",
        )
    if facts.found.get(_AGENT) is None:
        raise Unsupported(
            f"Cannot put the agent into {python}",
            "the package sonde is not installed there",
            f"Install it: {_install(python, facts, ['sonde'])}",
        )
    lacking = list(_lacking(facts))
    if lacking:
        raise Unsupported(
            f"Cannot put the agent into {python}",
            " and ".join(why for why, _ in lacking),
            f"Mend it: {_install(python, facts, [wanted for _, wanted in lacking])}",
        )


def _lacking(facts: Facts) -> Iterator[tuple[str, str]]:
    """Say of each unmet need why, and what to install."""
    for module, name, floor in _NEEDS_SINCE_314 if facts.version >= (3, 14) else _NEEDS:
        versions = facts.found.get(module)
        newest = max(versions or [], key=_numbers, default=floor)
        if versions is None:
            yield f"it has no {name}", f"{name}>={floor}"
        elif _numbers(newest) < _numbers(floor):
            yield f"its {name} is {newest}, older than {floor}", f"{name}>={floor}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _kind_of(facts: Facts) -> str:
    name = {"cpython": "CPython", "pypy": "PyPy"}.get(facts.implementation, facts.implementation)
    version = ".".join(map(str, facts.version))
    return f"{name} {version}" if facts.has_gil else f"free-threaded {name} {version}"


def _install(python: str, facts: Facts, wanted: list[str]) -> str:
    pip = [python, "-m", "pip", "install"]
    uv = ["uv", "pip", "install", "--python", python]  # its environments come without pip
    return shlex.join([*(pip if facts.found.get("pip") is not None else uv), *wanted])
