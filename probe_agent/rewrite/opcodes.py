"""What differs between CPython 3.11, 3.12, 3.13 and 3.14, as tables; the other files of the package
hold no version test.

Opcodes are named as `dis` names them. A name that an interpreter does not know is dropped from its
sets, so one table serves all. The meaning of each table is CPython's: Python/compile.c,
Python/bytecodes.c, Objects/frameobject.c.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from probe_agent.errors import Unsupported


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one minor version of CPython wants a few things written.

    `call_head`: what stands before the arguments of a call, `callable` being the LOAD_CONST;
    `call_tail`: what stands after them, each with the number of arguments. `jump_if_false`,
    `jump_if_true`: forward jumps that take the value off the stack, for an exact bool.
    `load_local`: pushes a local, raises if it has none. `load_bound`: pushes one that has a value
    and keeps it while it is on the stack. `attribute_shift`: how far LOAD_ATTR's argument, the
    number of the name, is shifted.
    `after_for`: what stands where FOR_ITER goes when there is no item left; its exit skips them or
    pops the iterator by them. `merges_locations`: neighbours at one location share an entry of
    the line table. `after_end_for`: what FOR_ITER's exit skips together with END_FOR, if anything.
    `blames_unit_before_call`: an exception out of a Python function that was called inline is
    looked up in the exception table at the code unit in front of the calling one (ceval.c:
    `exit_unwind` goes on at `frame->instr_ptr`, `exception_unwind` subtracts 1). In the compiler's
    own tables it makes no difference.
    """

    call_head: tuple[str, str]
    call_tail: tuple[str, ...]
    jump_if_false: str
    jump_if_true: str
    load_local: str
    load_bound: str
    attribute_shift: int
    after_for: tuple[str, ...]
    merges_locations: bool
    after_end_for: str
    blames_unit_before_call: bool


_DIALECTS: Final = {
    (3, 11): Dialect(
        call_head=("PUSH_NULL", "callable"),
        call_tail=("PRECALL", "CALL"),
        jump_if_false="POP_JUMP_FORWARD_IF_FALSE",
        jump_if_true="POP_JUMP_FORWARD_IF_TRUE",
        load_local="LOAD_FAST",  # raises by itself; later ones trust the compiler, and crash
        load_bound="LOAD_FAST",
        attribute_shift=0,
        after_for=(),
        merges_locations=False,
        after_end_for="",
        blames_unit_before_call=False,
    ),
    (3, 12): Dialect(
        call_head=("PUSH_NULL", "callable"),
        call_tail=("CALL",),
        jump_if_false="POP_JUMP_IF_FALSE",
        jump_if_true="POP_JUMP_IF_TRUE",
        load_local="LOAD_FAST_CHECK",
        load_bound="LOAD_FAST",
        attribute_shift=1,
        after_for=("END_FOR",),
        merges_locations=True,
        after_end_for="",
        blames_unit_before_call=False,
    ),
    (3, 13): Dialect(
        call_head=("callable", "PUSH_NULL"),
        call_tail=("CALL",),
        jump_if_false="POP_JUMP_IF_FALSE",
        jump_if_true="POP_JUMP_IF_TRUE",
        load_local="LOAD_FAST_CHECK",
        load_bound="LOAD_FAST",
        attribute_shift=1,
        after_for=("END_FOR", "POP_TOP"),
        merges_locations=True,
        after_end_for="POP_TOP",
        blames_unit_before_call=True,
    ),
    (3, 14): Dialect(
        call_head=("callable", "PUSH_NULL"),
        call_tail=("CALL",),
        jump_if_false="POP_JUMP_IF_FALSE",
        jump_if_true="POP_JUMP_IF_TRUE",
        load_local="LOAD_FAST_CHECK",
        load_bound="LOAD_FAST_BORROW",
        attribute_shift=1,
        after_for=("END_FOR", "POP_ITER"),
        merges_locations=True,
        after_end_for="POP_ITER",
        blames_unit_before_call=True,
    ),
}

# On an interpreter that is not in the table this is never used: `require_supported` comes first.
DIALECT: Final = _DIALECTS.get(sys.version_info[:2], _DIALECTS[3, 14])


def _numbers(*names: str) -> frozenset[int]:
    return frozenset(dis.opmap[name] for name in names if name in dis.opmap)


def _named(part: str) -> frozenset[int]:
    return frozenset(number for name, number in dis.opmap.items() if part in name)


def number(name: str) -> int:
    """Give the opcode's number on this interpreter, or -1, which no code unit has."""
    return dis.opmap.get(name, -1)


CACHE: Final = 0
EXTENDED_ARG: Final = number("EXTENDED_ARG")

# 3.13's HAVE_ARGUMENT is one too low for what it says it is.
TAKES_ARGUMENT: Final = frozenset(getattr(dis, "hasarg", range(dis.HAVE_ARGUMENT, 256)))

# Units whose argument is a distance to another unit. END_ASYNC_FOR (3.14) only names one: control
# never goes there.
WITH_TARGET: Final = frozenset(dis.hasjrel)
BACKWARD: Final = _named("JUMP_BACKWARD") | (_numbers("END_ASYNC_FOR") & WITH_TARGET)
JUMPS: Final = WITH_TARGET - _numbers("END_ASYNC_FOR")

# Nothing falls through to the unit after these.
NEVER_FALLS: Final = _numbers(
    "JUMP_FORWARD",
    "JUMP_BACKWARD",
    "JUMP_BACKWARD_NO_INTERRUPT",
    "RETURN_VALUE",
    "RETURN_CONST",
    "RAISE_VARARGS",
    "RERAISE",
)

# A jump back that is led to an out-of-line block, which stands after everything else, goes forward.
FORWARD_TWIN: Final = {
    "JUMP_BACKWARD": "JUMP_FORWARD",
    "JUMP_BACKWARD_NO_INTERRUPT": "JUMP_FORWARD",
    "POP_JUMP_BACKWARD_IF_TRUE": "POP_JUMP_FORWARD_IF_TRUE",
    "POP_JUMP_BACKWARD_IF_FALSE": "POP_JUMP_FORWARD_IF_FALSE",
    "POP_JUMP_BACKWARD_IF_NONE": "POP_JUMP_FORWARD_IF_NONE",
    "POP_JUMP_BACKWARD_IF_NOT_NONE": "POP_JUMP_FORWARD_IF_NOT_NONE",
}
# Only these may be led elsewhere. SEND's distance is read by gen_throw too (3.11), which knows no
# EXTENDED_ARG. FOR_ITER's needs no word: from 3.12 on it leads to END_FOR, in front of which
# nothing is inserted.
REDIRECTABLE: Final = JUMPS - _numbers("SEND")

# Nothing may be inserted in front of these. END_FOR: FOR_ITER's exit skips it unseen (3.12+).
# END_ASYNC_FOR, END_SEND, CLEANUP_THROW, SEND: generators find their way by their neighbours
# (_PyGen_yf, gen_throw). RESUME: belongs to the yield before it. NOT_TAKEN: belongs to the jump
# before it (3.14). PUSH_EXC_INFO: the exception is not yet recorded. The rest: the prologue.
NEVER_BEFORE: Final = _numbers(
    "RESUME",
    "SEND",
    "END_SEND",
    "END_FOR",
    "END_ASYNC_FOR",
    "CLEANUP_THROW",
    "NOT_TAKEN",
    "PUSH_EXC_INFO",
    "RETURN_GENERATOR",
    "COPY_FREE_VARS",
    "MAKE_CELL",
)
# Where a line begins at one of these, its insertion stands after it.
STEPPED_OVER: Final = _numbers("NOT_TAKEN", "PUSH_EXC_INFO")
# Nothing may come between these and the unit after them: (first, second).
INSEPARABLE: Final = frozenset(
    (number(first), number(second))
    for first, second in (
        ("END_FOR", DIALECT.after_end_for),
        ("KW_NAMES", "PRECALL"),  # 3.11: a hidden register is between them
        ("KW_NAMES", "CALL"),  # 3.12: same
        ("PRECALL", "CALL"),
        ("SEND", "YIELD_VALUE"),
        ("RESUME", "JUMP_BACKWARD_NO_INTERRUPT"),  # the loop of await and yield from
    )
)

RESUME: Final = number("RESUME")
RETURN_GENERATOR: Final = number("RETURN_GENERATOR")
MAKE_CELL: Final = number("MAKE_CELL")
COPY_FREE_VARS: Final = number("COPY_FREE_VARS")
LOAD_FAST_AND_CLEAR: Final = number("LOAD_FAST_AND_CLEAR")
LOAD_CONST: Final = number("LOAD_CONST")
JUMP_BACKWARD_NO_INTERRUPT: Final = number("JUMP_BACKWARD_NO_INTERRUPT")

COMPARE_OP: Final = number("COMPARE_OP")

BINDS_ONE: Final = _numbers("STORE_FAST", "STORE_DEREF", "MAKE_CELL")
# Two slots in one argument, four bits each.
BINDS_IN_NIBBLES: Final = _numbers("STORE_FAST_STORE_FAST", "STORE_FAST_LOAD_FAST")

# Units that carry the location of one whole expression or simple statement, never that of a
# compound statement with its body (as 3.11 and 3.12 give to the tests of `if`, to `for`, `with` and
# `except`).
EXPRESSIONS: Final = _numbers(
    "CALL",
    "CALL_KW",
    "CALL_FUNCTION_EX",
    "KW_NAMES",
    "BUILD_LIST",
    "BUILD_TUPLE",
    "BUILD_SET",
    "BUILD_MAP",
    "BUILD_CONST_KEY_MAP",
    "BUILD_STRING",
    "BUILD_SLICE",
    "LIST_EXTEND",
    "LIST_APPEND",
    "SET_ADD",
    "SET_UPDATE",
    "DICT_UPDATE",
    "DICT_MERGE",
    "BINARY_OP",
    "BINARY_SUBSCR",
    "BINARY_SLICE",
    "STORE_SUBSCR",
    "STORE_SLICE",
    "COMPARE_OP",
    "IS_OP",
    "CONTAINS_OP",
    "UNARY_NOT",
    "UNARY_NEGATIVE",
    "UNARY_INVERT",
    "UNPACK_SEQUENCE",
    "UNPACK_EX",
    "IMPORT_NAME",
    "RAISE_VARARGS",
    "LOAD_FAST_AND_CLEAR",
)
# Those of them with which a display or a comprehension begins, and by which it grows.
BUILDS: Final = _numbers("BUILD_LIST", "BUILD_SET", "BUILD_MAP")
FILLS: Final = _numbers("LIST_APPEND", "SET_ADD")
CALL: Final = number("CALL")
CHECK_EG_MATCH: Final = number("CHECK_EG_MATCH")
FOR_ITER: Final = number("FOR_ITER")
GET_ANEXT: Final = number("GET_ANEXT")


def _argument_of_comparison(example: Callable[[Any, Any], Any]) -> int:
    return next(i.arg or 0 for i in dis.get_instructions(example) if i.opcode == COMPARE_OP)


# How each comparison is written as the argument of COMPARE_OP, which differs on each version: read
# off what this interpreter's compiler makes.
COMPARISONS: Final = {
    symbol: _argument_of_comparison(example)
    for symbol, example in {
        "<": lambda a, b: a < b,
        "<=": lambda a, b: a <= b,
        "==": lambda a, b: a == b,
        "!=": lambda a, b: a != b,
        ">": lambda a, b: a > b,
        ">=": lambda a, b: a >= b,
    }.items()
}
# No statement begins with one of these: they use what the units before them made.
GOES_ON: Final = _numbers(
    "PRECALL",
    "CALL",
    "STORE_FAST",
    "STORE_NAME",
    "STORE_GLOBAL",
    "STORE_DEREF",
    "STORE_FAST_STORE_FAST",
    "STORE_FAST_LOAD_FAST",
    "RETURN_VALUE",
) | _named("POP_JUMP")


def require_supported() -> None:
    """Make sure that this interpreter is one whose code we know.

    Raises: Unsupported: another implementation, another version, or no GIL.
    """
    if sys.implementation.name != "cpython":
        why = f"this is {sys.implementation.name}, and only CPython's bytecode is known"
    elif sys.version_info[:2] not in _DIALECTS:
        why = f"Python {sys.version_info[0]}.{sys.version_info[1]} is not one of 3.11 to 3.14"
    elif not getattr(sys, "_is_gil_enabled", bool)() and hasattr(sys, "_is_gil_enabled"):
        why = "this interpreter runs without the GIL"
    else:
        return
    raise Unsupported(
        "Cannot rewrite code here", why, "Run the service on CPython 3.11 to 3.14 with the GIL"
    )
