"""Which file is meant: loaded modules first, then files on the service's import path."""

from __future__ import annotations

import os
import sys
import sysconfig
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, lru_cache
from importlib.machinery import ModuleSpec
from types import FunctionType
from typing import Final

from probe_agent.errors import AmbiguousFile, UnknownFile
from probe_agent.literal import spelled
from probe_agent.source.archives import is_in_archive
from probe_agent.source.functions import REST, Walk, module_dict

AGENT_FOLDER: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_WALK_ENTRIES: Final = 20_000  # files and folders looked at on the import path
_WALK_S: Final = 0.5
_SKIPPED: Final = frozenset({"site-packages", "dist-packages", "node_modules", "__pycache__"})
_FUNCTIONS: Final = 100_000  # functions whose file name is looked at, before giving up
_FILES: Final = 10_000  # whose place behind symbolic links is remembered
_SLICE: Final = 400
_MOST_NAMES: Final = 10


@dataclass(frozen=True, slots=True)
class LoadedFile:
    """A file that loaded modules came from. `names`: every spelling of it; `path`: the first.
    `modules`: keys of sys.modules.
    """

    path: str
    names: frozenset[str]
    modules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PathFile:
    """A file on the import path that no loaded module came from."""

    path: str


def parts_of(path: str) -> tuple[str, ...]:
    """Split a path into parts, either slash; a leading `./` says nothing."""
    parts = path.replace("\\", "/").split("/")
    return tuple(parts[1:] if parts[0] == "." else parts)


def ends_in(path: str, wanted: tuple[str, ...]) -> bool:
    """True if the last whole parts of a path are the wanted ones."""
    return path.endswith(wanted[-1]) and parts_of(path)[-len(wanted) :] == wanted


def spellings_of(namespace: dict[str, object]) -> Iterator[str]:
    """Yield the file names that a module's namespace gives for itself."""
    spec = namespace.get("__spec__")
    origin = spec.origin if type(spec) is ModuleSpec else None
    for name in (namespace.get("__file__"), origin):
        if type(name) is str and name not in ("built-in", "frozen"):
            yield name
            if name.endswith(".pyc"):
                yield name[:-1]


def loaded_modules() -> Iterator[tuple[str, dict[str, object]]]:
    """Yield each loaded module's name and namespace; gives the interpreter back."""
    for count, (name, module) in enumerate(list(sys.modules.items())):
        if count and count % _SLICE == 0:
            time.sleep(0)
        namespace = module_dict(module)
        if namespace is not None and type(name) is str:
            yield name, namespace


def find_file(file: str) -> LoadedFile | PathFile:
    """Find the one file whose path ends in `file`.

    Raises: AmbiguousFile, UnknownFile.
    """
    wanted = parts_of(file)
    loaded = _loaded_files(wanted) or _linked_files(wanted) or _files_of_functions(wanted)
    if len(loaded) == 1:
        return loaded[0]
    if loaded:
        exact = [f for f in loaded if file in f.names]
        if len(exact) == 1:
            return exact[0]
        raise _ambiguous(file, (f.path for f in loaded))
    found = _files_on_path(wanted)
    if len(found) == 1:
        return PathFile(found[0])
    if found:
        raise _ambiguous(file, found)
    kept = _files_of_kept_functions(wanted)
    if len(kept) == 1:
        return kept[0]
    raise _ambiguous(file, (f.path for f in kept)) if kept else _unknown(file, wanted)


def _loaded_files(wanted: tuple[str, ...]) -> list[LoadedFile]:
    pairs: list[tuple[str, str]] = []
    for name, namespace in loaded_modules():
        pairs.extend((path, name) for path in spellings_of(namespace) if ends_in(path, wanted))
    return _merge(pairs)


def _linked_files(wanted: tuple[str, ...]) -> list[LoadedFile]:
    """Look behind symbolic links: at where the files of the service's modules really are."""
    pairs: list[tuple[str, str]] = []
    for name, namespace in loaded_modules():
        paths = [path for path in spellings_of(namespace) if is_own_path(path)]
        if any(ends_in(_real(path), wanted) for path in paths):
            pairs.extend((path, name) for path in paths)
    return _merge(pairs)


@lru_cache(maxsize=_FILES)  # 10 us each, for every file and every try of a pending probe
def _real(path: str) -> str:
    return os.path.realpath(path)


def _merge(pairs: Iterable[tuple[str, str]]) -> list[LoadedFile]:
    """Put spellings of one file together. Args: pairs: path, module name."""
    merged: dict[str, list[tuple[str, str]]] = {}
    for path, module in pairs:
        merged.setdefault(os.path.realpath(path), []).append((path, module))
    return [
        LoadedFile(
            path=spelled[0][0],
            names=frozenset({real, *(path for path, _ in spelled)}),
            modules=tuple(dict.fromkeys(module for _, module in spelled)),
        )
        for real, spelled in merged.items()
    ]


def _files_of_functions(wanted: tuple[str, ...]) -> list[LoadedFile]:
    """Look at the files that modules' functions name: code that was compiled under another name
    than its module's.
    """
    pairs: dict[tuple[str, str], None] = {}
    left = _FUNCTIONS
    for module, namespace in loaded_modules():
        for thing in list(namespace.values()):
            if type(thing) is FunctionType:
                left -= 1
                path = thing.__code__.co_filename
                if ends_in(path, wanted):
                    pairs[path, module] = None
        if left <= 0:
            break
    return _merge(pairs)


def _files_of_kept_functions(wanted: tuple[str, ...]) -> list[LoadedFile]:
    """Look at the functions that the service's modules keep in classes and containers."""
    walk = Walk(lambda code: ends_in(code.co_filename, wanted))
    own = [d for _, d in loaded_modules() if is_own_path(str(d.get("__file__") or ""))]
    own.reverse()  # what was loaded last is the likeliest to be asked for, and the walk is bounded
    walk.run(own, REST)
    return _merge((function.__code__.co_filename, "") for function in walk.found)


def modules_of(names: frozenset[str]) -> Iterator[dict[str, object]]:
    """Yield the namespaces of the loaded modules that came from a file, however spelled."""
    for _, namespace in loaded_modules():
        if not names.isdisjoint(spellings_of(namespace)):
            yield namespace


def is_own_path(path: str) -> bool:
    """True for the service's own files: neither the standard library nor installed packages."""
    parts = parts_of(path)
    return not _SKIPPED.intersection(parts) and not path.startswith(_library_folders())


@cache  # fixed for a process, and sysconfig takes 50 us to say it
def _library_folders() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return tuple(paths[key] + os.sep for key in ("stdlib", "platstdlib", "purelib", "platlib"))


def _search_folders() -> list[str]:
    entries = [os.path.abspath(entry) for entry in list(sys.path) if type(entry) is str]
    return list(dict.fromkeys(entries))


def _files_on_path(wanted: tuple[str, ...]) -> list[str]:
    if not wanted[-1].endswith(".py"):
        return []
    folders = _search_folders()
    joined = [os.path.join(folder, *wanted) for folder in folders]
    if wanted[0] == "" or os.path.isabs("/".join(wanted)):
        path = os.path.join(os.sep, *wanted)
        joined = [path] if any(path.startswith(folder + os.sep) for folder in folders) else []
    found = [path for path in joined if os.path.isfile(path)] or list(_walk_for(wanted, folders))
    found = found or [path for path in joined if is_in_archive(path)]
    return list({os.path.realpath(path): path for path in found}.values())


def _walk_for(wanted: tuple[str, ...], folders: Iterable[str]) -> Iterator[str]:
    for path in _walk(folders):
        if ends_in(path, wanted):
            yield path


def _walk(folders: Iterable[str]) -> Iterator[str]:
    """Yield Python files below some folders, nearest to the top first, until the entries or the
    time are used up.
    """
    library = _library_folders()
    level = [folder for folder in folders if not (folder + os.sep).startswith(library)]
    until_s, left = time.monotonic() + _WALK_S, _WALK_ENTRIES
    while level:
        below: list[str] = []
        for folder in level:
            if _SKIPPED.intersection(parts_of(folder)):
                continue
            for path, is_folder in _entries(folder):
                left -= 1
                if is_folder:
                    below.append(path)
                elif path.endswith(".py"):
                    yield path
            if left <= 0 or time.monotonic() > until_s:
                return
        level = below


def _entries(folder: str) -> list[tuple[str, bool]]:
    try:
        with os.scandir(folder) as found:
            return [
                (entry.path, entry.is_dir(follow_symlinks=False))
                for entry, _ in zip(found, range(_WALK_ENTRIES), strict=False)
                if not entry.name.startswith(".")
            ]
    except OSError:
        return []


def _ambiguous(file: str, paths: Iterable[str]) -> AmbiguousFile:
    listed = sorted(paths)
    more = f" and {len(listed) - _MOST_NAMES} more" if len(listed) > _MOST_NAMES else ""
    return AmbiguousFile(
        f"Cannot tell which {spelled(file)} is meant",
        f"{len(listed)} files end in it: {', '.join(map(spelled, listed[:_MOST_NAMES]))}{more}",
        "Give more of the path, as in one of these",
    )


def _unknown(file: str, wanted: tuple[str, ...]) -> UnknownFile:
    names: dict[str, str] = {}
    for _, namespace in loaded_modules():
        for path in spellings_of(namespace):
            if is_own_path(path) and path.endswith(".py") and not path.startswith(AGENT_FOLDER):
                names.setdefault(os.path.basename(path), path)
    for path in _walk(_search_folders()):
        if not path.startswith(AGENT_FOLDER):
            names.setdefault(os.path.basename(path), path)
    near = get_close_matches(wanted[-1], list(names)[:2_000], n=3, cutoff=0.5)
    step = (
        f"The nearest names are {', '.join(spelled(names[n]) for n in near)}"
        if near
        else "Name a file of this service"
    )
    return UnknownFile(
        f"Cannot find {spelled(file)}",
        "no loaded module and no file on the import path ends in it",
        step,
    )
