"""Run the tests on every Python that is here, and say which are missing.

Everything runs on the Python of this process (`.venv`); the agent's suite runs again on each
other supported Python, in an environment of its own that holds only what the agent needs. Called
by `make test`; `corpus.run` takes the Pythons and environments from here. Standard library only.
"""

from __future__ import annotations

import compileall
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUPPORTED = ("3.11", "3.12", "3.13", "3.14")
# In a process of their own: these look for code in all modules of the process, within a bounded
# time, as they would in a service, which has not loaded every test of ours.
SOURCE_TESTS = "test_source_*.py"
SOURCE_SUITE = tuple(
    str(path.relative_to(ROOT))
    for path in sorted((ROOT / "tests/unit/probe_agent").glob(SOURCE_TESTS))
)
AGENT_SUITE = (
    "tests/unit/probe_agent",
    "tests/corpus",
    f"--ignore-glob=*/{SOURCE_TESTS}",
    # With the base dependencies alone, `sonde run` brings the agent into a process.
    "tests/integration/test_launch_puts_the_agent_in.py::"
    "test_a_python_command_gets_the_agent_in_the_same_process",
)
# In a process of its own on this Python too: the agent's tests look at the modules of the process.
THE_REST = ("tests", "--ignore=tests/unit/probe_agent", "--ignore=tests/corpus")
# A script beside a checkout that unpacks a 3.14 where there is none; see CONTRIBUTING.
GET_314 = ROOT.parent / "shared" / "bin" / "get-python314"


@dataclass(frozen=True)
class Run:
    """One suite on one Python. `output` ends with pytest's own summary."""

    version: str
    seconds: float
    status: int
    output: str


def this_version() -> str:
    return ".".join(map(str, sys.version_info[:2]))


def find_python(version: str) -> Path | None:
    """Look for an interpreter: on the path, under pyenv, and for 3.14 by the script."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"  # noqa: TID251
    on_path = shutil.which(f"python{version}")
    candidates = [
        *([Path(on_path)] if on_path else []),
        *sorted(pyenv.glob(f"{version}.*/bin/python")),
    ]
    for candidate in candidates:
        if _runs(candidate, version):
            return candidate
    if version == "3.14" and GET_314.exists():
        got = subprocess.run([GET_314], capture_output=True, text=True, check=False)
        return Path(got.stdout.strip()) if got.returncode == 0 else None
    return None


def _runs(python: Path, version: str) -> bool:
    asked = subprocess.run(
        [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip() == version


def environment(name: str, python: Path, group: str) -> Path:
    """Make, once, an environment with the agent's needs and a dependency group. Returns: its
    interpreter.
    """
    folder = ROOT / ".venvs" / name
    inner = folder / "bin" / "python"
    ready = folder / "ready"
    if not ready.exists() or ready.stat().st_mtime < (ROOT / "pyproject.toml").stat().st_mtime:
        # Without pip, and filled by ours: Debian's 3.14 has no ensurepip.
        subprocess.run([python, "-m", "venv", "--clear", "--without-pip", folder], check=True)
        pip = [sys.executable, "-m", "pip", "--python", inner, "install", "--quiet"]
        subprocess.run([*pip, "--editable", ".", "--group", group], check=True, cwd=ROOT)
        ready.touch()
    return inner


def run_suite(version: str, python: Path, arguments: tuple[str, ...]) -> Run:
    began = time.monotonic()
    done = subprocess.run(
        [python, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--durations=5", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Run(version, time.monotonic() - began, done.returncode, done.stdout)


def run_others(versions: list[str]) -> list[Run]:
    """Run the agent's suite on each of these Pythons that is here. Returns: in their order."""
    found = {version: python for version in versions if (python := find_python(version))}
    inner = {v: environment(v, python, "agent-test") for v, python in found.items()}
    # Two at a time: they compute, and wait for hardly anything.
    with ThreadPoolExecutor(2) as pool:
        suites = ((v, suite) for v in inner for suite in (AGENT_SUITE, SOURCE_SUITE))
        runs = pool.map(lambda each: run_suite(each[0], inner[each[0]], each[1]), suites)
        return [shown(run) for run in runs]


def compile_ours() -> None:
    """Compile our own code, as an installed wheel is: many tests start it, where PYTHONDONTWRITEBYTECODE
    may be set.
    """
    for package in ("probe_agent", "mcp_server"):
        compileall.compile_dir(ROOT / package, quiet=1)


def shown(run: Run) -> Run:
    print(f"\n== Python {run.version}\n{run.output}", flush=True)
    return run


def main() -> int:
    others = [v for v in SUPPORTED if v != this_version()]
    compile_ours()
    # One after the other: many tests are several processes, and a crowded machine is no test.
    mine = (AGENT_SUITE[:3], SOURCE_SUITE, THE_REST)
    runs = [shown(run_suite(this_version(), Path(sys.executable), part)) for part in mine]
    runs += run_others(others)
    missing = [version for version in others if version not in {run.version for run in runs}]
    print("== Summary")
    for run in runs:
        last = run.output.strip().splitlines()[-1] if run.output.strip() else "no output"
        print(f"Python {run.version}: {run.seconds:5.0f} s  {last.strip('= ')}")
    for version in missing:
        print(f"Python {version}: NOT RUN, no interpreter found (on the path, under pyenv)")
    return int(any(run.status for run in runs))


if __name__ == "__main__":
    sys.exit(main())
