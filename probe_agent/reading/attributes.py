"""Read one attribute without running code of the application's.

What `object.__getattribute__` would do is worked out from the class first: it is called only where
it can meet nothing but stored values, slots and a few vetted C descriptors. `readers` remembers the
verdict.
"""

from __future__ import annotations

import datetime
from collections import namedtuple
from collections.abc import Callable
from enum import Enum
from gc import get_referents
from types import (
    ClassMethodDescriptorType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any, Final

from probe_agent.builtin_names import BUILTINS
from probe_agent.reading.errors import EvaluationError, NotRun
from probe_agent.reading.kinds import (
    BASIC_SIZE_OF,
    DICT_IS_FREE,
    DICT_OFFSET_OF,
    DICT_SUBCLASS,
    FLAGS_OF,
    HEAP_TYPE,
    ITEM_SIZE_OF,
    MANAGED_DICT,
    MISSING,
    MOST_KEYS,
    are_class_dicts_plain,
    find_in_class,
    has_plain_keys,
    is_subtype,
    type_name,
)

try:
    import ctypes
except ImportError:  # some interpreters are built without it
    ctypes = None  # type: ignore[assignment]

__builtins__ = BUILTINS  # the application may replace its own

get_attribute: Final = object.__getattribute__
_GENERIC: Final = object.__dict__["__getattribute__"]
_MODULE_DICT: Final[Callable[[object], dict[str, Any]]] = vars(ModuleType)["__dict__"].__get__


class _Plain:
    """Has the layout that every class has which adds no slots and no C base."""


_PLAIN_SIZE: Final = BASIC_SIZE_OF(_Plain)
_TUPLE_GETTER: Final = type(vars(namedtuple("_Sample", "field"))["field"])

# C types whose descriptors do no more than read a field of the struct: issue 6 widens the table.
_FIELD_OWNER_IDS: Final = frozenset(
    map(
        id,
        (
            *(int, float, complex, range, slice),
            *(datetime.date, datetime.datetime, datetime.time, datetime.timedelta),
            *(OSError, ImportError, StopIteration, SystemExit, UnicodeError),
        ),
    )
)
# Descriptors known one by one: `tb_frame` and the like of BaseException are not wanted.
_FIELD_IDS: Final = frozenset({id(BaseException.__dict__["args"])})
_METHOD_IDS: Final = frozenset(
    map(
        id,
        (
            *(FunctionType, MethodDescriptorType, WrapperDescriptorType),
            *(ClassMethodDescriptorType, classmethod, staticmethod),
        ),
    )
)
_DICT_DESCRIPTOR_IDS: Final = frozenset(map(id, (GetSetDescriptorType, MemberDescriptorType)))
# An enum member's `name` and `value` are properties over these.
ENUM_FIELDS: Final = {
    id(Enum.__dict__["name"]): "_name_",
    id(Enum.__dict__["value"]): "_value_",
}


def read_attribute(of: object, name: str) -> object:
    """Read one attribute.

    Raises: EvaluationError: there is none, or it cannot be proven that reading it runs nothing.
        NotRun: it is a property, method or other descriptor.
    """
    kind = type(of)
    if kind is ModuleType:
        return _module_attribute(of, name)
    if is_subtype(type, kind):
        return _class_attribute(of, name)
    found = _look_up(kind, name)
    stored_as = ENUM_FIELDS.get(id(found))
    if stored_as is not None:
        return read_attribute(of, stored_as)
    if not is_dict_plain(of):
        raise EvaluationError(f"attribute {name}: cannot be read without comparing unknown keys")
    if runs_nothing(kind, found):
        return _get(of, name)
    if _sets(type(found)):
        raise _not_run(found, name)
    return _shadowing(of, name, found)


def is_stored(kind: type, name: str) -> bool:
    """True if `object.__getattribute__` of this name runs nothing for instances of this class whose
    dict is plain.
    """
    return are_class_dicts_plain(kind) and runs_nothing(kind, find_in_class(kind, name))


def runs_nothing(kind: type, found: Any) -> bool:
    """True if `found`, met in the class, leaves reading to the instance's dict or is a vetted
    descriptor.
    """
    if found is MISSING:
        return True
    descriptor = type(found)
    if descriptor is MemberDescriptorType or descriptor is GetSetDescriptorType:
        return _reads_field(kind, found)
    if descriptor is _TUPLE_GETTER:
        return is_subtype(tuple, kind)
    return not _gets(descriptor)


def is_plain_layout(kind: type) -> bool:
    """True if instances hold nothing but their attributes: no slots, no C base, dict managed by the
    interpreter.
    """
    return bool(
        FLAGS_OF(kind) & MANAGED_DICT
        and BASIC_SIZE_OF(kind) == _PLAIN_SIZE
        and ITEM_SIZE_OF(kind) == 0
    )


def is_dict_plain(of: object) -> bool:
    """True if looking a name up in the instance's dict can run no code of the application's.

    Reads no `__dict__`: on 3.11 and 3.12 that would slow the application's own attribute reads for
    good. The collector's view shows either the values (held inline, under names that are all exact
    strings), or the dict in their place: [dict, class].
    """
    kind = type(of)
    if DICT_OFFSET_OF(kind) == 0:
        return True
    refers_to = get_referents(of)
    if len(refers_to) > 2 and is_plain_layout(kind):
        return True
    return all(has_plain_keys(r) for r in refers_to if FLAGS_OF(type(r)) & DICT_SUBCLASS)


def getter_of(kind: type) -> Callable[[object, str], Any]:
    """Choose how to read what `runs_nothing`: `getattr` takes 30 ns, and is the same where the
    class has no say in attributes; `object.__getattribute__` takes 60-190.
    """
    is_generic = (
        find_in_class(kind, "__getattribute__") is _GENERIC
        and find_in_class(kind, "__getattr__") is MISSING
    )
    return getattr if is_generic else get_attribute


def has_own_dict(of: object) -> bool:
    """False if an instance has no dict yet, and reading `__dict__` would make one.

    That would be seen: `functools.partial` looks whether another one has a dict. A dict that the
    interpreter manages is another matter, see `fields`.
    """
    kind = type(of)
    if FLAGS_OF(kind) & MANAGED_DICT:
        return True
    offset = DICT_OFFSET_OF(kind)
    if offset > 0 and ctypes is not None:
        return ctypes.c_void_p.from_address(id(of) + offset).value is not None
    return any(FLAGS_OF(type(r)) & DICT_SUBCLASS for r in get_referents(of))


def instance_dict(of: object) -> dict[str, Any] | None:
    """Read `__dict__`, or None if there is none or a class puts something else in its place.

    On 3.11 and 3.12 ask only where the dict exists already: see `is_dict_plain`.
    """
    if not has_readable_dict(type(of)):
        return None
    found = get_attribute(of, "__dict__") if has_own_dict(of) else None
    return found if type(found) is dict else None


def has_readable_dict(kind: type) -> bool:
    """True if instances have a dict, and no class puts something of its own before it."""
    return (
        DICT_OFFSET_OF(kind) != 0
        and are_class_dicts_plain(kind)
        and id(type(find_in_class(kind, "__dict__"))) in _DICT_DESCRIPTOR_IDS
    )


def _look_up(kind: type, name: str) -> Any:
    if not are_class_dicts_plain(kind):
        raise _odd_class(kind, name)
    if type(find_in_class(kind, "__getattribute__")) is not WrapperDescriptorType:
        raise NotRun(f"attribute {name}: not run, {type_name(kind)} defines __getattribute__")
    return find_in_class(kind, name)


def _reads_field(kind: type, found: Any) -> bool:
    owner = found.__objclass__
    if not is_subtype(owner, kind):
        return False
    if id(owner) in _FIELD_OWNER_IDS or id(found) in _FIELD_IDS:
        return True
    return bool(FLAGS_OF(owner) & HEAP_TYPE) and type(found) is MemberDescriptorType


def _gets(descriptor: type) -> bool:
    return find_in_class(descriptor, "__get__") is not MISSING


def _sets(descriptor: type) -> bool:
    return (
        find_in_class(descriptor, "__set__") is not MISSING
        or find_in_class(descriptor, "__delete__") is not MISSING
    )


def _get(of: object, name: str) -> object:
    try:
        return get_attribute(of, name)
    except AttributeError as error:
        if type(error) is not AttributeError:
            raise
    # Out here, so that it holds no reference to that error, which holds one to the object.
    raise _no_attribute(of, name)


def _shadowing(of: object, name: str, found: Any) -> object:
    """Read what the instance's dict holds before a method or a cached property of that name.

    Such a value was put in the dict as a dict's item, so that the dict exists; where it is a view,
    the collector does not see it.
    """
    is_view = DICT_IS_FREE and FLAGS_OF(type(of)) & MANAGED_DICT
    exists = is_view or any(
        FLAGS_OF(type(r)) & DICT_SUBCLASS and dict.__contains__(r, name) for r in get_referents(of)
    )
    stored = instance_dict(of) if exists else None
    if stored is None or name not in stored:
        raise _not_run(found, name)
    return stored[name]


def _module_attribute(of: object, name: str) -> object:
    names = _MODULE_DICT(of)
    if type(names) is not dict or not has_plain_keys(names):
        raise EvaluationError(
            f"attribute {name}: the module has over {MOST_KEYS} names, or keys that are no names"
        )
    value = names.get(name, MISSING)
    if value is MISSING:
        raise EvaluationError(f"AttributeError: module has no attribute '{name}'")
    return value


def _class_attribute(of: Any, name: str) -> object:
    in_metaclass = _look_up(type(of), name)
    if in_metaclass is not MISSING and _sets(type(in_metaclass)):
        raise _not_run(in_metaclass, name)
    if not are_class_dicts_plain(of):
        raise _odd_class(of, name)
    value = find_in_class(of, name)
    if value is MISSING:
        raise EvaluationError(f"AttributeError: class '{type_name(of)}' has no attribute '{name}'")
    if type(value) is not FunctionType and _gets(type(value)):
        raise _not_run(value, name)
    return value


def _odd_class(kind: type, name: str) -> EvaluationError:
    return EvaluationError(f"attribute {name}: class {type_name(kind)} has keys that are no names")


def _not_run(found: Any, name: str) -> NotRun:
    word = "method" if id(type(found)) in _METHOD_IDS else "property"
    return NotRun(f"{word} {name}: not run")


def _no_attribute(of: object, name: str) -> EvaluationError:
    kind = type(of)
    computed = find_in_class(kind, "__getattr__") is not MISSING
    why = " stored, and its __getattr__ is not run" if computed else ""
    return EvaluationError(
        f"AttributeError: '{type_name(kind)}' object has no attribute '{name}'{why}"
    )
