"""Serve frames that run old code: calls that began before a probe was placed and never saw it.

New calls run the rewritten code and meet no event. On the code objects of before, which only such
frames still run, LINE events of `sys.monitoring` (3.12+) do what the inserted block does. They are
local to those code objects: other code costs what it did. Other tools lose none of their events;
one that was alone on such a code object is asked once more about lines that it has disabled there.
Global events and `restart_events` are never used. 3.11 has nothing of the kind. On 3.12 code that
has carried events stays slower by about 1 ns for each two lines: its joined instructions come apart
and are not joined again.

A hit counts where the insertion would stand: at the instructions that `points` names, found by the
frame's `f_lasti`, so statements over several lines and `for` lines count alike. Differences that
remain: an event costs about 0.3 us more than the block, and a frame with no room for one more call
on its stack gets the RecursionError one call early.

The tool id is taken while there is something to serve. Only ids that no kind of tool calls its own:
0 to 2 are for debuggers, coverage and profilers (cProfile, pdb), which would fail to start if we
stood there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat
from sys import _getframe
from types import CodeType, FrameType
from typing import Any, Final, TypeAlias

from probe_agent.builtin_names import BUILTINS
from probe_agent.errors import SondeError
from probe_agent.rewrite.flow import flow_of
from probe_agent.rewrite.insertion import Insertion, ReadVariable
from probe_agent.rewrite.native import variable_reader
from probe_agent.rewrite.points import entries
from probe_agent.rewrite.units import decode

__builtins__ = BUILTINS  # the application may replace its own

# None on 3.11. Its functions are called with a tool id of our own only.
_MONITORING: Final[Any] = getattr(sys, "monitoring", None)
_TOOL_IDS: Final = (4, 3, 5)
_TOOL_NAME: Final = "sonde"
_BYTES_PER_UNIT: Final = 2
# What runs an insertion, and what that reads variables with.
_Act: TypeAlias = tuple[Callable[[FrameType, ReadVariable], None], ReadVariable]


@dataclass(frozen=True, slots=True)
class _Served:
    """One insertion in one old code object. `at`: offsets of its instructions, in bytes."""

    probe_id: str
    at: frozenset[int]
    act: _Act


@dataclass(frozen=True, slots=True)
class _Watched:
    """An old code object, and what is served in it."""

    code: CodeType
    served: tuple[_Served, ...]


class RunningFrames:
    """Knows which old code objects carry LINE events, and for which insertions.

    All but `_on_line` is called on the background thread. What `_on_line` reads is replaced as a
    whole.
    """

    def __init__(self) -> None:
        self._read = None if _MONITORING is None else variable_reader()
        self._tool: int | None = None
        self._watched: dict[int, _Watched] = {}
        # By code object's id and offset.
        self._acts: dict[tuple[int, int], tuple[_Act, ...]] = {}

    @property
    def codes(self) -> list[CodeType]:
        """The old code objects that carry events."""
        return [watched.code for watched in self._watched.values()]

    def serve(self, code: CodeType, insertion: Insertion) -> bool:
        """Run an insertion for all frames of an old code object, from now on.

        Returns: False if they are out of reach: this Python has no such events or no safe way to
        read a frame, no tool id is free, or the line has no place of its own in this code.
        """
        if insertion.run is None or self._read is None:
            return False
        at = _offsets(code, insertion.line)
        if not at or not self._has_tool():
            return False
        before = self._watched.get(id(code), _Watched(code, ()))
        served = (*before.served, _Served(insertion.probe_id, at, (insertion.run, self._read)))
        self._know({**self._watched, id(code): _Watched(code, served)})
        self._set_events(code, is_on=True)
        return True

    def drop(self, probe_id: str) -> None:
        """Serve a probe no more."""
        left = {
            key: _Watched(w.code, tuple(s for s in w.served if s.probe_id != probe_id))
            for key, w in self._watched.items()
        }
        self._keep({key: w for key, w in left.items() if w.served})

    def release(self, codes: Sequence[CodeType]) -> None:
        """Take the events off code objects that nobody runs any more."""
        gone = {id(code) for code in codes}
        self._keep({key: w for key, w in self._watched.items() if key not in gone})

    def release_all(self) -> None:
        """Take off all events."""
        self._keep({})

    def _keep(self, watched: dict[int, _Watched]) -> None:
        gone = [w.code for key, w in self._watched.items() if key not in watched]
        for code in gone:
            self._set_events(code, is_on=False)
        self._know(watched)
        if not watched:
            self._free_tool()

    def _know(self, watched: dict[int, _Watched]) -> None:
        acts: dict[tuple[int, int], tuple[_Act, ...]] = {}
        for key, one in watched.items():
            for served in one.served:
                for place in ((key, offset) for offset in served.at):
                    acts[place] = (*acts.get(place, ()), served.act)
        self._watched = watched
        self._acts = acts

    def _on_line(self, code: CodeType, line: int) -> object:
        """Answer a LINE event, on the application's thread."""
        del line  # the instruction says more
        frame = _getframe(1)
        place = (id(code), frame.f_lasti)
        # No call from here to `return`, so no other thread runs in between: else one that begins to
        # serve this very place would be undone by our DISABLE.
        if place not in self._acts:
            return _MONITORING.DISABLE
        try:
            for run, read in self._acts.get(place, ()):
                run(frame, read)
        except RecursionError:
            return None  # the stack is full: the application goes on as if we were not here
        return None

    # -- the tool id -----------------------------------------------------------------------------

    def _has_tool(self) -> bool:
        """Take a tool id unless we have one. Returns: False if none is free."""
        if self._tool is None:
            self._tool = next((tool for tool in _TOOL_IDS if _take(tool)), None)
            if self._tool is not None:
                events = _MONITORING.events
                _MONITORING.register_callback(self._tool, events.LINE, self._on_line)
        return self._tool is not None

    def _free_tool(self) -> None:
        tool, self._tool = self._tool, None
        if _is_ours(tool):
            _MONITORING.register_callback(tool, _MONITORING.events.LINE, None)
            _MONITORING.free_tool_id(tool)

    def _set_events(self, code: CodeType, *, is_on: bool) -> None:
        if not _is_ours(self._tool):
            return
        # What was answered with DISABLE comes back only when the events go and come. Both in one
        # call from C, so that nothing is lost in between: no other thread runs.
        events = (0, _MONITORING.events.LINE) if is_on else (0,)
        setting = (repeat(self._tool), repeat(code), events)
        list(map(_MONITORING.set_local_events, *setting))


def _take(tool: int) -> bool:
    try:
        _MONITORING.use_tool_id(tool, _TOOL_NAME)
    except ValueError:  # somebody has it
        return False
    return True


def _is_ours(tool: int | None) -> bool:
    """False too if the application has freed what it did not take."""
    return tool is not None and _MONITORING.get_tool(tool) == _TOOL_NAME


def _offsets(code: CodeType, line: int) -> frozenset[int]:
    """Find where `line` is entered in a code object; empty if it is not, or not known."""
    try:
        units = decode(code)
        found = {entry.at for entry in entries(flow_of(units), line)}
    except SondeError:
        return frozenset()
    offsets, offset = [], 0
    for unit in units:
        offsets.append(offset)
        offset += (unit.width + unit.caches) * _BYTES_PER_UNIT
    return frozenset(offsets[at] for at in found)
