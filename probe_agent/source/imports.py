"""Watch imports: see the code of wanted modules before it is executed, and know when they have been
loaded.

A finder that stands first in `sys.meta_path` while there are pending probes. It asks the other
finders, returns their spec as
it is, and, for a wanted file, overrides `get_code` and `exec_module` on that loader object for that
one load. Runs on the
application's importing threads: takes no lock, lets nothing of its own out.

Not seen: modules made with `importlib.util.spec_from_file_location` (no finder is asked), and specs
of finders that somebody
puts before this one later. Loaders without `get_code` (pytest's, which rewrites assertions) execute
as they always do.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType, TracebackType
from typing import Final, TypeAlias

from probe_agent.builtin_names import BUILTINS

__builtins__ = BUILTINS  # the application may replace its own

Transform: TypeAlias = Callable[[str, CodeType], CodeType]

_OURS: Final = frozenset({"probe_agent", "bytecode"})
_METHODS: Final = ("get_code", "exec_module")


class ImportWatch:
    """Shows wanted modules' code to `transform` before execution.

    Args: wants: whether a file is wanted; cheap. transform: file, module code -> code to execute.
    on_loaded: gets a wanted module's
    name once it was executed, or failed. on_fault: gets what these raised; it must not raise.
    """

    def __init__(
        self,
        wants: Callable[[str], bool],
        transform: Transform,
        on_loaded: Callable[[str], None],
        on_fault: Callable[[Exception], None],
    ) -> None:
        self._wants = wants
        self._transform = transform
        self._on_loaded = on_loaded
        self._on_fault = on_fault
        self._ours = _OURS | {_top(f) for f in (wants, transform, on_loaded)}
        self._overrides: dict[int, _Override] = {}
        self.fault_count = 0

    def install(self) -> None:
        """Stand first among the finders; if already there, move to the front."""
        self._leave()
        # find_spec is all that importlib asks of a finder; the type wants more.
        sys.meta_path.insert(0, self)

    def remove(self) -> None:
        """Leave the finders, and take back overrides of loads that never began."""
        self._leave()
        for override in list(self._overrides.values()):
            override.end_all()

    def _leave(self) -> None:
        while True:
            try:
                sys.meta_path.remove(self)
            except ValueError:
                return

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the other finders' answer, unchanged."""
        for finder in list(sys.meta_path):
            ask = None if finder is self else getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = None if ask is None else ask(fullname, path, target)
            if spec is not None:
                self._guarded(self._watch, fullname, spec)
                return spec
        return None

    def _watch(self, name: str, spec: ModuleSpec) -> None:
        file = spec.origin
        if type(file) is not str or not self._is_wanted(file):
            return
        override = self._overrides.get(id(spec.loader))
        if override is None:
            override = _Override(self, spec.loader)
        override.begin(name, file)

    def _is_wanted(self, file: str) -> bool:
        return self._wants(file) or (file.endswith(".pyc") and self._wants(file[:-1]))

    def transformed(self, file: str, code: CodeType) -> CodeType:
        """Ask `transform`; the code as it is if that fails."""
        try:
            return self._transform(file, code)
        except Exception as error:  # noqa: BLE001 (what is not ours is raised again)
            self._keep_in(error)
            return code

    def loaded(self, name: str) -> None:
        """Tell `on_loaded`."""
        self._guarded(self._on_loaded, name)

    def keep(self, override: _Override, *, is_on: bool) -> None:
        """Remember which loaders are overridden, for `remove`."""
        if is_on:
            self._overrides[id(override.loader)] = override
        else:
            self._overrides.pop(id(override.loader), None)

    def _guarded(self, step: Callable[..., None], *args: object) -> None:
        try:
            step(*args)
        except Exception as error:  # noqa: BLE001 (what is not ours is raised again)
            self._keep_in(error)

    def _keep_in(self, error: Exception) -> None:
        """Count and report a fault of ours; raise again what the application's signal handlers
        raised inside of our code.

        Source: agent-core.md 1d.6. Called from an `except` clause.
        """
        if not self._is_ours(error):
            raise error
        self.fault_count += 1
        self._on_fault(error)

    def _is_ours(self, error: Exception) -> bool:
        places = [_top(type(error))]
        step: TracebackType | None = error.__traceback__
        while step is not None:
            places.append(str(step.tb_frame.f_globals.get("__name__", "")).partition(".")[0])
            step = step.tb_next
        return all(top in self._ours or top in sys.stdlib_module_names for top in places)


@dataclass(slots=True)
class _Override:
    """One loader object with `get_code` and `exec_module` overridden, for the modules that it is
    about to load.

    A zipimporter is shared by all modules of its archive: hence by module name. Attributes are set
    past any `__setattr__`.
    """

    watch: ImportWatch
    loader: object
    files: dict[str, str] = field(default_factory=dict)
    executing: set[str] = field(default_factory=set)
    previous: dict[str, object] = field(default_factory=dict)
    originals: dict[str, Callable[..., object]] = field(default_factory=dict)

    def begin(self, name: str, file: str) -> None:
        """Override until the module is loaded. Others stay as they are."""
        self.files[name] = file
        self._apply()

    def _apply(self) -> None:
        own = _own_attributes(self.loader)
        if own is None:
            return
        self.watch.keep(self, is_on=True)
        for method in _METHODS:
            current = getattr(self.loader, method, None)
            replacement: Callable[..., object] = getattr(self, method)
            if current is None or current == replacement:
                continue
            if method in own:
                self.previous[method] = own[method]
            self.originals[method] = current
            object.__setattr__(self.loader, method, replacement)

    def get_code(self, name: str) -> object:
        """Stand in for the loader's method: its code, transformed the first time."""
        file = self.files.get(name)
        if name not in self.executing:  # runpy and others that execute the code themselves
            self._end(name)
        code = self.originals["get_code"](name)
        if file is None or type(code) is not CodeType:
            return code
        return self.watch.transformed(file, code)

    def exec_module(self, module: ModuleType) -> object:
        """Stand in for the loader's method: execute as ever, then clean up and tell."""
        name = module.__name__
        if name not in self.files:
            return self.originals["exec_module"](module)
        self.executing.add(name)
        try:
            return self.originals["exec_module"](module)
        finally:
            self._end(name)
            self.watch.loaded(name)

    def end_all(self) -> None:
        """Take the override back, whatever was still expected."""
        for name in list(self.files):
            self._end(name)

    def _end(self, name: str) -> None:
        self.files.pop(name, None)
        self.executing.discard(name)
        if self.files:
            return
        own = _own_attributes(self.loader) or {}
        for method in _METHODS:
            if own.get(method) == getattr(self, method):
                self._put_back(method)
        self.watch.keep(self, is_on=False)
        if self.files:  # another thread began a load of the same archive meanwhile
            self._apply()

    def _put_back(self, method: str) -> None:
        if method in self.previous:
            object.__setattr__(self.loader, method, self.previous[method])
        else:
            object.__delattr__(self.loader, method)


def _own_attributes(loader: object) -> dict[str, object] | None:
    """Get an instance's own attributes; None for a class (whose attributes are everybody's) and for
    what has none.
    """
    if isinstance(loader, type):
        return None
    try:
        found: dict[str, object] = object.__getattribute__(loader, "__dict__")
    except AttributeError:
        return None
    return found


def _top(thing: object) -> str:
    return str(getattr(thing, "__module__", "")).partition(".")[0]
