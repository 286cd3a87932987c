"""Copy the builtin containers, and what instances of their subclasses hold as such.

Only the containers' own slots are called (`list.__len__(of)`, never `len(of)`), so that overriding
them changes nothing.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Any, Final

from probe_agent import plain
from probe_agent.builtin_names import BUILTINS
from probe_agent.capture.limits import CaptureLimits
from probe_agent.capture.room import CHANGED, Copy, CopyItems, Room, copy_first
from probe_agent.literal import MOST_BITS
from probe_agent.plain import Plain
from probe_agent.reading.kinds import DICT_IDS, has_plain_keys, type_name

__builtins__ = BUILTINS  # the application may replace its own

LARGE: Final = 1 << MOST_BITS
SIZELESS_IDS: Final = frozenset(map(id, (float, bool, complex, type(None))))
_INTS: Final = frozenset({id(int)})
_STRS: Final = frozenset({id(str)})


def make_items(limits: CaptureLimits, value: Copy) -> CopyItems:
    """Make the copier of the items of a list or tuple of ours, already short: a tuple of plain
    values. What is of one kind is checked at C speed: 100 ints in 2 us, not 10.
    """
    most_length = limits.length

    def items(part: Any, levels: int, room: Room) -> tuple[Plain, ...]:
        count = len(part)
        if count > room.nodes:
            part = part[: room.nodes]
            count = room.nodes
        room.nodes -= count
        if not part:
            return ()
        kinds = set(map(id, map(type, part)))
        if (
            kinds <= SIZELESS_IDS
            or (kinds == _INTS and min(part) > -LARGE and max(part) < LARGE)
            or (kinds == _STRS and max(map(len, part)) <= most_length)
        ):
            # A copy: a slice may be the application's own tuple.
            return (*part,)
        return tuple([value(item, levels, room) for item in part])

    return items


def make_containers(limits: CaptureLimits, value: Copy) -> dict[int, Copy]:
    """Make the copiers of builtin containers, by the id of the type."""
    items = make_items(limits, value)
    most = limits.items
    head = slice(0, most)

    def copy_list(of: Any, levels: int, room: Room) -> Plain:
        part = items(list.__getitem__(of, head), levels, room)
        return (plain.SEQUENCE, "list", part, list.__len__(of))

    def copy_tuple(of: Any, levels: int, room: Room) -> Plain:
        part = items(tuple.__getitem__(of, head), levels, room)
        return (plain.SEQUENCE, "tuple", part, tuple.__len__(of))

    def copy_iterated(base: Any) -> Copy:
        def copy(of: Any, levels: int, room: Room) -> Plain:
            part = copy_first(base.__iter__, of, most)
            if part is None:
                return CHANGED
            return (plain.SEQUENCE, base.__name__, items(part, levels, room), base.__len__(of))

        return copy

    def copy_dict(of: Any, levels: int, room: Room) -> Plain:
        kind = type(of)
        total = dict.__len__(of)
        # A pair is two nodes.
        count = min(total, most, room.nodes // 2)
        room.nodes -= 2 * count
        # An OrderedDict's own order costs lookups, and so `__eq__` of keys; `dict.items` has the
        # order of insertion.
        view: Any = OrderedDict if kind is OrderedDict and has_plain_keys(of) else dict
        pairs = copy_first(view.items, of, count)
        if pairs is None:
            return CHANGED
        copied = tuple([(value(k, levels, room), value(v, levels, room)) for k, v in pairs])
        name = type_name(kind) if kind is not dict and id(kind) in DICT_IDS else "dict"
        return (plain.MAPPING, name, copied, total)

    return {
        id(list): copy_list,
        id(tuple): copy_tuple,
        **{id(base): copy_iterated(base) for base in (set, frozenset, deque)},
        **dict.fromkeys(DICT_IDS, copy_dict),
    }
