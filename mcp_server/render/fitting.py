"""Keep an answer within its tokens: try shapes from generous to bare, each as full as fits."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from mcp_server.render.structure import JSON, structured

DEFAULT_TOKENS: Final = 2_000
_CHARACTERS_PER_TOKEN: Final = 4
_FIRST_TRIED: Final = 32

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rendered:
    """Both forms of one answer."""

    structured: dict[str, JSON]
    text: str

    def fits(self, tokens: int) -> bool:
        """True if the larger form has at most so many tokens of 4 characters."""
        written = json.dumps(self.structured, ensure_ascii=False)
        return max(len(written), len(self.text)) <= tokens * _CHARACTERS_PER_TOKEN


def render(answer: T, text: Callable[[T], str]) -> Rendered:
    """Write both forms from the same object."""
    return Rendered(structured(answer), text(answer))


@dataclass(frozen=True, slots=True)
class Shape(Generic[T]):
    """A way to write an answer with 0 to `most` of something. `least`: fewer is another shape's."""

    most: int
    least: int
    build: Callable[[int], T]


@dataclass(frozen=True, slots=True)
class Fit(Generic[T]):
    """What fitted: the answer, in which of the shapes, with how many of its things."""

    answer: T
    shape: int
    count: int
    rendered: Rendered


def fit(shapes: Sequence[Shape[T]], text: Callable[[T], str], tokens: int) -> Fit[T]:
    """Return the first shape that fits, as full as it fits; else the last at its least."""
    for number, shape in enumerate(shapes):
        fitted = _fullest(number, shape, text, tokens)
        if fitted.rendered.fits(tokens):
            return fitted
    return _attempt(len(shapes) - 1, shapes[-1], text, shapes[-1].least)


def _fullest(number: int, shape: Shape[T], text: Callable[[T], str], tokens: int) -> Fit[T]:
    """Try upwards from few, doubling, since an attempt costs by what it holds; then close in
    between what fitted and what did not.
    """
    tried = _attempt(number, shape, text, max(shape.least, min(shape.most, _FIRST_TRIED)))
    best = None
    while tried.rendered.fits(tokens):
        best = tried
        if tried.count >= shape.most:
            return best
        tried = _attempt(number, shape, text, min(shape.most, 2 * tried.count))
    if tried.count <= shape.least:
        return tried
    return _between(best or _attempt(number, shape, text, shape.least), tried, shape, text, tokens)


def _between(
    best: Fit[T], too_full: Fit[T], shape: Shape[T], text: Callable[[T], str], tokens: int
) -> Fit[T]:
    low, high = best.count, too_full.count
    while high - low > 1 and best.rendered.fits(tokens):
        tried = _attempt(best.shape, shape, text, (low + high) // 2)
        if tried.rendered.fits(tokens):
            low, best = tried.count, tried
        else:
            high = tried.count
    return best


def _attempt(number: int, shape: Shape[T], text: Callable[[T], str], count: int) -> Fit[T]:
    answer = shape.build(count)
    return Fit(answer, number, count, render(answer, text))
