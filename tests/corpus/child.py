"""One run of one part of the corpus, in a process of its own: `python -m corpus.child TASK`.

TASK is JSON, see `Task`. Leaves outcomes and sums in a file; if there is none, the process died.
What is under test is imported only after the loaders instrument it, and after everything that
the probes themselves need; hence the late imports.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

from corpus.loading import instrument_imports, instrument_loaded
from corpus.outcomes import Outcomes
from corpus.probes import RUNS, EveryLine

UNTOUCHED = "untouched"


@dataclass(frozen=True)
class Task:
    """What to run.

    `run`: UNTOUCHED or one of RUNS. `modules`: of the library's test package, under unittest; or
    `arguments`: for pytest. `wanted`: starts of the file names that get probes, but for those in
    `unwanted`. `left_alone`: see EveryLine. `folder`: where to run. `out`: the file for the result.
    `timeout_s`: when to say where it hangs.
    """

    run: str
    out: str
    folder: str
    wanted: tuple[str, ...]
    unwanted: tuple[str, ...]
    left_alone: tuple[str, ...]
    timeout_s: float
    modules: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()

    def wants(self, file: str) -> bool:
        return file.startswith(tuple(self.wanted)) and not file.startswith(tuple(self.unwanted))


def main() -> None:
    task = Task(**json.loads(sys.argv[1]))
    sys.argv[1:] = []
    sys.path.remove(str(Path(__file__).parent.parent))  # the tests' folder: theirs comes first
    os.chdir(task.folder)
    faulthandler.enable()
    faulthandler.dump_traceback_later(task.timeout_s)
    outcomes = Outcomes()
    every_line = (
        None if task.run == UNTOUCHED else EveryLine(RUNS[task.run](), tuple(task.left_alone))
    )
    if every_line is not None:
        instrument_imports(every_line.instrument, task.wants)
    run_part(task, outcomes, None if every_line is None else every_line.instrument)
    faulthandler.cancel_dump_traceback_later()
    result = {
        "tests": outcomes.tests,
        "subtests": outcomes.subtests,
        "details": outcomes.details,
        "sums": {} if every_line is None else every_line.sums(),
        "cpu_s": round(time.process_time(), 1),
    }
    Path(task.out).write_text(json.dumps(result, indent=0))


def run_part(
    task: Task, outcomes: Outcomes, instrument: Callable[[CodeType], CodeType] | None
) -> None:
    # Last of all: what the runner imports, or pytest's plugins, may be under test.
    if task.arguments:
        runner = importlib.import_module("corpus.under_pytest")
        sys.path.insert(0, task.folder)  # as `python -m pytest` has it
        runner.run(list(task.arguments), outcomes, instrument, task.wants)
        return
    runner = importlib.import_module("corpus.under_unittest")
    if instrument is not None:
        instrument_loaded(instrument, task.wants)
    runner.run(list(task.modules), outcomes)


if __name__ == "__main__":
    main()
