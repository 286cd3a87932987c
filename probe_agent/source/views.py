"""A file as `find_code` shows it: its text if that is what runs, its executable lines, its code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType

from probe_agent.probe import SourceMatch
from probe_agent.source.files import LoadedFile, PathFile
from probe_agent.source.lines import Chain, is_function, line_map, lines_of, tree
from probe_agent.source.live import OriginalOf, live_code, with_pauses
from probe_agent.source.loaded_text import text_of_loaded
from probe_agent.source.path_text import lines_on_path
from probe_agent.source.places import shown
from probe_agent.source.text import Text


@dataclass(frozen=True, slots=True)
class View:
    """`text`: None if what is on disk is not what runs; `stand_in` is shown for it then.

    `lines`: where a probe can be placed. `roots`: live code, or compiled pieces of a file that is
    not loaded.
    """

    path: str
    text: Text | None
    stand_in: str
    lines: Mapping[int, Sequence[Chain]]
    roots: Sequence[CodeType]

    def match(self, line: int, function: str, names: tuple[str, ...] = ()) -> SourceMatch:
        """Describe one line, without what is around it."""
        return SourceMatch(
            file=self.path,
            line=line,
            function=function,
            code=self.stand_in if self.text is None else shown(self.text, line),
            executable=line in self.lines,
            names=names,
            source_sha256="" if self.text is None else self.text.sha256,
        )

    def functions(self) -> Iterator[CodeType]:
        """Yield every function's code, parents first."""
        for root in self.roots:
            yield from (chain[-1] for chain in tree(root) if is_function(chain[-1]))

    def function_at(self, line: int) -> CodeType | None:
        """Find the innermost function around a line; None outside of any."""
        if line in self.lines:
            code = self.lines[line][0][-1]
            return code if is_function(code) else None
        around = [code for code in self.functions() if _first(code) <= line <= _last(code)]
        return min(around, key=lambda code: _last(code) - _first(code), default=None)


def _first(code: CodeType) -> int:
    return code.co_firstlineno


def _last(code: CodeType) -> int:
    return max((max(lines_of(chain[-1]), default=0) for chain in tree(code)), default=0)


def view_of(file: LoadedFile | PathFile, original_of: OriginalOf, started_s: float) -> View:
    """Look at a file. Raises: Unsupported: a file that is not loaded cannot be read."""
    if isinstance(file, PathFile):
        text, lines, roots = lines_on_path(file.path)
        return View(file.path, text, "", lines, roots)
    roots = (
        live_code(file, original_of).roots or live_code(file, original_of, everywhere=True).roots
    )
    loaded = text_of_loaded(file, started_s)
    believed = loaded.text if loaded.runs_as_all(roots) else None
    return View(file.path, believed, loaded.stand_in, line_map(with_pauses(roots)), roots)
