"""Keep calls fast across a change of `__code__`: function versions.

CPython's specialised calls know a function by its version, a word in the function object that says:
nothing that matters for calling has changed since. `def` sets it to the version of the code object;
setting `__code__` clears it. 3.11 and 3.12 hand out a new one at the next call; 3.13 and 3.14 never
do, and every call of that function stays slow, also with the original back in place (Objects/
funcobject.c, "Function versions").

What makes it safe to write the word: it only ever gets the version of the code object that the
function holds from now on, as `def` would set it, and only if it held that of the old code object
before. So a function whose defaults, code or vectorcall somebody else has changed stays cleared.
The interpreter's table from versions to functions is left alone: an entry that is missing there is
looked up in vain by the JIT compiler, no more, and ours would have to be taken out when the
function dies.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from itertools import pairwise
from types import CodeType, FunctionType
from typing import Final

from probe_agent.rewrite.native import word_of

_STAYS_CLEARED: Final = sys.version_info >= (3, 13)
# `func_version` is the last field of a function object, padded to a pointer's size.
_IN_FUNCTION: Final = FunctionType.__basicsize__ - struct.calcsize("P")
_WORD_BYTES: Final = 4
# FUNC_VERSION_UNSET and FUNC_VERSION_CLEARED; what is not a version.
_INVALID: Final = (0, 1)
_UNSET: Final = 0


class FunctionVersions:
    """Sets `__code__`; where it can be done safely, what was fast to call stays fast.

    `why_not`: why versions are left alone, a clause; empty if they are kept. `in_code`: offset of
    `co_version`; 0 if not kept.
    """

    def __init__(self, find_offset: Callable[[], int | str] | None = None) -> None:
        """`find_offset` gives the offset of `co_version`, or why there is none."""
        found = (find_offset or _find_offset)() if _STAYS_CLEARED else "this Python makes new ones"
        self.in_code, self.why_not = (found, "") if isinstance(found, int) else (0, found)

    def set_code(self, function: FunctionType, code: CodeType) -> None:
        """Set `__code__`. Raises: what the assignment raises; nothing has changed then."""
        if self.why_not or type(function) is not FunctionType:
            function.__code__ = code
        else:
            _set_code(function, code, self.in_code)


def _set_code(function: FunctionType, code: CodeType, in_code: int) -> None:
    of_function = word_of(function, _IN_FUNCTION)
    of_old, of_new = word_of(function.__code__, in_code), word_of(code, in_code)
    assert of_function is not None
    assert of_old is not None
    assert of_new is not None
    was = _called_with(function)
    version = of_new.value
    if version in _INVALID or of_old.value in _INVALID or of_function.value != of_old.value:
        function.__code__ = code
        return
    # Both in one call from C: no other thread and no signal handler runs between them.
    list(map(setattr, (function, of_function), ("__code__", "value"), (code, version)))
    if function.__code__ is not code or any(
        now is not before for now, before in zip(_called_with(function), was, strict=True)
    ):
        of_function.value = _UNSET  # another thread, or an audit hook, has changed it too


def _called_with(function: FunctionType) -> tuple[object, object, object]:
    return function.__defaults__, function.__kwdefaults__, function.__closure__


def _find_offset() -> int | str:
    """Find `co_version` in code objects, and rehearse the change on functions of our own.

    Returns: the offset in bytes, or why it is not certain.
    """
    fresh = _fresh_functions()
    versions = [word.value for f in fresh if (word := word_of(f, _IN_FUNCTION)) is not None]
    if not versions:
        return "this Python has no ctypes"
    if any(b <= a for a, b in pairwise((*_INVALID, *versions))):
        return "functions do not have their versions where they are looked for"
    offsets = [
        offset
        for offset in range(object.__basicsize__, CodeType.__basicsize__, _WORD_BYTES)
        if versions == [_word(f.__code__, offset) for f in fresh]
    ]
    if len(offsets) != 1:
        return f"code objects have their versions in {len(offsets)} places"
    if not all(_is_proved(function, offsets[0]) for function in fresh):
        return "a rehearsal on functions of our own has failed"
    return offsets[0]


def _fresh_functions() -> tuple[FunctionType, ...]:
    """Make functions, each with a code object of its own and its version as `def` has set it."""
    return (lambda: 1, lambda: 2, lambda: 3, lambda: 4)  # type: ignore[return-value]


def _word(an_object: object, offset: int) -> int:
    word = word_of(an_object, offset)
    return 0 if word is None else int(word.value)


def _is_proved(function: FunctionType, in_code: int) -> bool:
    """Rehearse: a plain change clears the version, ours sets the right one, defaults clear it."""
    old = function.__code__
    new = old.replace()
    if _word(new, in_code) in (*_INVALID, _word(old, in_code)):
        return False
    for code in (new, old):
        _set_code(function, code, in_code)
        if _word(function, _IN_FUNCTION) != _word(code, in_code):
            return False
    function.__defaults__ = ()
    _set_code(function, new, in_code)
    return _word(function, _IN_FUNCTION) in _INVALID
