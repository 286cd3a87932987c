"""Readers of one attribute or one item that remember what they found out: what a condition runs.

The verdict on a class is kept for a second at the most, and looked at anew on every 16th use if the
second is over: classes can be patched, and Python has no stamp that tells. A reader belongs to one
expression or capture; there is no cache for all.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from gc import get_referents
from time import monotonic
from types import ModuleType
from typing import Any, Final, Generic, TypeVar

from probe_agent.builtin_names import BUILTINS
from probe_agent.reading.attributes import (
    ENUM_FIELDS,
    getter_of,
    is_dict_plain,
    is_plain_layout,
    is_stored,
    read_attribute,
)
from probe_agent.reading.errors import EvaluationError
from probe_agent.reading.items import read_item
from probe_agent.reading.keys import TEXT_KEYED_SIZES
from probe_agent.reading.kinds import (
    ATOM_IDS,
    DICT_IDS,
    DICT_OFFSET_OF,
    MISSING,
    SEQUENCE_IDS,
    are_class_dicts_plain,
    find_in_class,
    is_subtype,
    type_name,
)

__builtins__ = BUILTINS  # the application may replace its own

_CACHE_S: Final = 1.0
_CACHED_TYPES: Final = 64
# Reading the clock takes as long as reading the attribute.
_USES_PER_LOOK: Final = 16
# The truth of these is their length or value, and nothing else has a say in it.
_TESTABLE_IDS: Final = ATOM_IDS | DICT_IDS | SEQUENCE_IDS | {id(set), id(frozenset)}

# How and under which name it is read, whether instances have a dict, and if so whether they hold
# nothing else. A tuple: this is unpacked on every use.
_Way = tuple[Callable[[object, str], Any], str, bool, bool]
_Verdict = TypeVar("_Verdict")


class _Verdicts(Generic[_Verdict]):
    """What was found out about classes, by the id of the class, until it grows old or the class
    ends: another one may get its id.
    """

    __slots__ = ("_classes", "by_id", "until_s")

    def __init__(self) -> None:
        self.by_id: dict[int, _Verdict] = {}
        self._classes: list[weakref.ref[type]] = []
        self.until_s = 0.0

    def look_at_clock(self) -> int:
        """Forget everything if it is older than a second. Returns: uses until the next look."""
        now = monotonic()
        if now >= self.until_s:
            self._clear()
            self.until_s = now + _CACHE_S
        return _USES_PER_LOOK

    def keep(self, kind: type, verdict: _Verdict) -> None:
        if len(self._classes) >= _CACHED_TYPES:
            self._clear()
        by_id, key = self.by_id, id(kind)
        self._classes.append(weakref.ref(kind, lambda _: by_id.pop(key, None)))
        by_id[key] = verdict

    def _clear(self) -> None:
        self.by_id.clear()
        self._classes.clear()


def make_attribute(name: str) -> Callable[[object], object]:
    """Make the reader of one attribute.

    The reader raises EvaluationError, or NotRun for what is not stored; any thread may call it.
    """
    verdicts: _Verdicts[_Way] = _Verdicts()
    ways = verdicts.by_id
    uses = 0

    def attribute(of: object) -> object:
        nonlocal uses
        uses -= 1
        if uses < 0:
            uses = verdicts.look_at_clock()
        way = ways.get(id(type(of)))
        if way is None:
            return look(of)
        get, stored_as, has_dict, is_plain = way
        if (
            has_dict
            # The common case of `is_dict_plain`.
            and not (is_plain and len(get_referents(of)) > 2)
            and not is_dict_plain(of)
        ):
            return look(of)
        try:
            return get(of, stored_as)
        except AttributeError as error:
            if type(error) is not AttributeError:
                raise
        return look(of)

    def look(of: object) -> object:
        value = read_attribute(of, name)
        way = _way(type(of), name)
        if way is not None:
            verdicts.keep(type(of), way)
        return value

    return attribute


def testable(of: Any) -> Any:
    """Give back what Python may test for truth by itself: an exact builtin, or an object whose
    class has no say in it.

    The class is looked at each time: one that is still being set up, as a mock's is, gets its
    `__bool__` a moment later. Raises: EvaluationError: the class has, or may have, a say.
    """
    kind = type(of)
    if id(kind) not in _TESTABLE_IDS:
        _refuse_own_truth(kind)
    return of


def make_item(key: object) -> Callable[[object], object]:
    """Make the reader of the item under a constant key; it raises EvaluationError."""
    if type(key) is not str:
        return lambda of: read_item(of, key)

    def item(of: Any) -> object:
        if type(of) is dict and of.__sizeof__() in TEXT_KEYED_SIZES:
            value: object = of.get(key, MISSING)
            if value is not MISSING:
                return value
        return read_item(of, key)

    return item


def _refuse_own_truth(kind: type) -> None:
    if not are_class_dicts_plain(kind):
        raise EvaluationError(f"TypeError: truth of {type_name(kind)} is not known")
    for name in ("__bool__", "__len__"):
        if find_in_class(kind, name) is not MISSING:
            raise EvaluationError(
                f"TypeError: truth of {type_name(kind)} is not known, its {name} is not run"
            )


def _way(kind: type, name: str) -> _Way | None:
    """Tell how to read the attribute of a class's instances; None if each is its own case."""
    if kind is ModuleType or is_subtype(type, kind):
        return None
    stored_as = ENUM_FIELDS.get(id(find_in_class(kind, name)), name)
    if not is_stored(kind, stored_as):
        return None
    has_dict = DICT_OFFSET_OF(kind) != 0
    return getter_of(kind), stored_as, has_dict, is_plain_layout(kind)
