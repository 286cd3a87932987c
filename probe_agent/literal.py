"""Write plain values as the literals of the tool contract.

Pure text work in the background thread, after redaction; the exact form is the contract's paragraph
"Literals". Everything that could act on a terminal or mislead a reader is escaped as in Python.
"""

from __future__ import annotations

import re
from typing import Any, Final, cast

from probe_agent import plain
from probe_agent.plain import Plain

# More bits than this (192 digits) are written in hexadecimal, and cut.
MOST_BITS: Final = 640
# Below this length a redacted value's true length would say too much.
SHORT_LENGTH: Final = 16
_HUGE_BITS: Final = 8_000_000
_NAME: Final = re.compile(r"[\w.\[\]<>@:/+\-]{1,300}", re.ASCII)
_BRIEF_LENGTH: Final = 60

# Invisible, yet printable for `str.isprintable`, which is what `repr` goes by: joiners, fillers,
# variation selectors (which can smuggle text past a reader).
_INVISIBLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)
_DOTTED_NAME: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


def render(value: Plain) -> str:
    """Write a plain value as a literal, e.g. `[1, 2, ... +98]`."""
    if isinstance(value, tuple):
        return _render_node(value)
    if isinstance(value, str):
        return quote(value)
    if type(value) is int:
        return _render_int(value)
    return repr(value)


def type_name(value: Plain) -> str:
    """Name the type of the value that was captured, e.g. `str`; for a mark its first word, e.g.
    `unbound`.
    """
    if not isinstance(value, tuple):
        return type(value).__name__
    match value:
        case (plain.CUT_STR, *_):
            return "str"
        case (plain.CUT_BYTES, *_):
            return "bytes"
        case (plain.CUT_INT, *_):
            return "int"
        case (plain.MARK, str(text)):
            return re.split(r"[ >]", text.removeprefix("<"), maxsplit=1)[0]
        case (_, str(name), *_):
            return _name(name)
        case _:
            return "object"


def quote(text: str) -> str:
    """Write a str as Python does, other invisible characters escaped too."""
    return _INVISIBLE.sub(_escape_match, repr(text))


def escape(text: str) -> str:
    """Escape what `quote` escapes, quotes and backslashes excepted, and put no quotes around it."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else repr(c)[1:-1] for c in _INVISIBLE.sub(_escape_match, text)
    )


def brief(atom: object) -> str:
    """Write an exact atom for the text of an error, cut after 60 characters."""
    if (isinstance(atom, str | bytes)) and len(atom) > _BRIEF_LENGTH:
        return f"{brief(atom[:_BRIEF_LENGTH])} +{len(atom) - _BRIEF_LENGTH}"
    return render(cast("Plain", atom))


def spelled(text: str) -> str:
    """Write a name or a path of the application's for one of our sentences: quoted and escaped,
    unless nobody could read it as prose.
    """
    return text if _NAME.fullmatch(text) else render(text)


def hexadecimal_head(value: int) -> str:
    """Write the first 64 bits of a large int, or of a subclass; of a huge one only a sign of it."""
    bits = int.bit_length(value)
    # Shifting a negative int copies it first.
    return "0x" if bits > _HUGE_BITS else f"{int.__rshift__(value, bits - 64):#x}"


def _escape_match(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def _render_int(value: int) -> str:
    bits = value.bit_length()
    return repr(value) if bits <= MOST_BITS else _cut_int(hexadecimal_head(value), bits)


def _cut_int(head: str, bits: int) -> str:
    return f"<int {head}... bits={bits}>"


def _render_node(node: plain.Node) -> str:
    # The shapes are those of `plain`; matching on them costs mypy more than it gives.
    match cast("Any", node):
        case (plain.CUT_STR, head, total):
            return f"{quote(head)} +{total - len(head)}"
        case (plain.CUT_BYTES, head, total):
            return f"{head!r} +{total - len(head)}"
        case (plain.CUT_INT, head, bits):
            return _cut_int(head, bits)
        case (plain.SEQUENCE, kind, items, total):
            return _render_sequence(kind, items, total)
        case (plain.MAPPING, kind, pairs, total):
            return _render_mapping(kind, pairs, total)
        case (plain.OBJECT, name, fields, total):
            return f"{_name(name)}({_join([_render_field(*f) for f in fields], total)})"
        case (plain.EXCEPTION, name, arguments, total):
            return f"<{_name(name)}({_join([render(a) for a in arguments], total)})>"
        case (plain.VERBATIM, _, text, *_) | (plain.MARK, text):
            return escape(text)
        case (plain.REDACTED, name, length, tag):
            return f"<redacted {_name(name)}{_length(length)} tag={tag}>"
        case _:
            raise ValueError("not a plain value")


def _join(parts: list[str], total: int) -> str:
    if total > len(parts):
        parts.append(f"... +{total - len(parts)}")
    return ", ".join(parts)


def _render_sequence(kind: str, items: tuple[Plain, ...], total: int) -> str:
    inside = _join([render(item) for item in items], total)
    match kind:
        case "list":
            return f"[{inside}]"
        case "tuple":
            return f"({inside},)" if total == 1 and items else f"({inside})"
        case "set" if total:
            return f"{{{inside}}}"
        case "set":
            return "set()"
        case "frozenset":
            return f"frozenset({{{inside}}})" if total else "frozenset()"
        case _:
            return f"{_name(kind)}([{inside}])"


def _render_mapping(kind: str, pairs: tuple[tuple[Plain, Plain], ...], total: int) -> str:
    inside = "{" + _join([f"{render(k)}: {render(v)}" for k, v in pairs], total) + "}"
    return inside if kind == "dict" else f"{_name(kind)}({inside})"


def _render_field(name: str, value: Plain) -> str:
    return f"{_name(name)}={render(value)}" if name else render(value)


def _name(name: str) -> str:
    """Write a name as it is if it is one, else quoted: it is the application's text."""
    if _DOTTED_NAME.fullmatch(name) and name.isprintable() and not _INVISIBLE.search(name):
        return name
    return quote(name)


def _length(length: int | None) -> str:
    if length is None:
        return ""
    return f" len<{SHORT_LENGTH}" if length < SHORT_LENGTH else f" len={length}"
