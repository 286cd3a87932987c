"""The live code of one loaded file: its original code objects, and who else holds them."""

from __future__ import annotations

import _thread
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import CodeType, FrameType, FunctionType
from typing import Final, TypeAlias

from probe_agent.source.files import LoadedFile, is_own_path, loaded_modules, modules_of
from probe_agent.source.functions import OWN, REST, Walk
from probe_agent.source.lines import Chain, is_function, is_written, nested, roots_of, tree

OriginalOf: TypeAlias = Callable[[CodeType], CodeType]

_CODES_PER_SLICE: Final = 20  # about 0.5 ms of reading line tables
_OURS: Final = __name__.partition(".")[0]


@dataclass(frozen=True, slots=True)
class LiveCode:
    """What is alive of a file. `roots`: outermost original code objects. `functions`: what was
    found to use code of it.
    """

    roots: list[CodeType]
    functions: list[FunctionType]


def live_code(file: LoadedFile, original_of: OriginalOf, *, everywhere: bool = False) -> LiveCode:
    """Find the live code of a file, as it was before any rewriting.

    Args: everywhere: look in the rest of the program too, for functions that only others keep.
    """
    functions = find_functions(
        file.names, lambda code: code.co_filename in file.names, everywhere=everywhere
    )
    running = (code for code in _running_codes() if code.co_filename in file.names)
    codes = (*(f.__code__ for f in functions), *running)
    return LiveCode(roots_of(original_of(code) for code in codes if is_written(code)), functions)


def find_functions(
    names: frozenset[str], wanted: Callable[[CodeType], bool], *, everywhere: bool
) -> list[FunctionType]:
    """Walk the modules that came from a file, then, if asked, the rest of the program."""
    own = list(modules_of(names))
    walk = Walk(wanted, within={str(namespace.get("__name__")) for namespace in own})
    walk.run(own, OWN)
    if everywhere:
        walk.widen()
        inside = {id(namespace) for namespace in own}
        for group in _others():
            walk.run((d for d in group if id(d) not in inside), REST)
    return walk.found


def _others() -> Iterator[list[dict[str, object]]]:
    """Group all modules' namespaces but the agent's: the service's own, installed packages, the
    standard library.
    """
    service: list[dict[str, object]] = []
    packages: list[dict[str, object]] = []
    library: list[dict[str, object]] = []
    for name, namespace in loaded_modules():
        top, path = name.partition(".")[0], namespace.get("__file__")
        if top in sys.stdlib_module_names and top != "__main__":
            library.append(namespace)
        elif top != _OURS and (type(path) is not str or is_own_path(path)):
            service.append(namespace)  # what has no file, the service made
        elif top != _OURS:
            packages.append(namespace)
    yield from (service, packages, library)


def _running_codes() -> list[CodeType]:
    """List the functions that some thread is inside of."""
    return list({id(code): code for code in _frame_codes() if is_function(code)}.values())


def _frame_codes() -> Iterator[CodeType]:
    """Yield the code of every frame of the other threads, but of no suspended generator."""
    frames = sys._current_frames()  # noqa: SLF001 (the only view of other threads)
    # Never bind a frame of our own: it would refer to itself, and keep what was found until a
    # collection.
    frames.pop(_thread.get_ident(), None)
    for top in frames.values():
        place: FrameType | None = top
        while place is not None:
            yield place.f_code
            place = place.f_back


def is_held_elsewhere(
    chain: Chain, depth: int, chains: Sequence[Chain], functions: Sequence[FunctionType]
) -> bool:
    """True if something unknown refers to the code object `chain[depth]`: perhaps a function that
    the walk did not see.

    Known are `chains`, `functions`, the parent, running frames, and bodies that still run. What
    asking itself adds is
    measured on a fresh code object, so it is right on each version. Suspended generators count as
    unknown.
    The caller must keep no variable of its own with that code object.
    """
    fresh = (chain[depth].replace(),)
    extra = _count(chain, depth) - _count(fresh, 0)
    code = chain[depth]
    known = sum(inner is code for other in chains for inner in other) - 1
    known += sum(function.__code__ is code for function in functions)
    known += depth > 0
    known += sum(_is_known(running, code) for running in _frame_codes())
    return extra > known


def _count(chain: Chain, depth: int) -> int:
    return sys.getrefcount(chain[depth])


def _is_known(running: CodeType, code: CodeType) -> int:
    """Count what one running frame explains: itself, or its module's body that holds the code
    object.
    """
    if is_function(running):
        return running is code
    if running.co_filename != code.co_filename:
        return 0
    return sum(inner is code for chain in tree(running) for inner in nested(chain[-1]))


def with_pauses(codes: Iterable[CodeType]) -> Iterator[CodeType]:
    """Yield code objects, giving the interpreter back between some of them."""
    for count, code in enumerate(codes):
        if count and count % _CODES_PER_SLICE == 0:
            time.sleep(0)
        yield code
