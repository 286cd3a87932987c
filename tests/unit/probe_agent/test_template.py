"""Message templates: what is allowed in braces, and how plain values fill them."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe_agent.capture import CaptureLimits, make_capture
from probe_agent.errors import ExpressionRefused
from probe_agent.expression import check_template, fill

CAPTURE = make_capture(CaptureLimits())


def filled(text: str, *values: object) -> str:
    return fill(check_template(text), [CAPTURE(v) for v in values])


@pytest.mark.parametrize(
    ("text", "values", "message"),
    [
        ("plain", (), "plain"),
        ("", (), ""),
        ("a {x} b {y}", (1, "two"), "a 1 b two"),
        ("{{{x}}}", (1,), "{1}"),
        ("{{x}}", (), "{x}"),
        ("{d['a:b']}", (5,), "5"),
        ("{d['}']}", (5,), "5"),
        ("{a[1:2]}", ([1],), "[1]"),
        ("{a if b != c else d}", (1,), "1"),
        ("{x:.2f}", (1.234,), "1.23"),
        ("{x:.2f}", (Decimal("1.235"),), format(Decimal("1.235"), ".2f")),
        ("{x:>5}|", ("ab",), "   ab|"),
        ("{x:,}", (1234567,), "1,234,567"),
        ("{x:%H:%M}", (datetime.datetime(2026, 11, 21, 9, 30),), "09:30"),
        ("{x:%Y-%m-%d}", (datetime.date(2026, 11, 21),), "2026-11-21"),
        ("{x:.2f}", ([1],), "[1]"),
        ("{x:.2f}", (None,), "None"),
        ("{x}", (Decimal("1.50"),), "Decimal('1.50')"),
        ("{x}", ("a" * 300,), "a" * 200 + "... +100"),
    ],
)
def test_a_template_is_filled(text, values, message):
    assert filled(text, *values) == message


def test_a_format_that_does_not_fit_the_value_leaves_an_error_in_its_place():
    assert filled("{x:.2f}", "abc").startswith("<error ValueError: ")
    assert filled("{x:.2f}", datetime.date(2026, 11, 21)).startswith("<error ValueError: ")
    assert filled("{x:%H}", 5).startswith("<error ValueError: ")


def test_control_characters_of_a_value_are_escaped():
    assert filled("{x}", "a\n\x1b[31m\u202e") == "a\\n\\x1b[31m\\u202e"


@pytest.mark.parametrize(
    "text",
    [
        *("{", "}", "a } b", "{}", "{x", "{x:", "{x!r}", "{x:{y}}", "{x:{y}f}", "{f()}", "{x y}"),
        *("{x:1001}", "{x:.1001f}", "{x:99999999999}", "{x:n}", "{x:hello}", "{x:%Q}"),
        *("{'a}", "{(}", "{a]}", "{@return}", "{x:\0}", "{ }", "{{}", "{a{b}c}", 5, "x" * 5000),
    ],
)
def test_a_wrong_template_is_refused_in_words(text):
    with pytest.raises(ExpressionRefused) as refused:
        check_template(text)
    assert refused.value.what
    assert refused.value.next_step


def test_a_refusal_says_where():
    with pytest.raises(ExpressionRefused, match="character 6,"):
        check_template("abc{x:{y}}")


@given(st.text())
def test_doubled_braces_give_any_text_back(text):
    if any("\ud800" <= c <= "\udfff" or c == "\0" for c in text):
        return
    template = check_template(text.replace("{", "{{").replace("}", "}}"))
    assert "".join(template.pieces) == text


@given(st.text(alphabet="{}ab:!'\"([])@#\\.0 ", max_size=30))
def test_any_text_is_checked_or_refused(text):
    try:
        template = check_template(text)
    except ExpressionRefused:
        return
    assert fill(template, [1] * len(template.expressions)) is not None
