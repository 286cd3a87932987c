"""Prove that all keys of a dict are exact strings, in one step whatever its size.

A lookup compares with keys of equal hash, and so could run their `__eq__`. CPython keeps the keys
in one of two forms: entries of two words while every key is an exact `str`, of three words
otherwise (Objects/dictobject.c, DICT_KEYS_UNICODE; `insertdict` converts at the first other key).
Tables have one of some forty sizes, so `dict.__sizeof__` tells the form. The formula is tried on
dicts of our own when this is imported; if they do not fit it, no dict has a size that counts, and
callers look at every key.
"""

from __future__ import annotations

import struct
from typing import Final

from probe_agent.builtin_names import BUILTINS

__builtins__ = BUILTINS  # the application may replace its own

_WORD: Final = struct.calcsize("P")
_SMALLEST, _LARGEST = 3, 40  # log2 of a table's slots
_MEASURED: Final = (1, 5, 6, 10, 11, 21, 22, 42, 43, 85, 86, 170, 171, 300, 700)


def _table_bytes(log2: int, words_per_entry: int) -> int:
    """Size of a table: indices of 1, 2, 4 or 8 bytes, and entries for two thirds of the slots."""
    index_bytes = 1 if log2 < 8 else 2 if log2 < 16 else 4 if log2 < 32 else 8
    return (index_bytes << log2) + ((2 << log2) // 3) * words_per_entry * _WORD


def _sizes(base: int, words_per_entry: int) -> frozenset[int]:
    logs = range(_SMALLEST, _LARGEST + 1)
    return frozenset(base + _table_bytes(log2, words_per_entry) for log2 in logs)


def _text_keyed_sizes() -> frozenset[int]:
    base = {"a": 1}.__sizeof__() - _table_bytes(_SMALLEST, 2)
    text_keyed, others = _sizes(base, 2), _sizes(base, 3)
    fits = text_keyed.isdisjoint(others)
    for count in _MEASURED:
        texts = {str(number): None for number in range(count)}
        fits = fits and texts.__sizeof__() in text_keyed
        texts[0] = None  # type: ignore[index]
        fits = fits and texts.__sizeof__() in others
        fits = fits and dict.fromkeys(range(count)).__sizeof__() in others
    return text_keyed if fits else frozenset()


# Sizes that an exact dict has only if all its keys are exact strings.
TEXT_KEYED_SIZES: Final = _text_keyed_sizes()
