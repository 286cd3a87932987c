"""Find live functions by walking from modules: in slices that give the interpreter back, running no
user code.

`gc.get_referrers` sees everything and holds the interpreter for 10 ms per million objects; the walk
visits a few thousand
objects, so it comes first. It follows `gc.get_referents` only (the collector's own view: no
`__getattribute__`, no property,
no `__dict__` made), level by level. It misses functions that only a running frame's locals hold.
"""

from __future__ import annotations

import gc
import sys
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from types import (
    BuiltinFunctionType,
    CodeType,
    FrameType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Final

_SLICE: Final = 1_000  # references between two chances for other threads: about 0.3 ms
_LARGEST: Final = 5_000  # entries; a larger container is somebody's data
_SIZED: Final = (dict, list, tuple, set, frozenset, deque)
_LEAVES: Final = frozenset(
    {
        str,
        bytes,
        bytearray,
        int,
        float,
        complex,
        bool,
        type(None),
        range,
        CodeType,
        ModuleType,
        FrameType,
    }
    | {
        BuiltinFunctionType,
        GetSetDescriptorType,
        MemberDescriptorType,
        MethodDescriptorType,
        WrapperDescriptorType,
    }
)
_MODULE_DICT: Final[Callable[[object], dict[str, object]]] = vars(ModuleType)["__dict__"].__get__
_MODULE_OF_CLASS: Final[Callable[[object], object]] = vars(type)["__module__"].__get__
# `get_referrers` stalls every thread, about 5 ms per million blocks.
_HEAP_BLOCKS: Final = 4_000_000
SMALL_HEAP_BLOCKS: Final = 400_000


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a walk goes.

    `levels`: steps from a module's namespace, each container on the way being one. `references`:
    followed at most.
    """

    levels: int
    references: int


OWN: Final = Reach(levels=12, references=60_000)
REST: Final = Reach(levels=7, references=30_000)


def module_dict(module: object) -> dict[str, object] | None:
    """Get a module's namespace without waking lazy modules; None for what is no module."""
    return _MODULE_DICT(module) if issubclass(type(module), ModuleType) else None


class Walk:
    """Visits what is reachable from modules' namespaces; nothing twice, also over several calls.

    Args: wanted: whether a function's code is. within: names of modules whose classes are entered;
    None for all.
    """

    def __init__(
        self, wanted: Callable[[CodeType], bool], within: Collection[str] | None = None
    ) -> None:
        self.found: list[FunctionType] = []
        self._wanted = wanted
        self._within = within
        # Every function refers to its module's namespace: entering those would be to walk
        # everywhere.
        self._seen = {
            id(d) for m in list(sys.modules.values()) if (d := module_dict(m)) is not None
        }
        self._is_entered: dict[type, Callable[[object], bool]] = {}

    def run(self, namespaces: Iterable[Mapping[str, object]], reach: Reach) -> None:
        """Walk level by level; adds to `found`."""
        level: list[object] = list(namespaces)
        followed = 0
        for _ in range(reach.levels):
            following: list[object] = []
            for parent in level:
                before = followed
                followed += self._visit(parent, following)
                if before // _SLICE != followed // _SLICE:
                    time.sleep(0)
                if followed > reach.references:
                    return
            level = following

    def widen(self) -> None:
        """From now on enter every class."""
        self._within = None
        self._is_entered.clear()

    def _visit(self, parent: object, following: list[object]) -> int:
        """Look at what an object refers to. Returns: how many references that were."""
        seen, is_entered = self._seen, self._is_entered
        references = gc.get_referents(parent)
        for thing in references:
            kind = type(thing)
            if kind in _LEAVES or id(thing) in seen or not gc.is_tracked(thing):
                continue
            seen.add(id(thing))
            if kind is FunctionType and self._wanted(thing.__code__):
                self.found.append(thing)
            enter = is_entered.get(kind) or self._learn(kind)
            if enter(thing):
                following.append(thing)
        return len(references) + 1

    def _learn(self, kind: type) -> Callable[[object], bool]:
        """Choose, once per type, how to tell whether to enter an object of it.

        On types only: isinstance would ask the object for its __class__.
        """
        enter: Callable[[object], bool] = _always
        if issubclass(kind, type) and self._within is not None:
            enter = _class_of(self._within)  # no bound method: a cycle would keep what was found
        for sized in _SIZED:
            if issubclass(kind, sized):
                enter = _smaller(sized)
        self._is_entered[kind] = enter
        return enter


def _always(_: object) -> bool:
    return True


def _class_of(modules: Collection[str]) -> Callable[[object], bool]:
    def is_own(thing: object) -> bool:
        name = _MODULE_OF_CLASS(thing)
        return type(name) is str and name in modules

    return is_own


def _smaller(sized: type) -> Callable[[object], bool]:
    length: Callable[[object], int] = vars(sized)["__len__"]
    return lambda thing: length(thing) <= _LARGEST


def functions_by_referrers(code: CodeType, *, is_last_hope: bool) -> list[FunctionType]:
    """Find every function that uses a code object, stalling all threads for as long as it takes.

    Args: is_last_hope: nothing else found any; then a larger heap is worth the stall.
    """
    if sys.getallocatedblocks() >= (_HEAP_BLOCKS if is_last_hope else SMALL_HEAP_BLOCKS):
        return []
    return [f for f in gc.get_referrers(code) if type(f) is FunctionType and f.__code__ is code]
