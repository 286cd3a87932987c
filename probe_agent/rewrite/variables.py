"""The variables of a code object, and how each can be read at any unit without raising or crashing.

A frame keeps locals, cells and free variables in one array of slots: co_varnames, then the
co_cellvars that are not among them, then co_freevars (Objects/codeobject.c, _PyCode_New). A slot is
not always what its kind says: an inlined comprehension (PEP 709) takes over the slot of a variable
of the same name, empties it, and puts a bare value or a fresh cell there until it is done. Loading
such a slot as a cell reads a bare value as if it were one: a crash. Those slots are `shifting`:
their raw content is loaded and looked at.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from types import CellType, CodeType

from probe_agent.builtin_names import BUILTINS
from probe_agent.plain import UNBOUND
from probe_agent.rewrite.opcodes import (
    COPY_FREE_VARS,
    LOAD_FAST_AND_CLEAR,
    MAKE_CELL,
)
from probe_agent.rewrite.units import Unit

__builtins__ = BUILTINS  # the application may replace its own


@dataclass(frozen=True, slots=True)
class Slot:
    """One place of a frame. `is_cell`: its value is in a cell. `is_shifting`: see the module."""

    number: int
    is_cell: bool
    is_shifting: bool


@dataclass(frozen=True, slots=True)
class Slots:
    """Every variable's slots: one, or two where a comprehension's local shares its name with a free
    variable.
    """

    by_name: dict[str, tuple[Slot, ...]]
    bound_at_entry: int


def variables(code: CodeType) -> tuple[str, ...]:
    """Name what an insertion into `code` may load, in order of definition.

    Locals (arguments first), then cells, then free variables, none twice; the compiler's own (`.0`)
    are left out. Module and class bodies have none: their names are in dictionaries.
    """
    if not code.co_flags & inspect.CO_OPTIMIZED:
        return ()
    names = dict.fromkeys((*code.co_varnames, *code.co_cellvars, *code.co_freevars))
    return tuple(name for name in names if not name.startswith("."))


def slots_of(code: CodeType, units: list[Unit], body: int) -> Slots:
    """Find the slots of all variables. `body`: number of the first unit after the prologue."""
    cells = [name for name in code.co_cellvars if name not in code.co_varnames]
    layout = [*code.co_varnames, *cells, *code.co_freevars]
    first_free = len(layout) - len(code.co_freevars)
    made = {unit.arg for unit in units[:body] if unit.op == MAKE_CELL}
    if any(unit.op == COPY_FREE_VARS for unit in units[:body]):
        made.update(range(first_free, len(layout)))
    taken_over = {
        unit.arg
        for at, unit in enumerate(units)
        if unit.op == LOAD_FAST_AND_CLEAR or (unit.op == MAKE_CELL and at >= body)
    }
    by_name: dict[str, tuple[Slot, ...]] = {}
    for number, name in enumerate(layout):
        is_cell = name in code.co_cellvars or number >= first_free
        is_shifting = is_cell and (number in taken_over or number not in made)
        by_name[name] = (*by_name.get(name, ()), Slot(number, is_cell, is_shifting))
    return Slots(by_name, (1 << _argument_count(code)) - 1)


def _argument_count(code: CodeType) -> int:
    star = bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return code.co_argcount + code.co_kwonlyargcount + star


def first_value(*contents: object) -> object:
    """Give the first value among the raw contents of a variable's slots, or UNBOUND.

    Called by the inserted block, for shifting slots and doubled names only.
    """
    for content in contents:
        if type(content) is not CellType:
            value = content
        else:
            try:
                value = content.cell_contents
            except ValueError:  # an empty cell; nothing else can be raised here but by a signal
                continue
        if value is not UNBOUND:
            return value
    return UNBOUND
