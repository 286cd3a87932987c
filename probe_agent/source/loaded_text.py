"""The text behind a loaded file, and how far it may be believed to be what runs."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader, SourcelessFileLoader
from types import CodeType
from typing import Final
from zipimport import zipimporter

from probe_agent.source.files import LoadedFile, modules_of
from probe_agent.source.sameness import Comparison, Sameness
from probe_agent.source.text import NO_TEXT, TEXT_CHANGED, Text, read_text, was_touched_since

_PLAIN: Final = (SourceFileLoader, zipimporter)


@dataclass(frozen=True, slots=True)
class LoadedText:
    """The text that a loaded file's path leads to now.

    `is_plain`: the loader compiles text as it is, so equal text gives equal code. `is_untouched`:
    the file is older than this
    process. `is_loading`: a module of it is being executed right now.
    """

    text: Text | None
    is_plain: bool
    is_untouched: bool
    is_loading: bool

    def runs_as(self, root: CodeType) -> bool:
        """True if the text is what this live function was made from."""
        return self.runs_as_all((root,))

    def runs_as_all(self, roots: Iterable[CodeType]) -> bool:
        """True if all of these live functions were made from the text."""
        if self.text is None:
            return False
        if not self.is_plain:
            return self.is_untouched
        comparison = Comparison(self.text.lines)
        for root in roots:
            time.sleep(0)
            found = comparison.compare(root)
            if found is Sameness.DIFFERENT or (
                found is Sameness.UNCHECKED and not self.is_untouched
            ):
                return False
        return True

    @property
    def stand_in(self) -> str:
        """What to show in place of a line that cannot be believed."""
        return NO_TEXT if self.text is None else TEXT_CHANGED


def text_of_loaded(file: LoadedFile, started_s: float) -> LoadedText:
    """Read the text of a loaded file. Args: started_s: when this process began (Unix time)."""
    loader, is_loading = _origin(file)
    text = None
    if type(loader) is not SourcelessFileLoader:
        text = read_text(file.path)
    return LoadedText(
        text=text,
        is_plain=type(loader) in _PLAIN,
        is_untouched=not was_touched_since(file.path, started_s),
        is_loading=is_loading,
    )


def _origin(file: LoadedFile) -> tuple[object, bool]:
    """Find the loader, and whether a module of the file is still being executed."""
    loader: object = None
    is_loading = False
    for namespace in modules_of(file.names):
        spec = namespace.get("__spec__")
        loader = namespace.get("__loader__") or loader
        if type(spec) is ModuleSpec:
            loader = spec.loader or loader
            # Source: Lib/importlib/_bootstrap.py _load_unlocked: set while a module executes.
            is_loading = is_loading or bool(getattr(spec, "_initializing", False))
    return loader, is_loading
