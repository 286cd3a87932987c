"""Run pytest many times in one go: `python forking.py JOBS`, under the Python that is examined.

Importing pytest costs more than the tests, so that is done once; each job is a fork of it. Imports
nothing of `probe_agent`, which is another one in each job. Writes each job's exit status, negative
for a signal, beside its folder.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from pathlib import Path

import pytest

ALSO_IMPORTED = (
    "asyncio",
    "bytecode",
    "pdb",
    "unittest",
    "_pytest.assertion.rewrite",
    "_pytest.unittest",
)


def run(folder: Path, options: list[str], wait_s: int) -> int:
    """Run pytest in a folder, in a fork. Returns: its exit status."""
    child = os.fork()
    if not child:
        output = os.open(folder / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(folder)
        os.environ["PYTHONPATH"] = str(folder)  # noqa: TID251  for processes that tests start
        sys.path.insert(0, str(folder))
        signal.alarm(wait_s)
        os._exit(int(pytest.main(options)))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(jobs: Path) -> None:
    for name in ALSO_IMPORTED:
        importlib.import_module(name)
    for folder, options, wait_s in json.loads(jobs.read_text()):
        status = run(Path(folder), options, wait_s)
        (Path(folder) / "status.txt").write_text(str(status))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
