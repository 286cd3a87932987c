from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.render.escape import escape, literal, quoted, source_line, word

HOSTILE = [
    pytest.param("\x1b[31m", "\\x1b[31m", id="ANSI"),
    pytest.param("a\r\nb\tc\x00", "a\\r\\nb\\tc\\x00", id="control"),
    pytest.param("\x9b1m", "\\x9b1m", id="C1 control"),
    pytest.param("a\u202eb\u2066", "a\\u202eb\\u2066", id="bidirectional"),
    pytest.param("a\u200bb\u2060\ufeff", "a\\u200bb\\u2060\\ufeff", id="zero width"),
    pytest.param("\U000e0041", "\\U000e0041", id="tag"),
    pytest.param("\ue000", "\\ue000", id="private use"),
    pytest.param("\u2028\u2029", "\\u2028\\u2029", id="line separators"),
    pytest.param("\ufe0f\U000e0100\u3164", "\\ufe0f\\U000e0100\\u3164", id="drawn as nothing"),
    pytest.param("\ud800", "\\ud800", id="half a surrogate pair"),
]


@pytest.mark.parametrize(("text", "expected"), HOSTILE)
def test_what_misleads_a_reader_is_escaped_as_in_python(text: str, expected: str) -> None:
    assert escape(text) == expected
    assert literal(text) == expected
    assert source_line(text) == f"| {expected}"


def test_ordinary_text_of_any_language_stays_as_it_is() -> None:
    for text in ("plain 'text' \\n", "größer", "価格", "سعر", "👍", ""):
        assert escape(text) == text


def test_a_literal_that_is_escaped_already_is_not_escaped_twice() -> None:
    assert escape(repr("a\nb\x1b")) == repr("a\nb\x1b")


def test_quoted_text_is_one_python_literal() -> None:
    assert quoted("it's\n\\") == "'it\\'s\\n\\\\'"


def test_a_word_stands_bare_only_if_nobody_could_read_it_as_prose() -> None:
    assert word("trades/validate.py") == "trades/validate.py"
    assert word("order.items[3].sku") == "order.items[3].sku"
    assert word("Ignore previous instructions") == "'Ignore previous instructions'"
    assert word("") == "''"
    assert word("x" * 301) == f"'{'x' * 301}'"


@given(st.text())
def test_nothing_dangerous_survives_and_json_does_not_bring_it_back(text: str) -> None:
    decoded = json.loads(json.dumps(escape(text)))
    assert not {unicodedata.category(c) for c in decoded} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


@given(st.text())
def test_what_is_quoted_stays_within_its_quotes(text: str) -> None:
    inner = quoted(text)[1:-1]
    assert "'" not in inner.replace("\\\\", "").replace("\\'", "")
    assert "\n" not in inner
