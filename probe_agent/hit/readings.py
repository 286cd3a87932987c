"""Expressions ready to run on the application's thread, and the copying of what they bring."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Final

from probe_agent.builtin_names import BUILTINS
from probe_agent.expression import Checked, EvaluationError, compile_expression
from probe_agent.plain import MARK, UNBOUND, Plain

__builtins__ = BUILTINS  # the application may replace its own

_BUILTINS: Final = vars(builtins)
_MISSING: Final = object()
_CO_OPTIMIZED: Final = 1


@dataclass(frozen=True, slots=True)
class Reading:
    """One expression ready to run: `names` are its free names, in the order of its arguments."""

    name: str
    names: tuple[str, ...]
    evaluate: Callable[..., object]
    checked: Checked


def reading(name: str, checked: Checked) -> Reading:
    """Compile an expression."""
    return Reading(name, checked.names, compile_expression(checked), checked)


def variable(name: str) -> Reading:
    """Read a variable as it is: nothing to check, nothing to compile."""
    return Reading(name, (name,), _itself, Checked(name, (name,), (name,), (name,)))


def _itself(value: object) -> object:
    return value


def copy_all(
    capture_all: Callable[[Sequence[object]], tuple[Plain, ...]],
    readings: Sequence[Reading],
    known: Mapping[str, object],
    frame: FrameType | None,
) -> tuple[Plain, ...]:
    """Read expressions and copy what they bring; what cannot be read leaves a mark in its place.

    Args: known: values of names; others come from outside of the frame's function.
    """
    values: list[object] = []
    marks: dict[int, Plain] = {}
    for at, reading in enumerate(readings):
        if reading.checked.text in known:
            values.append(known[reading.checked.text])
            continue
        arguments = [known[n] if n in known else outer_value(n, frame) for n in reading.names]
        try:
            values.append(reading.evaluate(*arguments))
        except EvaluationError as error:
            values.append(None)
            marks[at] = (MARK, error.mark)
    copied = capture_all(values)
    return tuple(marks.get(at, c) for at, c in enumerate(copied)) if marks else copied


def outer_value(name: str, frame: FrameType | None) -> object:
    """Look a name up where the code itself would: class body or module, then builtins."""
    if frame is None:
        return UNBOUND
    if not frame.f_code.co_flags & _CO_OPTIMIZED and type(frame.f_locals) is dict:
        found = frame.f_locals.get(name, _MISSING)
        if found is not _MISSING:
            return found
    found = frame.f_globals.get(name, _MISSING)
    return _BUILTINS.get(name, UNBOUND) if found is _MISSING else found
