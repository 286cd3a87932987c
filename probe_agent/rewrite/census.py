"""Who still runs or holds a code object.

How sure the numbers are. Frames on the threads' stacks: exact at that moment. Suspended or
unstarted generators, coroutines and async generators: exact in a heap of up to about a million
objects; in a larger one, where looking at every object would stop the application for longer than
we may, an upper bound from the code object's reference count, too high by one for each holder that
we do not know. Suspended greenlets are not seen. All threads
but the calling one are counted.
"""

from __future__ import annotations

import _thread
import gc
import inspect
import sys
from collections.abc import Collection, Iterator, Sequence
from types import (
    AsyncGeneratorType,
    CodeType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
)
from typing import Final

# `sys.getallocatedblocks` up to which `gc.get_referrers` may be asked, which holds the GIL for 5 ms
# per million blocks: to count calls, and, as a last resort, to find functions.
SMALL_HEAP_BLOCKS: Final = 400_000
LARGE_HEAP_BLOCKS: Final = 4_000_000
_SUSPENDABLE: Final = (
    inspect.CO_GENERATOR
    | inspect.CO_COROUTINE
    | inspect.CO_ASYNC_GENERATOR
    | inspect.CO_ITERABLE_COROUTINE
)
# By type: where its frame and its code are.
_SUSPENDED: Final = {
    GeneratorType: ("gi_frame", "gi_code", "gi_running"),
    CoroutineType: ("cr_frame", "cr_code", "cr_running"),
    AsyncGeneratorType: ("ag_frame", "ag_code", "ag_running"),
}
# A suspended frame counts twice on 3.11: for itself and for the object around it.
_REFERENCES_PER_FRAME: Final = 2 if sys.version_info < (3, 12) else 1


def frames_of(
    codes: Sequence[CodeType], known_references: int, small_heap_blocks: int = SMALL_HEAP_BLOCKS
) -> int:
    """Count the calls under way that run one of these code objects.

    Args: codes: the caller's list, which holds one more reference to each. known_references: to all
    of them together, from functions, constants and our own tables.
    """
    running = _running(codes)
    if not any(code.co_flags & _SUSPENDABLE for code in codes):
        return running
    if sys.getallocatedblocks() < small_heap_blocks:
        return running + sum(1 for code in codes for _ in _suspended(code))
    references = sum(references_to(codes)) - known_references - running
    return running + max(0, references) // _REFERENCES_PER_FRAME


def held_by_more_than_frames(
    codes: Sequence[CodeType], known_references: Sequence[int]
) -> list[bool]:
    """Tell which code objects somebody refers to beside running frames and the caller's list.

    False only if each reference is accounted for; a generator or a function makes it true.
    Args: known_references: to each of them, as for `frames_of`.
    """
    frames = [_running([code]) for code in codes]
    counts = zip(references_to(codes), known_references, frames, strict=True)
    return [references - known > running for references, known, running in counts]


def references_to(codes: Sequence[CodeType]) -> list[int]:
    """Count the references to each code object beyond the caller's list.

    What the question itself adds differs between versions: it is measured on a fresh object in a
    list. The code objects are never bound to a name here, which would add one more.
    """
    if not codes:
        return []
    fresh = [codes[0].replace()]
    asking = sys.getrefcount(fresh[0])
    return [sys.getrefcount(codes[at]) - asking for at in range(len(codes))]


def codes_on_stacks() -> list[CodeType]:
    """List what the other threads run now, callers included: each code object once."""
    found = {id(frame.f_code): frame.f_code for frame in _frames_of_others()}
    return list(found.values())


def _running(codes: Collection[CodeType]) -> int:
    wanted = {id(code) for code in codes}
    return sum(id(frame.f_code) in wanted for frame in _frames_of_others())


def _frames_of_others() -> Iterator[FrameType]:
    frames = sys._current_frames()  # noqa: SLF001 (the only view of other threads)
    # Our own would refer to itself, and keep the code objects that we hold until the next garbage
    # collection.
    frames.pop(_thread.get_ident(), None)
    for top in frames.values():
        frame: FrameType | None = top
        while frame is not None:
            yield frame
            frame = frame.f_back


def _suspended(code: CodeType) -> Iterator[object]:
    for holder in gc.get_referrers(code):
        names = _SUSPENDED.get(type(holder))
        if names is None:
            continue
        frame, its_code, is_running = (getattr(holder, name) for name in names)
        if its_code is code and frame is not None and not is_running:
            yield holder


def functions_holding(code: CodeType) -> list[FunctionType]:
    """Find every function that uses a code object, wherever it is; none if the heap is too large to
    look.
    """
    if sys.getallocatedblocks() >= LARGE_HEAP_BLOCKS:
        return []
    return [
        holder
        for holder in gc.get_referrers(code)
        if type(holder) is FunctionType and holder.__code__ is code
    ]
