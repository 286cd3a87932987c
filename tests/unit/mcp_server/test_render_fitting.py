from __future__ import annotations

from dataclasses import dataclass

import pytest

from mcp_server.render.fitting import Rendered, Shape, fit


@dataclass
class Answer:
    items: tuple[str, ...]
    kind: str


def shapes(count: int) -> list[Shape[Answer]]:
    return [
        Shape(count, 1, lambda n: Answer(("x" * 100,) * n, "long")),
        Shape(count, 1, lambda n: Answer(("x" * 10,) * n, "short")),
        Shape(0, 0, lambda n: Answer((), "nothing")),
    ]


@pytest.mark.parametrize(
    ("tokens", "kind", "count"),
    [
        pytest.param(1_000, "long", 20, id="all of it"),
        pytest.param(250, "long", 9, id="as many as fit"),
        pytest.param(30, "short", 6, id="the next shape"),
        pytest.param(5, "nothing", 0, id="the last shape, whether it fits or not"),
    ],
)
def test_an_answer_is_as_full_as_fits(tokens: int, kind: str, count: int) -> None:
    fitted = fit(shapes(20), lambda answer: "", tokens)
    assert (fitted.answer.kind, len(fitted.answer.items)) == (kind, count)


def test_the_larger_form_counts() -> None:
    assert Rendered({}, "x" * 400).fits(100)
    assert not Rendered({}, "x" * 401).fits(100)
    assert not Rendered({"a": "x" * 400}, "").fits(100)


def test_an_answer_that_cannot_hold_much_is_not_tried_with_all_there_is() -> None:
    tried: list[int] = []

    def build(count: int) -> Answer:
        tried.append(count)
        return Answer(("x" * 100,) * count, "long")

    fitted = fit([Shape(10_000, 1, build)], lambda answer: "", 1_000)
    assert fitted.count == 38
    assert max(tried) <= 64
