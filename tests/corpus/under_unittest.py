"""Run test modules of the library under unittest, each outcome recorded.

Imported late by `child`: unittest itself is under test.
"""

from __future__ import annotations

import unittest

from corpus.outcomes import Outcomes
from test import support


class Recorder(unittest.TestResult):
    """Puts what unittest tells into Outcomes."""

    def __init__(self, outcomes: Outcomes) -> None:
        super().__init__()
        self._outcomes = outcomes

    def addSuccess(self, test):  # noqa: N802  unittest's names
        self._outcomes.add(test.id(), "passed")

    def addFailure(self, test, err):  # noqa: N802
        self._outcomes.add(test.id(), "failed", self._exc_info_to_string(err, test))

    def addError(self, test, err):  # noqa: N802
        self._outcomes.add(test.id(), "error", self._exc_info_to_string(err, test))

    def addSkip(self, test, reason):  # noqa: N802
        self._outcomes.add(test.id(), "skipped")

    def addExpectedFailure(self, test, err):  # noqa: N802
        self._outcomes.add(test.id(), "expected failure")

    def addUnexpectedSuccess(self, test):  # noqa: N802
        self._outcomes.add(test.id(), "unexpected success")

    def addSubTest(self, test, subtest, err):  # noqa: N802
        if err is None:
            self._outcomes.add_subtest(subtest.id(), "passed")
        else:
            self._outcomes.add_subtest(subtest.id(), "failed", self._exc_info_to_string(err, test))
            self._outcomes.add(test.id(), "failed in a subtest")


def run(modules: list[str], outcomes: Outcomes) -> None:
    """Run modules by name, without what needs a network, much time or a display."""
    support.use_resources = []
    support.verbose = 0
    for module in modules:
        try:
            tests = unittest.defaultTestLoader.loadTestsFromName(module)
        except unittest.SkipTest:
            outcomes.add(module, "skipped")
            continue
        tests.run(Recorder(outcomes))
