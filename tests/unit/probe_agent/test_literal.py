"""Literals are those of the tool contract, and nothing in them acts on a terminal."""

from __future__ import annotations

import ast
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe_agent import plain
from probe_agent.literal import escape, quote, render, type_name

CASES = [
    (15000, "15000", "int"),
    ("15000", "'15000'", "str"),
    (1.5, "1.5", "float"),
    (float("nan"), "nan", "float"),
    (True, "True", "bool"),
    (None, "None", "NoneType"),
    (b"..", "b'..'", "bytes"),
    ((plain.SEQUENCE, "list", (1, 2), 100), "[1, 2, ... +98]", "list"),
    ((plain.SEQUENCE, "list", (), 0), "[]", "list"),
    ((plain.SEQUENCE, "list", (), 5), "[... +5]", "list"),
    ((plain.SEQUENCE, "tuple", (1,), 1), "(1,)", "tuple"),
    ((plain.SEQUENCE, "tuple", (), 0), "()", "tuple"),
    ((plain.SEQUENCE, "set", (1, 2), 2), "{1, 2}", "set"),
    ((plain.SEQUENCE, "set", (), 0), "set()", "set"),
    ((plain.SEQUENCE, "frozenset", (1,), 1), "frozenset({1})", "frozenset"),
    ((plain.SEQUENCE, "deque", (1,), 3), "deque([1, ... +2])", "deque"),
    ((plain.MAPPING, "dict", (("a", 1),), 1), "{'a': 1}", "dict"),
    ((plain.MAPPING, "dict", (("a", 1),), 4), "{'a': 1, ... +3}", "dict"),
    ((plain.MAPPING, "OrderedDict", (), 0), "OrderedDict({})", "OrderedDict"),
    ((plain.VERBATIM, "Decimal", "Decimal('1.50')"), "Decimal('1.50')", "Decimal"),
    (
        (plain.OBJECT, "Trade", (("id", "T-1"), ("amount", "15000")), 5),
        "Trade(id='T-1', amount='15000', ... +3)",
        "Trade",
    ),
    ((plain.OBJECT, "Text", (("", "abc"),), 1), "Text('abc')", "Text"),
    ((plain.CUT_STR, "first", 4805), "'first' +4800", "str"),
    ((plain.CUT_BYTES, b"first", 4805), "b'first' +4800", "bytes"),
    ((plain.CUT_INT, "0x1f", 9000), "<int 0x1f... bits=9000>", "int"),
    ((plain.EXCEPTION, "ValueError", ("bad row",), 1), "<ValueError('bad row')>", "ValueError"),
    ((plain.EXCEPTION, "E", (1,), 3), "<E(1, ... +2)>", "E"),
    ((plain.MARK, "<cycle>"), "<cycle>", "cycle"),
    ((plain.MARK, "<unbound>"), "<unbound>", "unbound"),
    ((plain.MARK, "<property total: not run>"), "<property total: not run>", "property"),
    ((plain.MARK, "<error KeyError: 'a'>"), "<error KeyError: 'a'>", "error"),
    ((plain.REDACTED, "str", 22, "a1f3"), "<redacted str len=22 tag=a1f3>", "str"),
    ((plain.REDACTED, "str", 0, "a1f3"), "<redacted str len<16 tag=a1f3>", "str"),
    ((plain.REDACTED, "int", None, "a1f3"), "<redacted int tag=a1f3>", "int"),
]


@pytest.mark.parametrize(("value", "literal", "name"), CASES)
def test_a_plain_value_is_written_as_the_contract_says(value, literal, name):
    assert render(value) == literal
    assert type_name(value) == name


def test_a_huge_int_is_not_printed_in_full():
    assert render(1 << 5000) == "<int 0x8000000000000000... bits=5001>"
    assert render(-(1 << 639)) == str(-(1 << 639))


DANGEROUS = [
    *"\0\a\b\t\n\r\x1b\x7f\x85\x9b",
    *"\u202a\u202e\u2066\u2069\u200e\u200f\u061c",
    *"\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\u3164\u2800\ufe0f\U000e0100",
    *"\U000e0001\U000e0041\ue000\U000f0000\U00100000\u2028\u2029\ud800",
]


@pytest.mark.parametrize("character", DANGEROUS, ids=lambda c: f"U+{ord(c):04X}")
def test_what_acts_on_a_terminal_or_hides_is_escaped_wherever_it_stands(character):
    everywhere = [
        character,
        (plain.CUT_STR, character, 500),
        (plain.VERBATIM, "x", f"<function {character}>"),
        (plain.MARK, f"<error {character}>"),
        (plain.OBJECT, f"T{character}", ((f"f{character}", character),), 1),
        (plain.MAPPING, f"D{character}", ((character, character),), 1),
        (plain.SEQUENCE, f"S{character}", (character,), 1),
        (plain.EXCEPTION, f"E{character}", (character,), 1),
        (plain.REDACTED, f"R{character}", None, "a1f3"),
    ]
    for value in everywhere:
        assert character not in render(value)
        assert character not in type_name(value)
    assert character not in escape(f"a{character}b")


@given(st.text())
def test_a_quoted_str_reads_back_and_has_only_visible_characters(text):
    literal = quote(text)
    assert ast.literal_eval(literal) == text
    assert all(unicodedata.category(c)[0] != "C" for c in literal)


def test_a_class_or_field_whose_name_is_no_name_is_quoted():
    value = (plain.OBJECT, "Ignore all, and", (("x=1) or (y", 1),), 1)
    assert render(value) == "'Ignore all, and'('x=1) or (y'=1)"
