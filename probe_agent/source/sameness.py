"""Is the text on disk what runs? Compiles a function's text again and compares code with code."""

from __future__ import annotations
import __future__

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from types import CodeType
from typing import Final

from probe_agent.source.pieces import Piece, function_piece, piece_around, without_odd_escapes

# The one future that changes the code of a function.
_FUTURES: Final = __future__.annotations.compiler_flag
_IMPORT: Final = re.compile(
    r"(?P<indent>[ \t]*)(?:from[ \t]+[\w.]+[ \t]+)?import[ \t]*"
    r"(?P<names>\([^)]*\)|(?:[^\\\n#;]|\\\n)*)",
)
_COMMENT: Final = re.compile(r"#[^\n]*")

_LONGEST_IMPORT: Final = 60  # lines
LONGEST_LINES: Final = 400  # about 2 ms of `compile`, in which no other thread runs


class Sameness(Enum):
    """What a comparison says."""

    SAME = "same"
    DIFFERENT = "different"
    UNCHECKED = "unchecked"  # too long to compile


class Comparison:
    """Compares live functions' original code with what a file's text gives on the same lines.

    Only sound if the module's loader compiles text as it is.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self._imports = list(_imports(lines))

    def compare(self, code: CodeType) -> Sameness:
        """Compile the function alone, or, where that is not enough, all that stands around it at
        the top level.
        """
        found = Sameness.DIFFERENT
        guesses = list(dict.fromkeys(self._imported(code)))
        try:
            for piece in self._pieces_of(code):
                if piece.last - piece.first >= LONGEST_LINES:
                    found = Sameness.UNCHECKED
                elif any(_holds(piece, code, imported) for imported in guesses):
                    return Sameness.SAME
        except (SyntaxError, ValueError, RecursionError):
            return Sameness.DIFFERENT  # what runs did compile
        return found

    def _pieces_of(self, code: CodeType) -> Iterator[Piece]:
        line = code.co_firstlineno
        alone = function_piece(self._lines, line, code.co_qualname, LONGEST_LINES)
        if alone is not None and set(code.co_freevars) <= {"__class__"}:
            yield alone
        around = piece_around(self._lines, line)
        if around is not None:
            yield around

    def _imported(self, code: CodeType) -> Iterator[tuple[str, ...]]:
        """Guess which names the module imported; a wrong guess can only make equal code look
        different.

        Calls on a module's attributes compile otherwise than method calls, and the compiler goes by
        the imports of the
        whole file, even for a local variable of that name. Source: Python/compile.c
        is_import_originated (codegen.c since 3.14).
        """
        used: set[str] = set()
        for inner in (code, *_functions(code)):
            used.update(inner.co_names, inner.co_varnames, inner.co_cellvars, inner.co_freevars)
        yield tuple(
            sorted(
                {n for name_at in self._imports for n in name_at.names if not name_at.indent} & used
            )
        )
        yield tuple(sorted({n for name_at in self._imports for n in name_at.names} & used))
        yield ()


@dataclass(frozen=True, slots=True)
class _Import:
    """The names that one statement binds; `indent`: white space before it."""

    indent: str
    names: tuple[str, ...]


def _imports(lines: Sequence[str]) -> Iterator[_Import]:
    for index, line in enumerate(lines):
        if "import" in line:
            match = _IMPORT.match("\n".join(lines[index : index + _LONGEST_IMPORT]))
            if match is not None:
                yield _Import(match["indent"], tuple(_names(match["names"])))


def _names(listed: str) -> Iterator[str]:
    for item in _COMMENT.sub("", listed).strip("()").replace("\\\n", " ").split(","):
        words = item.split()
        if words:
            yield words[-1] if len(words) == 3 else words[0].partition(".")[0]


def _holds(piece: Piece, code: CodeType, imported: tuple[str, ...]) -> bool:
    try:
        compiled = piece.code(code.co_flags & _FUTURES, imported)
    except (SyntaxError, ValueError, RecursionError):
        return False
    wanted = _without_odd_escapes(code)
    return any(same(_without_odd_escapes(found), wanted) for found in _functions(compiled))


def _without_odd_escapes(code: CodeType) -> CodeType:
    """Change the constants of a code object as `Piece` changes the text before it compiles it.

    Applied to both sides: a constant does not tell whether its backslash was written raw.
    """
    constants = tuple(map(_quiet, code.co_consts))
    return code if constants == code.co_consts else code.replace(co_consts=constants)


def _quiet(constant: object) -> object:
    if type(constant) is CodeType:
        return _without_odd_escapes(constant)
    if type(constant) is str:
        return without_odd_escapes(constant)
    if type(constant) is bytes:
        return without_odd_escapes(constant.decode("latin-1")).encode("latin-1")
    if type(constant) is tuple:
        return tuple(map(_quiet, constant))
    if type(constant) is frozenset:
        return frozenset(map(_quiet, constant))
    return constant


def _functions(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if type(constant) is CodeType:
            yield constant
            yield from _functions(constant)


def same(one: CodeType, other: CodeType) -> bool:
    """True if two code objects do the same on the same lines. Equality alone ignores line tables on
    3.11.
    """
    if one != other or one.co_linetable != other.co_linetable:
        return False
    pairs = zip(_functions(one), _functions(other), strict=True)
    return all(a.co_linetable == b.co_linetable for a, b in pairs)
