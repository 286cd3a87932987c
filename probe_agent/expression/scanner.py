"""Look at an expression's text before Python's parser does, and find where a template's part ends.

The parser may not be given any text: some of it takes long (unbalanced brackets), needs a deep
stack (nesting), or makes Python warn through the application's own `warnings` (odd escapes and
numbers). This scanner knows strings, numbers and brackets, and nothing else.
"""

from __future__ import annotations

import re
from typing import Final

from probe_agent.errors import ExpressionRefused
from probe_agent.literal import brief

LONGEST_TEXT: Final = 4_000
DEEPEST: Final = 50

_CONTEXT: Final = 20
SIMPLER: Final = "Write it more simply, or capture its parts by themselves"
_ODD: Final = re.compile("[\0\ud800-\udfff]")
# What no expression of the language holds outside of strings: why, and the allowed way.
_UNWELCOME: Final = {
    "@": (
        "values such as @return belong to kinds of probes that are not built yet",
        "Name a variable that the line can see",
    ),
    "#": ("comments are not part of an expression", "Remove the comment"),
    "\\": ("a backslash outside of a string means nothing here", "Write it on one line"),
}
# Words and signs that make the parser recurse, each once: `not not not x`, `a if b else a if ...`.
MOST_RECURSIVE: Final = 200

_OPENING: Final = {"(": ")", "[": "]", "{": "}"}
_CLOSING: Final = frozenset(_OPENING.values())
_STRING: Final = re.compile(r"([A-Za-z]{0,3})('''|\"\"\"|'|\")")
_PREFIXES: Final = frozenset({"", "r", "b", "br", "rb", "u"})
_WORD: Final = re.compile(r"[^\W\d]\w*")
_RECURSIVE_WORDS: Final = frozenset({"not", "lambda", "if", "await"})
_RECURSIVE_SIGNS: Final = frozenset("-+~*")
# A number as the tokenizer takes it; what follows may not be a letter (`1or 2` makes it warn).
_NUMBER: Final = re.compile(
    r"0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+"
    r"|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d[\d_]*)?[jJ]?"
)
# Escapes that Python knows. Others, and octal ones above \377, make it warn.
_OCTAL: Final = r"[0-3][0-7]{2}|[0-7]{1,2}(?![0-7])"
_STR_ESCAPE: Final = re.compile(rf"\\(?:[\\'\"abfnrtv\n]|{_OCTAL}|x|N\{{|u|U)")
_BYTES_ESCAPE: Final = re.compile(rf"\\(?:[\\'\"abfnrtv\n]|{_OCTAL}|x)")


def refusal(text: str, at: int, why: str, next_step: str) -> ExpressionRefused:
    """Say where in the text something is that the language does not have. `at`: from 0."""
    part = text[max(0, at - _CONTEXT) : at + _CONTEXT]
    return ExpressionRefused(
        f"Cannot use this expression, at character {at + 1}, near {brief(part)}", why, next_step
    )


def refuse_unreadable(text: object) -> str:
    """Refuse what no parser should be given: no text, too much of it, odd characters.

    Returns: the text without surrounding white space.
    """
    if type(text) is not str:
        raise ExpressionRefused(
            "Cannot use this expression", "it is not text", "Write it as a Python expression"
        )
    if len(text) > LONGEST_TEXT:
        raise ExpressionRefused(
            "Cannot use this expression",
            f"it has {len(text)} characters, and {LONGEST_TEXT} are the most",
            "Ask for fewer things at once, or use two probes",
        )
    odd = _ODD.search(text)
    if odd is not None:
        raise refusal(
            text,
            odd.start(),
            "a null byte or half a surrogate pair is not text",
            "Remove it, or write it as an escape inside quotes",
        )
    return text


def scan(text: str, at: int, stops: str) -> int:
    """Go through an expression up to one of the characters `stops` outside of strings and brackets.

    Returns: where it stands, or the length of the text.
    Raises: ExpressionRefused: unbalanced, nested too deeply, or what would make the parser warn.
    """
    opened: list[int] = []
    recursive = 0
    while at < len(text):
        character = text[at]
        if not opened and character in stops and text[at : at + 2] != "!=":
            return at
        if character in _OPENING:
            opened.append(at)
            if len(opened) > DEEPEST:
                raise refusal(text, at, f"it is nested deeper than {DEEPEST}", SIMPLER)
        elif character in _CLOSING:
            _close(text, at, opened)
        end = _token_end(text, at)
        recursive += character in _RECURSIVE_SIGNS or text[at:end] in _RECURSIVE_WORDS
        if recursive > MOST_RECURSIVE:
            raise refusal(text, at, f"it chains more than {MOST_RECURSIVE} operators", SIMPLER)
        at = end
    if opened:
        raise refusal(text, opened[-1], f"`{text[opened[-1]]}` is never closed", "Close it")
    return at


def _close(text: str, at: int, opened: list[int]) -> None:
    if not opened or _OPENING[text[opened[-1]]] != text[at]:
        raise refusal(text, at, f"`{text[at]}` closes nothing that is open", "Balance the brackets")
    opened.pop()


def _token_end(text: str, at: int) -> int:
    """Find the end of what begins here: a string, a word, a number, or one character."""
    if text[at] in _UNWELCOME:
        raise refusal(text, at, *_UNWELCOME[text[at]])
    string = _STRING.match(text, at)
    if string is not None and set(string[1].lower()) <= set("rbuft"):
        return _string_end(text, string)
    word = _WORD.match(text, at)
    if word is not None:
        return word.end()
    number = _NUMBER.match(text, at) if text[at].isdigit() or text[at] == "." else None
    if number is None:
        return at + 1
    if _WORD.match(text, number.end()):
        raise refusal(text, number.end(), "a number runs into a word", "Put a space between them")
    return number.end()


def _string_end(text: str, start: re.Match[str]) -> int:
    prefix, quotes = start[1].lower(), start[2]
    if prefix not in _PREFIXES:
        raise refusal(
            text,
            start.start(),
            "formatted strings are not part of the language yet",
            "Capture the values by themselves, or use a log message with {expression}",
        )
    escape = _BYTES_ESCAPE if "b" in prefix else _STR_ESCAPE
    at = start.end()
    while at < len(text):
        if text.startswith(quotes, at):
            return at + len(quotes)
        if text[at] == "\n" and len(quotes) == 1:
            break
        if text[at] == "\\":
            if "r" not in prefix and not escape.match(text, at):
                raise refusal(text, at, "Python has no such escape", "Double the backslash")
            at += 1
        at += 1
    raise refusal(text, start.start(), "the string never ends", "Close its quotes")
