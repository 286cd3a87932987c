"""The `conftest.py` of a copy: it makes sure that the copy is what is tested, and writes down what
became of each test, as it ends: a crash leaves what came before.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import probe_agent

HERE = Path(__file__).resolve().parent
assert Path(probe_agent.__file__).resolve().is_relative_to(HERE), probe_agent.__file__


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when != "call" and report.outcome == "passed":
        return
    crash = getattr(report.longrepr, "reprcrash", None)
    why = crash.message if crash is not None else str(report.longrepr or "")
    line = (report.nodeid, report.when, report.outcome, why.partition("\n")[0])
    with (HERE / "outcomes.txt").open("a") as file:
        print(*line, sep="\t", file=file)
