"""Swap probes into live functions, and put the originals back.

One Rewriter per process, on the background thread; a forked child, where that thread is gone and
may have stopped in the middle of anything, calls `restore_all` on it too. So each change is made
known to the tables before the first function changes, and nothing relies on two tables agreeing.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType, FunctionType

from probe_agent.rewrite.census import (
    SMALL_HEAP_BLOCKS,
    codes_on_stacks,
    frames_of,
    functions_holding,
    held_by_more_than_frames,
    references_to,
)
from probe_agent.rewrite.insertion import Insertion, Reach
from probe_agent.rewrite.running import RunningFrames
from probe_agent.rewrite.tree import (
    Chain,
    Placement,
    TreeRecord,
    innermost_first,
    on,
    rebuild,
    related,
    require_chain,
)
from probe_agent.rewrite.versions import FunctionVersions


@dataclass(frozen=True, slots=True, eq=False)
class _Variant:
    """A code object that we made. It lives as long as somebody else uses it; its original as long
    as it does. `probe_ids`: the probes that stand in it.
    """

    code: weakref.ref[CodeType]
    original: CodeType
    probe_ids: frozenset[str]


class Rewriter:
    """Knows which probes stand in which code objects, and every code object that was made for it.

    Args: functions_using: finds the live functions whose `__code__` is one of the given objects, by
    identity. small_heap_blocks: how large a heap may be (`sys.getallocatedblocks`) for every object
    in it to be looked at.
    """

    def __init__(
        self,
        functions_using: Callable[[Collection[CodeType]], list[FunctionType]],
        small_heap_blocks: int = SMALL_HEAP_BLOCKS,
    ) -> None:
        self._functions_using = functions_using
        self._versions = FunctionVersions()
        self._running = RunningFrames()
        self._small_heap_blocks = small_heap_blocks
        self._placements: list[Placement] = []
        # What new calls run, where that is not the original. By id of the original: (original, what
        # stands in for it).
        self._current: dict[int, tuple[CodeType, CodeType]] = {}
        self._variants: dict[int, _Variant] = {}
        self._functions: dict[int, weakref.ref[FunctionType]] = {}
        # How many references there were to stale code when its holders were looked for. By id.
        self._looked: dict[int, int] = {}

    @property
    def is_serving(self) -> bool:
        """True while events serve frames that began before; `sweep` gives them up in time."""
        return bool(self._running.codes)

    def place(self, chain: Chain, insertion: Insertion) -> Reach:
        """Put one insertion into the last code object of `chain`, in all functions that use it, now
        and later, and where events can do it in the frames that run it already.

        Raises: LineNotExecutable, Unsupported: nothing has changed then.
        """
        originals = tuple(self.original(code) for code in chain)
        if any(a is not b for a, b in zip(originals, chain, strict=True)):
            chain = originals  # else the caller's own: one more would look like a user of the code
        del originals
        require_chain(chain, chain[0])
        reached = self._put(chain, insertion)
        return Reach(reached, self._reach_running(chain, insertion, is_found=reached > 0))

    def _put(self, chain: Chain, insertion: Insertion) -> int:
        """Change the functions. Returns: how many run the insertion at their next call."""
        placements = [*self._placements, (chain, insertion)]
        fresh = self._derive([chain], placements)
        functions = self._swap(fresh, placements)
        self._commit(fresh, placements)
        current = fresh[id(chain[-1])][1]
        return sum(function.__code__ is current for function in functions)

    def _reach_running(self, chain: Chain, insertion: Insertion, *, is_found: bool) -> int:
        """Serve the frames that run old code. Returns: how many cannot be served."""
        if not self._is_old_in_use(chain):
            return 0
        missed = [
            code
            for code in self._old(chain[-1])
            if not self._carries(code, insertion.probe_id)
            and not self._running.serve(code, insertion)
        ]
        if missed and not is_found:
            # The frames around it matter: what they make next will not have the probe.
            missed += [code for outer in chain[:-1] for code in self._old(outer)]
        return frames_of(missed, self._known_references(missed), self._small_heap_blocks)

    def remove(self, probe_id: str) -> None:
        """Take a probe out of everything that it stands in. Functions without any other get their
        original object back.

        Closures over rewritten code that a frame makes after this, because it began before, are
        found by `sweep`.
        """
        chains = [chain for chain, insertion in self._placements if insertion.probe_id == probe_id]
        if not chains:
            return
        placements = [p for p in self._placements if p[1].probe_id != probe_id]
        fresh = self._derive(chains, placements)
        self._running.drop(probe_id)
        self._looked = {}
        self._swap(fresh, placements)
        self._commit(fresh, placements)
        del fresh
        self.sweep()

    def restore_all(self) -> None:
        """Put every original back, in every function that can be found."""
        originals = {
            id(v.original): (v.original, v.original) for v in list(self._variants.values())
        }
        self._running.release_all()
        self._placements = []
        self._current = {}
        self._exchange(self._remembered(), originals)
        self._swap(originals, ())
        self.sweep()

    def sweep(self) -> int:
        """Look again for functions with code that is no longer in force, and put right what is
        found; give up serving old code that nobody runs any more.

        Returns: how many such code objects somebody still holds: frames that began before, mostly.
        0: nothing is left.
        """
        self._running.release(self._unused())
        return self._put_right() + len(self._running.codes)

    def _unused(self) -> list[CodeType]:
        """List the code objects with events that no frame runs, nor will."""
        served = {id(self.original(code)) for code in self._running.codes}
        # By number: a code object in a variable would look like one that is in use.
        used = {
            id(chain[-1])
            for chain, _ in self._placements
            if id(chain[-1]) in served and self._is_old_in_use(chain)
        }
        return [code for code in self._running.codes if id(self.original(code)) not in used]

    def _put_right(self) -> int:
        self._prune()
        alive = list(self._stale())
        # Most removals end here: what is left is run by frames, and no function has it.
        known = [self._known_references([code]) for code in alive]
        held = held_by_more_than_frames(alive, known)
        stale = self._unlooked([code for code, more in zip(alive, held, strict=True) if more])
        if not stale:
            return len(alive)
        del alive
        wanted = {
            id(v.original): self._current.get(id(v.original), (v.original, v.original))
            for code in stale
            if (v := self._variants.get(id(code))) is not None
        }
        self._exchange(self._functions_using(tuple(stale)), wanted)
        while stale:
            self._exchange(functions_holding(stale[-1]), wanted)
            stale.pop()
        return sum(1 for _ in self._stale())

    def _unlooked(self, stale: list[CodeType]) -> list[CodeType]:
        """Leave out code whose holders were looked for before and have not become more or fewer.

        A generator may be suspended for hours, and looking costs every thread some milliseconds.
        """
        counts = references_to(stale)
        news = [at for at in range(len(stale)) if self._looked.get(id(stale[at])) != counts[at]]
        self._looked = {id(stale[at]): count for at, count in enumerate(counts)}
        return [stale[at] for at in news]

    def adopt(self, record: TreeRecord) -> None:
        """Take over code that `rebuild_tree` made and that has been executed since: from now on as
        if placed here.
        """
        for original, current in record.pairs:
            self._note(original, current, record.placements)
            if current is not original:
                self._current[id(original)] = (original, current)
        self._placements = [*self._placements, *record.placements]
        made = tuple(current for _, current in record.pairs)
        for function in self._functions_using(made):
            self._functions[id(function)] = weakref.ref(function)

    def carries(self, probe_id: str, code: CodeType) -> bool:
        """True if a probe stands in an original code object already."""
        return any(
            chain[-1] is code and insertion.probe_id == probe_id
            for chain, insertion in self._placements
        )

    def original(self, code: CodeType) -> CodeType:
        """Give the code object that the compiler made; `code` itself if it is none of ours."""
        variant = self._variants.get(id(code))
        return variant.original if variant is not None and variant.code() is code else code

    def _derive(
        self, chains: Iterable[Chain], placements: list[Placement]
    ) -> dict[int, tuple[CodeType, CodeType]]:
        """Make what stands in for each code object of some chains and of those related, from the
        originals.
        """
        fresh: dict[int, tuple[CodeType, CodeType]] = {}
        known = [chain for chain, _ in placements]
        for code in innermost_first(related(chains, known)):
            nested = {key: new for key, (_, new) in (self._current | fresh).items()}
            fresh[id(code)] = (code, rebuild(code, on(code, placements), nested))
        return fresh

    def _swap(
        self, fresh: Mapping[int, tuple[CodeType, CodeType]], placements: Iterable[Placement]
    ) -> list[FunctionType]:
        """Give all functions that use one of these originals, in whatever variant, what is to stand
        in for it.

        Returns: the functions that were looked at.
        """
        # Before the new ones are known, so that nobody looks for functions with code just made.
        in_use = [code for original, _ in fresh.values() for code in self._in_use(original)]
        for original, new in fresh.values():
            self._note(original, new, placements)
        found = {id(f): f for f in (*self._remembered(), *self._functions_using(tuple(in_use)))}
        self._exchange(found.values(), fresh)
        return list(found.values())

    def _exchange(
        self,
        functions: Iterable[FunctionType],
        wanted: Mapping[int, tuple[CodeType, CodeType]],
    ) -> None:
        """Set `__code__` where it is a variant of a wanted original. If one fails, all are as
        before.
        """
        changed: list[tuple[FunctionType, CodeType]] = []
        try:
            for function in functions:
                old = function.__code__
                _, new = wanted.get(id(self.original(old)), (old, old))
                if new is not old:
                    self._functions[id(function)] = weakref.ref(function)
                    self._versions.set_code(function, new)
                    changed.append((function, old))
        except BaseException:
            for function, old in reversed(changed):
                self._versions.set_code(function, old)
            raise

    def _commit(
        self, fresh: Mapping[int, tuple[CodeType, CodeType]], placements: list[Placement]
    ) -> None:
        self._placements = placements
        current = {**self._current, **fresh}
        self._current = {key: pair for key, pair in current.items() if pair[0] is not pair[1]}
        self._prune()

    def _prune(self) -> None:
        """Forget what is gone: an entry for it would hold its original, and look like a user."""
        for key in [k for k, v in list(self._variants.items()) if v.code() is None]:
            self._variants.pop(key, None)
        for key in [k for k, f in list(self._functions.items()) if f() is None]:
            self._functions.pop(key, None)

    def _note(self, original: CodeType, code: CodeType, placements: Iterable[Placement]) -> None:
        if code is not original:
            probe_ids = frozenset(insertion.probe_id for insertion in on(original, placements))
            self._variants[id(code)] = _Variant(weakref.ref(code), original, probe_ids)

    def _carries(self, code: CodeType, probe_id: str) -> bool:
        variant = self._variants.get(id(code))
        return variant is not None and probe_id in variant.probe_ids

    def _in_use(self, original: CodeType) -> list[CodeType]:
        """List the original and every variant of it that is alive."""
        return [original, *(c for c, v in self._alive() if v.original is original)]

    def _alive(self) -> Iterator[tuple[CodeType, _Variant]]:
        for variant in list(self._variants.values()):
            code = variant.code()
            if code is not None:
                yield code, variant

    def _stale(self) -> Iterator[CodeType]:
        """Yield the variants that are alive though nothing new should run them."""
        for code, variant in self._alive():
            _, current = self._current.get(id(variant.original), (None, None))
            if code is not current:
                yield code

    def _remembered(self) -> list[FunctionType]:
        references = list(self._functions.values())
        return [function for reference in references if (function := reference()) is not None]

    def _old(self, original: CodeType) -> list[CodeType]:
        """List the code objects that frames may run, but new calls do not."""
        _, current = self._current.get(id(original), (original, original))
        return [code for code in self._in_use(original) if code is not current]

    def _is_old_in_use(self, chain: Chain) -> bool:
        """True if somebody may run old code of a chain: refers to it, and is not known to us.

        A frame of outer code counts too: it may make a function with old inner code yet. Never
        false while there is such a frame; true for too long where somebody keeps the code.
        """
        old = [code for original in chain for code in self._old(original)]
        return sum(references_to(old)) > self._known_references(old)

    def _known_references(self, codes: Sequence[CodeType]) -> int:
        """Count what surely refers to code objects and is no frame: our tables, code around them,
        and the functions that we know of.
        """
        wanted = {id(code) for code in codes}
        chains = {id(chain): chain for chain, _ in self._placements}
        held = [inner for chain in chains.values() for inner in chain]
        held += [variant.original for variant in self._variants.values()]
        held += [inner for pair in self._current.values() for inner in pair]
        held += [function.__code__ for function in self._remembered()]
        held += self._running.codes
        around = [*held, *codes_on_stacks(), *(code for code, _ in self._alive())]
        # By identity, for `code.replace` shares them: one too many would give up a frame.
        constants = {id(code.co_consts): code.co_consts for code in around}
        held += [c for each in constants.values() for c in each if type(c) is CodeType]
        return sum(id(code) in wanted for code in held)
