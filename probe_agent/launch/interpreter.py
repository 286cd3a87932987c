"""Find out which Python a command line will run, and with which options, without running it.

A command can be a Python, or a script whose first lines name one. Everything else (`sh -c`, `make`,
`env`, `uv run`) is not guessed at: what it starts gets the agent through the environment.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_PYTHON_NAME: Final = re.compile(r"(python|pypy)[0-9.]*t?$")
_TAKES_A_WORD: Final = frozenset("WX")
_ENDS_THE_OPTIONS: Final = frozenset("cm")
_HEAD_BYTES: Final = 4096  # longer than any first line that the kernel reads (Linux: 256)

# pip, distlib and uv write this where a shebang would be too long or hold a space; read by sh as
# `exec PYTHON SCRIPT ARGUMENTS`, by Python as a string.
_TRAMPOLINE: Final = re.compile(r"#!/bin/sh\n'''exec' (?P<python>.+) \"\$0\" \"\$@\"\n")
_BESIDE_THE_SCRIPT: Final = re.compile(r".*\bdirname\b.*\$0.*/'?(?P<name>[^/'\"]+)'?\"?$")


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python as the command names it.

    `path`: not resolved, because a virtual environment is known by its link. `options`: the letters
    of its own short options, as in `python -u -W error app.py`: {"u", "W"}.
    """

    path: str
    options: frozenset[str]


def interpreter_of(command: Sequence[str], search_path: str) -> Interpreter | None:
    """Tell the Python that `command` will run; None where it is no Python, or cannot be told.

    Args: search_path: the PATH of the program.
    """
    program = shutil.which(command[0], path=search_path)
    if program is None:
        return None
    if is_python(program):
        return Interpreter(program, _short_options(command[1:]))
    words = _first_line_of(program)
    if words and os.path.basename(words[0]) == "env":
        words = _without_env(words[1:])
    python = shutil.which(words[0], path=search_path) if words and words[0] else None
    if python is None or not is_python(python):
        return None
    return Interpreter(python, _short_options(words[1:]))


def is_python(path: str) -> bool:
    """True if the file is named as Pythons are: python, python3.12, pypy3."""
    return _PYTHON_NAME.match(os.path.basename(path)) is not None


def _first_line_of(script: str) -> list[str]:
    """Split what the kernel (or sh, for a trampoline) will start for this script into words."""
    try:
        with open(script, "rb") as opened:
            head = opened.read(_HEAD_BYTES).decode("utf-8", "surrogateescape")
    except OSError:
        return []
    if trampoline := _TRAMPOLINE.match(head):
        return [_python_of(trampoline["python"], script)]
    if not head.startswith("#!"):
        return []
    # The kernel hands everything after the interpreter over as one word.
    interpreter, _, word = head[2:].partition("\n")[0].strip().partition(" ")
    return [interpreter, word.strip()] if word else [interpreter]


def _python_of(words: str, script: str) -> str:
    if beside := _BESIDE_THE_SCRIPT.match(words):  # a relocatable virtual environment (uv)
        return os.path.join(os.path.dirname(os.path.realpath(script)), beside["name"])
    return "".join(_split(words)[:1])


def _without_env(words: list[str]) -> list[str]:
    """Take the words after `/usr/bin/env`; none if env is told to do more than search PATH."""
    line = " ".join(words)
    for split in ("-S", "--split-string="):
        line = line.removeprefix(split)
    found = _split(line)
    return [] if not found or found[0].startswith("-") or "=" in found[0] else found


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:  # an unclosed quote: whoever runs it will say so
        return []


def _short_options(arguments: Iterable[str]) -> frozenset[str]:
    """Collect the letters of Python's own options, up to the script, `-c` or `-m`."""
    letters: set[str] = set()
    rest = iter(arguments)
    for word in rest:
        if word == "--check-hash-based-pycs":
            next(rest, None)
        elif word in ("-", "--") or not word.startswith("-"):
            break
        elif not word.startswith("--"):
            letters.update(_letters(word, rest))
            if letters & _ENDS_THE_OPTIONS:
                break
    return frozenset(letters)


def _letters(word: str, rest: Iterator[str]) -> Iterator[str]:
    """Split `-sWerror` into s and W; take the next word where the value of W stands there."""
    for position, letter in enumerate(word[1:], start=2):
        yield letter
        if letter in _ENDS_THE_OPTIONS:
            return
        if letter in _TAKES_A_WORD:
            if position == len(word):
                next(rest, None)
            return
