"""What a name leads to when no function was written under it: an imported name, an inherited
method, a lambda or a partial in a variable. Reads namespaces; runs no user code.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType, MethodType
from typing import Any, Final

from probe_agent.source.files import is_own_path, loaded_modules
from probe_agent.source.functions import module_dict
from probe_agent.source.refusals import not_python

_BASES: Final[Callable[[type], tuple[type, ...]]] = vars(type)["__mro__"].__get__
_NAMES: Final[Callable[[type], Mapping[str, object]]] = vars(type)["__dict__"].__get__
# How to get from what a decorator or `functools` made to what is inside; by exact type.
_INSIDE: Final[dict[type, str]] = {
    MethodType: "__func__",
    staticmethod: "__func__",
    classmethod: "__func__",
    property: "fget",
    functools.partial: "func",
    functools.partialmethod: "func",
    functools.cached_property: "func",
    functools.singledispatchmethod: "func",
    type(functools.lru_cache(len)): "__wrapped__",
}
_OURS: Final = __name__.partition(".")[0]
_COMPILED: Final = (BuiltinFunctionType, MethodDescriptorType)
_MOST_LAYERS: Final = 10


def functions_behind(name: str, parts: Sequence[str]) -> list[FunctionType]:
    """Find the functions that a name leads to, under decorators that say what they wrap.

    Args: name: as asked for. parts: of it; the first ones may be a module's whole name or its end.
    Raises: Unsupported: it is compiled.
    """
    ways = [*_starts(parts), *((namespace, parts) for namespace in _own_namespaces())]
    found = [_unwrapped(_attribute(namespace, rest)) for namespace, rest in ways if rest]
    functions = {id(thing): thing for thing in found if type(thing) is FunctionType}
    if not functions and any(type(thing) in _COMPILED for thing in found):
        raise not_python(name)
    return list(functions.values())


def _own_namespaces() -> Iterator[Mapping[str, object]]:
    for name, namespace in loaded_modules():
        if name.partition(".")[0] != _OURS and is_own_path(str(namespace.get("__file__") or "")):
            yield namespace


def _starts(parts: Sequence[str]) -> Iterator[tuple[Mapping[str, object], Sequence[str]]]:
    """Yield namespaces of modules that the first parts name, the longest name first, and the other
    parts.
    """
    for count in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:count])
        namespace = module_dict(sys.modules.get(module))
        if namespace is not None:
            yield namespace, parts[count:]
        for key, other in loaded_modules():
            if key.endswith(f".{module}"):
                yield other, parts[count:]


def _attribute(namespace: Mapping[str, object], names: Sequence[str]) -> object:
    thing = namespace.get(names[0])
    for name in names[1:]:
        if not issubclass(type(thing), type):
            return None
        bases = _BASES(thing)  # type: ignore[arg-type]
        thing = next((_NAMES(base)[name] for base in bases if name in _NAMES(base)), None)
    return thing


def _unwrapped(thing: Any) -> object:
    for _ in range(_MOST_LAYERS):
        if type(thing) is FunctionType and "__wrapped__" in thing.__dict__:
            thing = thing.__dict__["__wrapped__"]
        elif type(thing) in _INSIDE:
            thing = getattr(thing, _INSIDE[type(thing)], None)
        else:
            break
    return thing
