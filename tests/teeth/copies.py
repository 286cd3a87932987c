"""Copies of the agent and its tests, in which rules are switched off; and running tests there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TESTS = "tests/unit/probe_agent"
_OUTCOMES = "outcomes.txt"
_AT_A_TIME = 2
_ONE_TEST_S = 20
# These say that the change broke the code, not that a test saw the rule missing.
_WRONG_REASONS = ("ImportError", "ModuleNotFoundError", "SyntaxError", "IndentationError")
_OPTIONS = (
    *("-q", "-p", "no:cacheprovider", "--tb=short", f"--timeout={_ONE_TEST_S}"),
    # Its plugin takes longer to import than all of our tests; those that use it go without.
    *("-p", "no:hypothesispytest"),
)


@dataclass(frozen=True)
class Job:
    """Tests to run in a copy, named by their path under `tests/unit/probe_agent/`."""

    copy: Path
    tests: Sequence[str]


@dataclass(frozen=True)
class Outcome:
    """What became of some tests. `passed`: all ran and passed. `red`: why one failed, or how the
    process crashed; empty if none did for the right reason. `output`: what pytest said.
    """

    passed: bool
    red: str
    output: str


def make_copy(folder: Path) -> Path:
    """Copy what is in the checkout now, with what has been compiled there. Returns: the copy."""
    for part in ("probe_agent", TESTS):
        shutil.copytree(ROOT / part, folder / part)
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copy(Path(__file__).parent / "inside.py", folder / "conftest.py")
    return folder


def copy_of(copy: Path, folder: Path) -> Path:
    """Copy a copy, with what has been compiled there."""
    leave_out = shutil.ignore_patterns("*.txt", ".hypothesis")
    shutil.copytree(copy, folder, ignore=leave_out)
    constructs = f"{TESTS}/constructs"
    shutil.copytree(copy / constructs, folder / constructs, dirs_exist_ok=True)
    return folder


def forget_compiled(path: Path) -> None:
    """Remove what was compiled of a file: a change within one second is not seen."""
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
        compiled.unlink()


def run_jobs(
    python: Path, jobs: Sequence[Job], wait_s: int, settings: Mapping[str, str] | None = None
) -> list[Outcome]:
    """Run jobs, two at a time. Args: wait_s: for one job, else it hangs."""
    shares = [list(jobs[n::_AT_A_TIME]) for n in range(_AT_A_TIME)]
    started = [_start(python, share, wait_s, settings or {}) for share in shares if share]
    for process in started:
        process.wait()
    return [_outcome(job) for job in jobs]


def _start(
    python: Path, jobs: Sequence[Job], wait_s: int, settings: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    asked = [
        (str(job.copy), [*_OPTIONS, *(f"{TESTS}/{test}" for test in job.tests)], wait_s)
        for job in jobs
    ]
    path = jobs[0].copy / "jobs.json"
    path.write_text(json.dumps(asked))
    surroundings = {**os.environ, **settings}  # noqa: TID251
    program = Path(__file__).parent / "forking.py"
    return subprocess.Popen([python, "-P", program, path], env=surroundings)


def _outcome(job: Job) -> Outcome:
    """Read what was left behind: see `inside` and `forking`."""
    output, status = _read(job.copy / "output.txt"), int(_read(job.copy / "status.txt") or "2")
    rows = [line.split("\t", 3) for line in _read(job.copy / _OUTCOMES).splitlines()]
    passed = status == 0 and bool(rows) and all(row[2] == "passed" for row in rows)
    return Outcome(passed, _red(status, rows), output)


def _read(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def _red(status: int, rows: Sequence[Sequence[str]]) -> str:
    if status < 0:
        return "hangs" if -status == signal.SIGALRM else signal.Signals(-status).name
    failures = [why for _, when, outcome, why in rows if outcome == "failed" and when == "call"]
    right = [why for why in failures if not why.startswith(_WRONG_REASONS)]
    return (right[0] or "failed") if status == 1 and right else ""
