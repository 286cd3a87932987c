"""A function's code object and those nested in it: where an inner one carries a probe, the outer
ones are rebuilt to hold it.

A nested code object lives in the co_consts of the one around it; functions made later are made from
there. All is keyed by identity: code objects compare equal across files. Pure functions, for any
thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import CodeType
from typing import TypeAlias

from probe_agent.errors import Unsupported
from probe_agent.rewrite.insert import instrument
from probe_agent.rewrite.insertion import Insertion

# ORIGINAL code objects: the outermost first, then each nested in the one before it, the target
# last.
Chain: TypeAlias = tuple[CodeType, ...]
Placement: TypeAlias = tuple[Chain, Insertion]


@dataclass(frozen=True, slots=True, eq=False)
class TreeRecord:
    """What `rebuild_tree` did, for `Rewriter.adopt`. `pairs`: (original, what stands in for it)."""

    pairs: tuple[tuple[CodeType, CodeType], ...]
    placements: tuple[Placement, ...]


def rebuild_tree(root: CodeType, placements: Sequence[Placement]) -> tuple[CodeType, TreeRecord]:
    """Instrument code that was never executed: a module's, seen by the import watch.

    Keeps no state and takes no lock, so it may run on the importing thread. The record is to be
    handed to `Rewriter.adopt` on the background thread; until then the probes run, but nobody can
    take them away.
    Args: placements: chains that begin with `root`, in placing order.
    Returns: the code to execute instead of `root`, and the record.
    Raises: LineNotExecutable, Unsupported: for any one of them; then execute `root` as it is.
    """
    for chain, _ in placements:
        require_chain(chain, root)
    current: dict[int, CodeType] = {}
    codes = innermost_first([chain for chain, _ in placements])
    for code in codes:
        current[id(code)] = rebuild(code, on(code, placements), current)
    pairs = tuple((code, current[id(code)]) for code in codes)
    return current.get(id(root), root), TreeRecord(pairs, tuple(placements))


def rebuild(
    code: CodeType, insertions: Sequence[Insertion], nested: Mapping[int, CodeType]
) -> CodeType:
    """Make what stands in for one original. `nested`: what stands in for those inside of it, by id
    of the original.

    Returns: `code` itself if nothing differs.
    """
    constants = tuple(
        nested.get(id(constant), constant) if type(constant) is CodeType else constant
        for constant in code.co_consts
    )
    if any(new is not old for new, old in zip(constants, code.co_consts, strict=True)):
        code = code.replace(co_consts=constants)
    return instrument(code, insertions) if insertions else code


def on(code: CodeType, placements: Iterable[Placement]) -> list[Insertion]:
    """List the insertions whose target is `code`, in placing order."""
    return [insertion for chain, insertion in placements if chain[-1] is code]


def innermost_first(chains: Sequence[Chain]) -> list[CodeType]:
    """List the code objects of some chains, each once, nested ones before those around them."""
    inner: dict[int, list[CodeType]] = {}
    ordered: dict[int, CodeType] = {}
    for chain in chains:
        for outer, nested in pairwise((*chain, None)):
            inner.setdefault(id(outer), []).extend([] if nested is None else [nested])

    for chain in chains:
        _visit(chain[0], inner, ordered)
    return list(ordered.values())


def _visit(
    code: CodeType, inner: Mapping[int, list[CodeType]], ordered: dict[int, CodeType]
) -> None:
    # Not a function inside of the caller: it would refer to itself, and keep the code objects
    # alive until the next garbage collection, where they look like somebody's.
    if id(code) not in ordered:
        for nested in inner[id(code)]:
            _visit(nested, inner, ordered)
        ordered[id(code)] = code


def related(chains: Iterable[Chain], known: Iterable[Chain]) -> list[Chain]:
    """Add to `chains` those known ones that share a code object with them, and so on.

    One code object may have been found at the end of one chain and inside of another; what changes
    in it must reach both.
    """
    found, others = list(chains), list(known)
    touched = {id(code) for chain in found for code in chain}
    while True:
        near = [chain for chain in others if any(id(code) in touched for code in chain)]
        if not near:
            return found
        found += near
        touched.update(id(code) for chain in near for code in chain)
        others = [chain for chain in others if all(chain is not other for other in near)]


def require_chain(chain: Chain, root: CodeType) -> None:
    """Make sure that each code object of a chain is a constant of the one before it.

    Raises: Unsupported: it is not so.
    """
    is_linked = all(
        any(constant is inner for constant in outer.co_consts) for outer, inner in pairwise(chain)
    )
    if not chain or chain[0] is not root or not is_linked:
        raise Unsupported(
            "Cannot place the probe",
            "the function is not nested where it was found",
            "Look the place up again",
        )
