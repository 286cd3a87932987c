"""What a safety rule is here: a text of ours that can be switched off, and tests that must notice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SUPPORTED = ("3.11", "3.12", "3.13", "3.14")


@dataclass(frozen=True)
class Rule:
    """One rule, and how to switch it off.

    `file`: under `probe_agent/`. `text`: stands there exactly once; `instead`: what switches the
    rule off. `tests`: under `tests/unit/probe_agent/`, of which at least one must turn red; none:
    the rule is redundant on every Python. `redundant`: why nothing can turn red without it, by
    Python.
    """

    name: str
    file: str
    text: str
    instead: str
    tests: tuple[str, ...]
    redundant: Mapping[str, str] = field(default_factory=dict)

    def switch_off(self, package: Path) -> None:
        """Change the text in a copy of `probe_agent`.

        Raises: LookupError: the code is not what the table says; the table must follow it.
        """
        path = package / self.file
        before = path.read_text() if path.exists() else ""
        if before.count(self.text) != 1:
            found = f"stands {before.count(self.text)} times in {self.file}"
            raise LookupError(f"{self.name}: the text {found}; correct tests/teeth")
        path.write_text(before.replace(self.text, self.instead))


def everywhere(why: str) -> dict[str, str]:
    """Say of a rule that it is redundant on each Python."""
    return dict.fromkeys(SUPPORTED, why)


def on(*versions: str, why: str) -> dict[str, str]:
    """Say of a rule that it is redundant on some Pythons."""
    return dict.fromkeys(versions, why)
