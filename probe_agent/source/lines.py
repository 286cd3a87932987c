"""Which lines of a code tree run, and in which code objects: pure, fast, also used on the
application's threads.

A line is executable in a code object if a unit after its prologue carries that line. Source:
Objects/codeobject.c co_lines;
agent-core.md 1b, 1e.
"""

from __future__ import annotations

import opcode
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import CodeType
from typing import Final, TypeAlias

Chain: TypeAlias = tuple[CodeType, ...]

_RESUME: Final = opcode.opmap["RESUME"]
_OPTIMIZED: Final = (
    0x1  # Include/cpython/code.h CO_OPTIMIZED: set for functions, not for module and class bodies
)
# Code that the compiler makes beside the function that was written: 3.14's lazy annotations.
_UNWRITTEN: Final = frozenset({"__annotate__", "__conditional_annotations__"})
_COMPREHENSIONS: Final = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"})


def is_function(code: CodeType) -> bool:
    """True for a function, lambda or comprehension; False for a module or class body."""
    return bool(code.co_flags & _OPTIMIZED)


def is_written(code: CodeType) -> bool:
    """True unless the compiler invented this code object beside what the source says."""
    return code.co_name not in _UNWRITTEN


def lines_of(code: CodeType) -> frozenset[int]:
    """List the executable lines of one code object, without those of nested ones."""
    body = _after_prologue(code)
    return frozenset([line for _, end, line in code.co_lines() if line and end > body])


def _after_prologue(code: CodeType) -> int:
    """Offset of the first unit after RESUME: what stands before it carries the `def` line."""
    units = code.co_code
    for offset in range(0, len(units), 2):
        if units[offset] == _RESUME:
            return offset + 2
    return 0


def nested(code: CodeType) -> Iterator[CodeType]:
    """Yield the code objects directly inside of one."""
    for constant in code.co_consts:
        if type(constant) is CodeType and is_written(constant):
            yield constant


def tree(root: CodeType) -> Iterator[Chain]:
    """Yield the chain of every code object of a tree, parents first; each begins with `root`."""
    pending: list[Chain] = [(root,)]
    while pending:
        chain = pending.pop()
        yield chain
        pending.extend((*chain, inner) for inner in nested(chain[-1]))


def roots_of(codes: Iterable[CodeType]) -> list[CodeType]:
    """Keep the code objects that are inside of no other; identity counts, never equality."""
    distinct = list({id(code): code for code in codes}.values())
    inside = {id(chain[-1]) for code in distinct for chain in tree(code) if len(chain) > 1}
    return [code for code in distinct if id(code) not in inside]


def line_map(roots: Iterable[CodeType]) -> Mapping[int, Sequence[Chain]]:
    """Map each executable line to the chains that a probe there goes into.

    Per root the outermost code object wins: a lambda or comprehension counts only on lines of its
    own. Module and class
    bodies that run once leave their line to a function that is written on it, as if they had
    already run.
    """
    found: dict[int, list[Chain]] = defaultdict(list)
    for root in roots:
        for line, (_, chains) in _lines_of_root(root).items():
            found[line] += chains
    return dict(found)


_Rank: TypeAlias = tuple[bool, int]


def _lines_of_root(root: CodeType) -> dict[int, tuple[_Rank, list[Chain]]]:
    """Map each line of a tree to its best rank (smallest) and the chains that have it."""
    best: dict[int, tuple[_Rank, list[Chain]]] = {}
    for chain in tree(root):
        rank = (not runs_again(chain), len(chain))
        for line in lines_of(chain[-1]):
            known = best.get(line)
            if known is None or rank < known[0]:
                best[line] = (rank, [chain])
            elif rank == known[0]:
                known[1].append(chain)
    return best


def runs_again(chain: Chain) -> bool:
    """True if the chain leads into a function, not just into bodies that run once per import."""
    first = next((code for code in chain if is_function(code)), None)
    return first is not None and first.co_name not in _COMPREHENSIONS


def variables(code: CodeType) -> tuple[str, ...]:
    """Name what a probe in this code object can read, in order of definition, without what the
    compiler named.
    """
    names = (*code.co_varnames, *code.co_cellvars, *code.co_freevars)
    return tuple(dict.fromkeys(name for name in names if name.isidentifier()))
