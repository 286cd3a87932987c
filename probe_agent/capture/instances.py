"""Copy what is no exact builtin: instances of classes, exceptions, enum members, classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from probe_agent import plain
from probe_agent.builtin_names import BUILTINS
from probe_agent.capture.builtins import PATH_IDS, path_text
from probe_agent.capture.containers import make_items
from probe_agent.capture.limits import CaptureLimits
from probe_agent.capture.room import NAME_LENGTH, Copy, Room, cut_int, cut_text
from probe_agent.plain import Plain
from probe_agent.reading import (
    EvaluationError,
    Layout,
    Nature,
    make_attribute,
    make_layouts,
    read_fields,
)
from probe_agent.reading.kinds import type_name

__builtins__ = BUILTINS  # the application may replace its own

Field = tuple[str, Plain]

_EXCEPTION_ARGS: Final = BaseException.__dict__["args"].__get__


def make_instances(limits: CaptureLimits, value: Copy, containers: dict[int, Copy]) -> Copy:
    """Make the copier of everything that has no copier of its own."""
    layout_of = make_layouts()
    member_name = make_attribute("_name_")
    items = make_items(limits, value)
    copy_object = _make_object(limits, value, containers)

    def copy(of: Any, levels: int, room: Room) -> Plain:
        layout = layout_of(type(of))
        if layout.nature is Nature.OBJECT:
            return copy_object(of, layout, levels, room)
        if layout.nature is Nature.CLASS:
            return (plain.VERBATIM, "type", f"<class {type_name(of)}>")
        if layout.nature is Nature.ENUM_MEMBER:
            return _enum_member(of, member_name)
        arguments = _EXCEPTION_ARGS(of)
        copied = items(arguments[: limits.items], levels, room)
        return (plain.EXCEPTION, type_name(type(of)), copied, len(arguments))

    return copy


def _make_object(
    limits: CaptureLimits, value: Copy, containers: dict[int, Copy]
) -> Callable[[Any, Layout, int, Room], Plain]:
    """Make the copier of an instance of which the layout is known."""
    most = limits.fields
    items = make_items(limits, value)
    content = _make_content(limits, containers)

    def head(of: Any, layout: Layout, levels: int, room: Room) -> tuple[list[Field], int]:
        """Copy what is no attribute: a named tuple's items, a builtin's content, a path's text."""
        if layout.tuple_fields:
            copied = items(tuple.__getitem__(of, slice(0, most)), levels, room)
            return [*zip(layout.tuple_fields, copied, strict=False)], tuple.__len__(of)
        if layout.builtin is not None:
            return [("", content(of, layout.builtin, levels, room))], 1
        return [], 0

    def copy_object(of: Any, layout: Layout, levels: int, room: Room) -> Plain:
        kind = type(of)
        if id(kind) in PATH_IDS:
            return (plain.OBJECT, type_name(kind), (("", value(path_text(of), levels, room)),), 1)
        fields, total = head(of, layout, levels, room)
        if not (fields or layout.has_dict or layout.slots):
            return (plain.VERBATIM, type_name(kind), f"<{type_name(kind)}>")
        stored, stored_total = read_fields(of, layout, most - len(fields))
        taken = stored[: room.take(len(stored))]
        fields += [(n[:NAME_LENGTH], value(v, levels, room)) for n, v in taken]
        total += stored_total
        if layout.properties:
            not_run = _not_run(layout, stored)
            fields += not_run[: room.take(min(len(not_run), most - len(fields)))]
            total += len(not_run)
        return (plain.OBJECT, type_name(kind), (*fields,), total)

    return copy_object


def _make_content(
    limits: CaptureLimits, containers: dict[int, Copy]
) -> Callable[[Any, type, int, Room], Plain]:
    """Make the copier of what an instance holds as the builtin that its class derives from."""
    most = limits.length
    head = slice(0, most)

    def content(of: Any, base: type, levels: int, room: Room) -> Plain:
        if base is str:
            return cut_text(str.__getitem__(of, head), str.__len__(of), most)
        if base is bytes:
            return cut_text(bytes.__getitem__(of, head), bytes.__len__(of), most)
        if base is bytearray:
            copied = bytes(bytearray.__getitem__(of, head))
            return cut_text(copied, bytearray.__len__(of), most)
        if base is int:
            return cut_int(of)
        if base is float:
            return float.__pos__(of)
        if base is complex:
            return complex.__pos__(of)
        return containers[id(base)](of, levels, room)

    return content


def _enum_member(of: object, member_name: Any) -> Plain:
    kind = type_name(type(of))
    try:
        name = member_name(of)
    except EvaluationError:
        name = None
    # A combination of flags may have no name.
    text = f"{kind}.{name[:NAME_LENGTH]}" if type(name) is str else f"<{kind}>"
    return (plain.VERBATIM, kind, text)


def _not_run(layout: Layout, stored: list[tuple[str, object]]) -> list[tuple[str, Plain]]:
    """Mark the class's properties; a cached one that has run already is among the fields."""
    names = {name for name, _ in stored}
    return [(n[:NAME_LENGTH], mark) for n, mark in layout.properties if n not in names]
