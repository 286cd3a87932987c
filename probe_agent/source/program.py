"""The running program as the agent asks about it: where a place is, which code it is, which
functions use that code.

Called from the agent's background thread only. Everything is bounded and gives the interpreter
back; nothing found is kept
(weak references to code objects, between `chains` and `functions_using`).
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Final

from probe_agent.errors import CodeMismatch, InvalidArgument, LineNotExecutable
from probe_agent.literal import spelled
from probe_agent.probe import Location, SourceMatch, Where
from probe_agent.source.files import LoadedFile, PathFile, find_file
from probe_agent.source.find import find_function, find_line, outline
from probe_agent.source.functions import functions_by_referrers
from probe_agent.source.lines import Chain, line_map
from probe_agent.source.live import (
    OriginalOf,
    find_functions,
    is_held_elsewhere,
    live_code,
    with_pauses,
)
from probe_agent.source.loaded_text import LoadedText, text_of_loaded
from probe_agent.source.path_text import lines_on_path
from probe_agent.source.places import Place, resolve, shown
from probe_agent.source.reasons import reason
from probe_agent.source.refusals import (
    is_compiled_name,
    not_python,
    require_python,
    require_uncached,
)
from probe_agent.source.text import process_start_s

_MOST_NOTES: Final = 256
# Generator, coroutine, async generator: suspended frames hold their code.
_SUSPENDABLE: Final = 0x20 | 0x80 | 0x200
_CHANGED: Final = "the file on disk has changed since it was loaded"


@dataclass(frozen=True, slots=True)
class _Note:
    """What `chains` saw of a code object. `is_held`: somebody unknown refers to it, perhaps a
    function. `users`: functions that use it.
    """

    code: weakref.ref[CodeType]
    is_held: bool
    users: int

    def explains(self, found: Sequence[FunctionType], original_of: OriginalOf) -> bool:
        """True if nothing but these functions, and closures made since, can use the code object or
        what was rewritten from it.
        """
        code = self.code()
        users = sum(original_of(f.__code__) is code for f in found)
        return not self.is_held and self.users <= users


class Program:
    """Answers about the code of this process.

    Args: original_of: the original of a rewritten code object, and any other code object itself.
    """

    def __init__(self, original_of: OriginalOf) -> None:
        self._original_of = original_of
        self._started_s = process_start_s()
        # What `chains` saw, by id of the code object.
        self._notes: dict[int, _Note] = {}

    def locate(self, where: Where) -> Location:
        """Resolve a place.

        Raises: UnknownFile, AmbiguousFile, LineNotExecutable, CodeMismatch, AmbiguousCode,
        Unsupported, InvalidArgument.
        """
        if where.line is None and where.expect_code is None:
            raise InvalidArgument(
                "Cannot place a probe", "neither line nor expect_code is given", "Give one of them"
            )
        if is_compiled_name(where.file):
            raise not_python(where.file)
        file = find_file(where.file)
        require_python(file, where.file)
        if isinstance(file, PathFile):
            return self._locate_on_path(file.path, where)
        return self._locate_loaded(file, where)

    def chains(self, location: Location) -> tuple[Chain, ...]:
        """Find the original code objects that have the line of a loaded place: root function first,
        target last.

        Returns: one chain per distinct code object (a module may be loaded twice); none if the file
        is not loaded.
        Raises: UnknownFile, AmbiguousFile. Unsupported: a tool in C keeps something for its code.
        """
        file = find_file(location.file)
        if not location.loaded or isinstance(file, PathFile):
            return ()
        for everywhere in (False, True):
            live = live_code(file, self._original_of, everywhere=everywhere)
            chains = tuple(line_map(with_pauses(live.roots)).get(location.line, ()))
            if chains:
                for chain in chains:
                    require_uncached(chain[-1])
                functions = live.functions
                del live  # `_note` counts who holds the code objects
                return self._note(self._believed(file, chains), functions)
        return ()

    def functions_using(self, codes: Collection[CodeType]) -> list[FunctionType]:
        """Find the live functions whose `__code__` is one of these objects, by identity.

        The modules of the code's files come first; the rest of the program only if somebody unknown
        holds a code object.
        """
        ids = {id(code) for code in codes}
        names = frozenset(code.co_filename for code in codes)
        names |= {os.path.realpath(name) for name in names}
        found = find_functions(names, lambda code: id(code) in ids, everywhere=False)
        notes = [self._noted(self._original_of(code)) for code in codes]
        if not all(note and note.explains(found, self._original_of) for note in notes):
            found = find_functions(names, lambda code: id(code) in ids, everywhere=True)
        for code, note in zip(codes, notes, strict=True):
            if note and note.is_held and not (found and code.co_flags & _SUSPENDABLE):
                found += functions_by_referrers(code, is_last_hope=not found)
        return list({id(function): function for function in found}.values())

    def is_current(self, file: str) -> bool:
        """True if all that lives of a loaded file was made from the text that is on disk now.

        Raises: UnknownFile, AmbiguousFile.
        """
        found = find_file(file)
        if isinstance(found, PathFile):
            return True
        roots = live_code(found, self._original_of).roots
        return text_of_loaded(found, self._started_s).runs_as_all(roots)

    def find(self, file: str, line: int, function: str) -> tuple[tuple[SourceMatch, ...], int]:
        """Answer `find_code`: a function's text, a line with ten around it, or a file's outline.

        Returns: matches, and how many were left out.
        Raises: UnknownFunction, AmbiguousFunction, and what `locate` raises.
        """
        if function:
            return find_function(file, function, self._original_of, self._started_s)
        if not file:
            raise InvalidArgument(
                "Cannot look for nothing", "neither file nor function is given", "Give one of them"
            )
        if line:
            return find_line(file, line, self._original_of, self._started_s)
        return outline(file, self._original_of, self._started_s)

    def _locate_on_path(self, path: str, where: Where) -> Location:
        text, lines, _ = lines_on_path(path)
        place = resolve(where, lines, text, lambda n: reason(text, n, bodies_are_over=False))
        return Location(
            file=path,
            line=place.line,
            function=place.chains[0][-1].co_qualname,
            code=shown(text, place.line),
            moved_from=place.moved_from,
            loaded=False,
        )

    def _locate_loaded(self, file: LoadedFile, where: Where) -> Location:
        loaded = text_of_loaded(file, self._started_s)
        try:
            place = self._place(file, where, loaded)
        except (LineNotExecutable, CodeMismatch):
            if loaded.is_loading and loaded.text is not None:
                return self._locate_on_path(file.path, where)
            raise
        believed = loaded.runs_as(place.chains[0][0])
        if where.expect_code is not None and not believed:
            raise _changed(where)
        return Location(
            file=file.path,
            line=place.line,
            function=place.chains[0][-1].co_qualname,
            code=shown(loaded.text, place.line) if believed else loaded.stand_in,
            moved_from=place.moved_from,
        )

    def _place(self, file: LoadedFile, where: Where, loaded: LoadedText) -> Place:
        """Resolve among the live lines: of the file's own modules, then of whoever keeps its
        functions.
        """
        lines: Mapping[int, Sequence[Chain]] = line_map(
            with_pauses(live_code(file, self._original_of).roots)
        )
        try:
            return resolve(where, lines, loaded.text, lambda _: "")
        except (LineNotExecutable, CodeMismatch):
            roots = live_code(file, self._original_of, everywhere=True).roots
        try:
            return resolve(
                where,
                line_map(with_pauses(roots)),
                loaded.text,
                lambda n: _reason(loaded, n, roots),
            )
        except CodeMismatch:
            if loaded.runs_as_all(roots):
                raise
            raise _changed(where) from None

    def _believed(self, file: LoadedFile, chains: tuple[Chain, ...]) -> tuple[Chain, ...]:
        """Of several versions of a file that live at once, keep those that the text on disk belongs
        to, if any.
        """
        if len(chains) == 1:
            return chains
        loaded = text_of_loaded(file, self._started_s)
        return tuple(chain for chain in chains if loaded.runs_as(chain[0])) or chains

    def _note(self, chains: tuple[Chain, ...], functions: list[FunctionType]) -> tuple[Chain, ...]:
        if len(self._notes) > _MOST_NOTES:
            self._notes.clear()
        for chain in chains:
            for depth in range(len(chain)):
                is_held = is_held_elsewhere(chain, depth, chains, functions)
                if any(self._is_rewritten(f, chain[depth]) for f in functions):
                    continue
                users = sum(f.__code__ is chain[depth] for f in functions)
                self._notes[id(chain[depth])] = _Note(weakref.ref(chain[depth]), is_held, users)
        return chains

    def _is_rewritten(self, function: FunctionType, code: CodeType) -> bool:
        """True if a function runs another version of the code: then the rewriter holds the
        original.
        """
        return function.__code__ is not code and self._original_of(function.__code__) is code

    def _noted(self, code: CodeType) -> _Note | None:
        note = self._notes.get(id(code))
        return note if note is not None and note.code() is code else None


def _reason(loaded: LoadedText, line: int, roots: Sequence[CodeType]) -> str:
    if loaded.text is None:
        return "none of its running code is on that line"
    if loaded.runs_as_all(roots):
        return reason(loaded.text, line, bodies_are_over=True)
    return f"none of its running code is on that line, and {_CHANGED}"


def _changed(where: Where) -> CodeMismatch:
    return CodeMismatch(
        f"Cannot place a probe in {spelled(where.file)}",
        f"{_CHANGED}, so its text says nothing about the code that runs",
        "Restart the service, or give file and line of the version that runs, without expect_code",
    )
