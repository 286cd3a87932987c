"""What became of each test: the record that one run leaves, and that two runs are compared by."""

from __future__ import annotations

import re

# Addresses, in hex and as id() gives them, and times of the day.
_FLEETING = re.compile(r"0x[0-9a-f]{6,}|\b\d{12,}\b|\b\d\d:\d\d:\d\d\b")
_DETAIL_CHARACTERS = 1500


class Outcomes:
    """Test ids with their outcomes, in the order in which they came.

    `tests`: test id -> outcomes. `subtests`: the same for what a test checks in parts. `details`:
    the end of the traceback of each that failed.
    """

    def __init__(self) -> None:
        self.tests: dict[str, list[str]] = {}
        self.subtests: dict[str, list[str]] = {}
        self.details: dict[str, str] = {}

    def add(self, test_id: str, outcome: str, detail: str = "") -> None:
        self._add(self.tests, test_id, outcome, detail)

    def add_subtest(self, subtest_id: str, outcome: str, detail: str = "") -> None:
        self._add(self.subtests, subtest_id, outcome, detail)

    def _add(self, to: dict[str, list[str]], name: str, outcome: str, detail: str) -> None:
        name = steady(name)
        to.setdefault(name, []).append(outcome)
        if detail:
            self.details[name] = detail[-_DETAIL_CHARACTERS:]


def steady(test_id: str) -> str:
    """Take out of an id what differs from run to run."""
    return _FLEETING.sub("..", test_id)
