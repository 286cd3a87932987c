"""What the verbs' parsers have in common: one line for a wrong usage, and options that are spelled
the same everywhere.
"""

from __future__ import annotations

import argparse
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line. Abbreviated options are not understood."""

    def __init__(self, verb: str, description: str, usage: str) -> None:
        super().__init__(
            prog=f"sonde {verb}", description=description, usage=usage, allow_abbrev=False
        )

    def error(self, message: str) -> NoReturn:
        """Leave with status 2."""
        self.exit(2, f"{self.prog}: {message}. `{self.prog} --help` explains.\n")


def add_identity(parser: Parser) -> None:
    """Add the options that say which service this is. All may be left to the environment."""
    parser.add_argument("--service", metavar="S", help="its name (SONDE_SERVICE)")
    parser.add_argument("--env", "--environment", metavar="E", help="such as prod (SONDE_ENV)")
    parser.add_argument(
        "--version", metavar="V", help="default: the git commit beside it (SONDE_VERSION)"
    )
    parser.add_argument(
        *("--label", "--labels"),
        metavar="K=V",
        action="append",
        help="one or more, separated by commas; may be repeated (SONDE_LABELS)",
    )
