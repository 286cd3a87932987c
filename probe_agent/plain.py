"""Plain values: what a capture copies out of the application, before it is redacted and rendered.

A plain value holds no reference to an application object: only exact immutable builtins and tuples
of them. `capture` makes them on the application's thread (so they are tuples: the cheapest thing to
build), `redaction` and `literal` read them in the background. The first item of a node says what it
is:

    (CUT_STR, head, total)              a str longer than the limit; total in characters
    (CUT_BYTES, head, total)            bytes longer than the limit; total in bytes
    (CUT_INT, hexadecimal head, bits)   an int too large to print
    (SEQUENCE, kind, items, total)      kind: 'list', 'tuple', 'set', 'frozenset', 'deque'
    (MAPPING, kind, pairs, total)       kind: 'dict' or the type's name; pairs: (key, value), plain
    (OBJECT, type name, fields, total)  fields: (name, value); the order of the instance; the name
                                        "" for what it holds as a subclass of a builtin
    (VERBATIM, type name, text)         already a literal: Status.PAID, <function price>
    (VERBATIM, type name, text, value)  value: exact Decimal or date, for a template's format
    (EXCEPTION, type name, args, total) args: plain values
    (MARK, text)                        <cycle>, <unbound>, <error ...>, <property x: not run>
    (REDACTED, type name, length, tag)  made by `redaction` only; length: None if the type has
                                        none, 0 if it is too short to tell
"""

from __future__ import annotations

from enum import Enum
from typing import Final, TypeAlias

CUT_STR: Final = 1
CUT_BYTES: Final = 2
CUT_INT: Final = 3
SEQUENCE: Final = 4
MAPPING: Final = 5
OBJECT: Final = 6
VERBATIM: Final = 7
EXCEPTION: Final = 8
MARK: Final = 9
REDACTED: Final = 10

Atom: TypeAlias = str | bytes | int | float | complex | bool | None
# Tuples of fixed shapes, told apart by their first item; spelling each out costs mypy more than it
# gives.
Node: TypeAlias = tuple[object, ...]
Plain: TypeAlias = Atom | Node

ATOMS: Final = frozenset({str, bytes, int, float, complex, bool, type(None)})


class Unbound(Enum):
    """Stands for a variable that has no value yet, on its way from the inserted block to a guard or
    a capture.
    """

    UNBOUND = "<unbound>"

    def __reduce_ex__(self, protocol: object) -> tuple[object, ...]:
        """Be pickled as something that needs no Sonde: it stands in the constants of probed code,
        which may be shipped elsewhere.
        """
        return object, ()


UNBOUND: Final = Unbound.UNBOUND
