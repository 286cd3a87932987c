"""What the person watching sees. Coloured on a terminal only, and never against NO_COLOR."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TextIO

_RESET = "\033[0m"
_BOLD = "\033[1m"
_DIM = "\033[2m"
_CALL = "\033[36m"
_WIDTH = 100


class Screen:
    """Prints the story line by line, at once."""

    def __init__(self, no_color: str, out: TextIO = sys.stdout) -> None:
        """Decide on colour. `no_color`: the variable NO_COLOR, "" if it is not set."""
        self._out = out
        self._colour = out.isatty() and not no_color

    def title(self, text: str) -> None:
        """Begin a part of the story."""
        self._print(f"\n{self._painted(_BOLD, text)}")

    def line(self, text: str = "") -> None:
        """Tell one thing."""
        self._print(text)

    def call(self, tool: str, arguments: Mapping[str, object]) -> None:
        """Show a call as the assistant makes it."""
        self._print("\n" + self._painted(_CALL, _call_text(tool, arguments)))

    def answer(self, text: str, note: str) -> None:
        """Show an answer as the assistant reads it, and a note of ours about it."""
        for line in text.splitlines():
            self._print(f"    {line}".rstrip())
        self._print(self._painted(_DIM, f"    ({note})"))

    def _painted(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_RESET}" if self._colour else text

    def _print(self, text: str) -> None:
        print(text, file=self._out, flush=True)


def _call_text(tool: str, arguments: Mapping[str, object]) -> str:
    """Write a call on one line if it fits, else one argument a line."""
    given = [f"{name}={value!r}" for name, value in arguments.items()]
    short = f"> {tool}({', '.join(given)})"
    if len(short) <= _WIDTH:
        return short
    return "\n".join([f"> {tool}(", *(f"      {argument}," for argument in given), "  )"])
