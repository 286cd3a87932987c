"""Run a part of a package's own suite under pytest, each outcome recorded.

Imported late by `child`: pytest imports packages that are under test.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType

import pytest
from _pytest.assertion import rewrite
from corpus.loading import instrument_rewritten_tests
from corpus.outcomes import Outcomes

_LOCAL = ("127.", "localhost", "::1", "0.0.0.0", "::")


class Recorder:
    """Puts what pytest reports into Outcomes. A test's phases count where they say something."""

    def __init__(self, outcomes: Outcomes) -> None:
        self._outcomes = outcomes

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.passed:
            return
        outcome = report.outcome if report.when == "call" else f"{report.when} {report.outcome}"
        if hasattr(report, "wasxfail"):
            outcome = f"expected to fail, {outcome}"
        detail = report.longreprtext if report.failed else ""
        context = getattr(report, "context", None)  # pytest 9's own subtests
        if context is None:
            self._outcomes.add(report.nodeid, outcome, detail)
        else:
            self._outcomes.add_subtest(f"{report.nodeid} {context}", outcome, detail)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._outcomes.add(report.nodeid, "not collected", report.longreprtext)


def run(
    arguments: list[str],
    outcomes: Outcomes,
    instrument: Callable[[CodeType], CodeType] | None,
    wanted: Callable[[str], bool],
) -> None:
    """Run pytest in this process, in the current folder."""
    if instrument is not None:
        instrument_rewritten_tests(rewrite, instrument, wanted)
    sys.addaudithook(_stay_here)
    always = ["-p", "no:cacheprovider", "-p", "no:faulthandler", "-q", "--tb=short", "-rN"]
    always += ["--continue-on-collection-errors"]
    pytest.main([*always, *arguments], plugins=[Recorder(outcomes)])


def _stay_here(event: str, args: tuple[object, ...]) -> None:
    """Refuse to look beyond this machine: a suite that would is told that it is offline."""
    if event == "socket.getaddrinfo":
        host = args[0]
    elif event in {"socket.connect", "socket.sendto"}:
        host = args[1][0] if type(args[1]) is tuple else None  # None: a path
    else:
        return
    if type(host) is str and not host.startswith(_LOCAL):
        raise OSError("The corpus runs offline.")
