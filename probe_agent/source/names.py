"""Which function a name means: dotted (`trades.validate.check_limit`), with its class
(`Limits.check`), or bare.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from types import CodeType
from typing import Final, TypeAlias

from probe_agent.errors import AmbiguousFile, AmbiguousFunction, UnknownFile, UnknownFunction
from probe_agent.literal import spelled
from probe_agent.source.aliases import functions_behind
from probe_agent.source.files import (
    LoadedFile,
    PathFile,
    find_file,
    is_own_path,
    loaded_modules,
    spellings_of,
)
from probe_agent.source.live import OriginalOf
from probe_agent.source.pieces import NESTED
from probe_agent.source.refusals import frozen
from probe_agent.source.text import read_text
from probe_agent.source.views import View, view_of

_SEARCH_S: Final = 2.0  # of the 4 s that the tool has
_MOST_NAMES: Final = 10
_OURS: Final = __name__.partition(".")[0]
_NO_FILE: Final = "<string>"  # what `exec` calls text that it was given, as `dataclasses` does


@dataclass(frozen=True, slots=True)
class Named:
    """A function under the name that tells it from others. `view`: the file that it is in."""

    name: str
    code: CodeType
    view: View


def plain_name(code: CodeType) -> str:
    """Give a qualified name as people write it, without `<locals>`."""
    return code.co_qualname.replace(f".{NESTED}", "")


def find_named(
    file: LoadedFile | PathFile | None, name: str, original_of: OriginalOf, started_s: float
) -> Named:
    """Find the one function of that name, in a file or among the service's own and explicitly named
    modules.

    Raises: UnknownFunction, AmbiguousFunction, Unsupported: it is compiled or frozen.
    """
    parts = tuple(part for part in name.split(".") if part and part != NESTED)
    known: list[Named] = []
    if file is None:
        found = _in_service(name, parts, known, original_of, started_s)
    else:
        known = list(_functions("", view_of(file, original_of, started_s)))
        found = [n for n in known if _qualname(n) == parts] or [
            n for n in known if _qualname(n)[-len(parts) :] == parts
        ]
    distinct = {(n.view.path, n.name, n.code.co_firstlineno): n for n in found}
    if len(distinct) == 1:
        return next(iter(distinct.values()))
    raise _ambiguous(name, list(distinct)) if distinct else _unknown(name, known)


def _by_attribute(
    name: str, parts: tuple[str, ...], original_of: OriginalOf, started_s: float
) -> Iterator[Named]:
    """Follow the name as the program would; nothing for functions that no file has."""
    for function in functions_behind(name, parts):
        code = original_of(function.__code__)
        if code.co_filename.startswith("<frozen "):
            raise frozen(name)
        if code.co_filename == _NO_FILE:
            continue
        try:
            file = find_file(code.co_filename)
        except (UnknownFile, AmbiguousFile):
            continue
        yield Named(plain_name(code), code, view_of(file, original_of, started_s))


def _qualname(named: Named) -> tuple[str, ...]:
    return tuple(plain_name(named.code).split("."))


def _functions(module: str, view: View) -> Iterator[Named]:
    for code in view.functions():
        if "<" not in code.co_name:
            name = plain_name(code)
            yield Named(f"{module}.{name}" if module else name, code, view)


def _in_service(
    name: str, parts: tuple[str, ...], known: list[Named], original_of: OriginalOf, started_s: float
) -> list[Named]:
    """Find the functions that fit, in the modules that may have them; `known` gets all that was
    looked at.

    Files that do not have the word come last: functions made from other text.
    """
    search = _Search(parts, known, original_of, started_s)
    likely, others = _by_likelihood(list(_candidates(parts)), parts[-1] if parts else "")
    return (
        search.run(likely)
        or list(_by_attribute(name, parts, original_of, started_s))
        or search.run(others)
    )


class _Search:
    """Looks at what lives of one file after the other, for as long as there is time."""

    def __init__(
        self,
        parts: tuple[str, ...],
        known: list[Named],
        original_of: OriginalOf,
        started_s: float,
    ) -> None:
        self._parts = parts
        self._known = known
        self._original_of = original_of
        self._started_s = started_s
        self._until_s = time.monotonic() + _SEARCH_S

    def run(self, candidates: Iterable[_Candidate]) -> list[Named]:
        """Find the functions of these modules that fit. Raises: UnknownFunction: out of time."""
        found: list[Named] = []
        for module, file in candidates:
            if time.monotonic() > self._until_s and not found:
                raise _unsearched(self._parts)
            functions = list(_functions(module, view_of(file, self._original_of, self._started_s)))
            self._known += functions
            found += [n for n in functions if _ends_in(n, self._parts)]
        return found


def _ends_in(named: Named, parts: tuple[str, ...]) -> bool:
    return tuple(named.name.split("."))[-len(parts) :] == parts


def _unsearched(parts: tuple[str, ...]) -> UnknownFunction:
    return UnknownFunction(
        f"Cannot find the function {'.'.join(parts)}",
        f"it was not among what could be searched in {_SEARCH_S:g} s",
        "Give the file as well",
    )


_Candidate: TypeAlias = tuple[str, LoadedFile]


def _by_likelihood(
    candidates: Iterable[_Candidate], word: str
) -> tuple[list[_Candidate], list[_Candidate]]:
    """Part the files whose text has the word, or that have no text, from the others: reading is
    much cheaper than looking at what lives of a file.
    """
    likely: list[_Candidate] = []
    others: list[_Candidate] = []
    for candidate in candidates:
        text = read_text(candidate[1].path)
        has_word = text is None or any(word in line for line in text.lines)
        (likely if has_word else others).append(candidate)
        time.sleep(0)
    return likely, others


def _candidates(parts: tuple[str, ...]) -> Iterator[tuple[str, LoadedFile]]:
    """Yield modules: the service's own, and others only if the name spells them out."""
    for key, namespace in loaded_modules():
        path = next(spellings_of(namespace), "")
        if not path.endswith((".py", ".pyc")) or key.partition(".")[0] == _OURS:
            continue
        module = os.path.splitext(os.path.basename(path))[0] if key == "__main__" else key
        if is_own_path(path) or parts[: len(module.split("."))] == tuple(module.split(".")):
            names = frozenset({os.path.realpath(path), *spellings_of(namespace)})
            yield module, LoadedFile(path, names, (key,))


def _ambiguous(name: str, found: list[tuple[str, str, int]]) -> AmbiguousFunction:
    listed = [f"{spelled(full)} ({spelled(path)}:{line})" for path, full, line in sorted(found)]
    more = f" and {len(listed) - _MOST_NAMES} more" if len(listed) > _MOST_NAMES else ""
    return AmbiguousFunction(
        f"Cannot tell which {spelled(name)} is meant",
        f"{len(listed)} functions have that name: {', '.join(listed[:_MOST_NAMES])}{more}",
        "Give the whole dotted name, or the file as well",
    )


def _unknown(name: str, known: list[Named]) -> UnknownFunction:
    by_last: dict[str, str] = {named.code.co_name: named.name for named in known}
    near = get_close_matches(name.rpartition(".")[2], list(by_last)[:5_000], n=3, cutoff=0.5)
    step = "The nearest names are " + ", ".join(spelled(by_last[n]) for n in near)
    return UnknownFunction(
        f"Cannot find the function {spelled(name)}",
        "no function of that name is loaded",
        step if near else "Name a function of this service",
    )
