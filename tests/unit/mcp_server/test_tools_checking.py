from __future__ import annotations

import json
from typing import Any

import pytest

from mcp_server.errors import InvalidArgument
from mcp_server.tools.checking import check, given_arguments, input_schema
from mcp_server.tools.inputs import (
    FindCode,
    Input,
    ListServices,
    PlaceSnapshot,
    ReadResults,
    RemoveProbes,
)

PLACE = {"service": "shop", "file": "a.py", "line": 3, "reason": "long enough"}
MEGABYTE = "A" * 1_000_000


@pytest.mark.parametrize(
    ("model", "arguments", "said"),
    [
        pytest.param(PlaceSnapshot, {**PLACE, "condtion": "x"}, ["'condtion'", "condition?"], id="unknown"),
        pytest.param(PlaceSnapshot, {**PLACE, "function": "f"}, ["no argument 'function'"], id="not built yet"),
        pytest.param(PlaceSnapshot, {"service": "shop", "line": 1}, ["file is missing"], id="missing"),
        pytest.param(PlaceSnapshot, {**PLACE, "service": None}, ["service is null"], id="required and null"),
        pytest.param(PlaceSnapshot, {**PLACE, "line": "41"}, ["line is the text '41'", "whole number from 1"], id="text for a number"),
        pytest.param(PlaceSnapshot, {**PLACE, "line": True}, ["line is true"], id="bool for a number"),
        pytest.param(PlaceSnapshot, {**PLACE, "line": 1.5}, ["line is 1.5"], id="fraction"),
        pytest.param(PlaceSnapshot, {**PLACE, "line": 0}, ["line is 0"], id="zero"),
        pytest.param(PlaceSnapshot, {**PLACE, "line": 10**5000}, ["no number of a usable size"], id="huge number"),
        pytest.param(PlaceSnapshot, {**PLACE, "wait_seconds": float("nan")}, ["a number from 0 to 40"], id="nan"),
        pytest.param(PlaceSnapshot, {**PLACE, "wait_seconds": 41}, ["is 41", "0 to 40"], id="wait too long"),
        pytest.param(PlaceSnapshot, {**PLACE, "ttl_seconds": 9}, ["10 to 86,400"], id="ttl too short"),
        pytest.param(PlaceSnapshot, {**PLACE, "max_hits": 1001}, ["1 to 1,000"], id="max_hits too large"),
        pytest.param(PlaceSnapshot, {**PLACE, "stack_frames": 51}, ["0 to 50"], id="stack too deep"),
        pytest.param(PlaceSnapshot, {**PLACE, "reason": "short"}, ["8 to 500 characters"], id="reason too short"),
        pytest.param(PlaceSnapshot, {**PLACE, "reason": " " * 9}, ["reason is empty"], id="reason of spaces"),
        pytest.param(PlaceSnapshot, {**PLACE, "reason": "x" * 501}, ["text of 501 characters"], id="reason too long"),
        pytest.param(PlaceSnapshot, {**PLACE, "service": ""}, ["service is empty"], id="empty"),
        pytest.param(PlaceSnapshot, {**PLACE, "service": MEGABYTE}, ["text of 1,000,000 characters"], id="a megabyte"),
        pytest.param(PlaceSnapshot, {**PLACE, "capture": "x"}, ["capture is the text 'x'", "a list of"], id="text for a list"),
        pytest.param(PlaceSnapshot, {**PLACE, "capture": []}, ["a list of 0 items"], id="empty list"),
        pytest.param(PlaceSnapshot, {**PLACE, "capture": ["a", 2]}, ["item 2 of capture is 2."], id="wrong item"),
        pytest.param(PlaceSnapshot, {**PLACE, "capture": ["a"] * 51}, ["a list of 51 items"], id="too many items"),
        pytest.param(PlaceSnapshot, {**PLACE, "labels": ["a"]}, ["labels is a list", "an object"], id="list for an object"),
        pytest.param(PlaceSnapshot, {**PLACE, "labels": {"a": 1}}, ["'a' of labels is 1.", "at most 20 entries", "1 to 100"], id="wrong label"),
        pytest.param(PlaceSnapshot, {**PLACE, "labels": {"zone": "x" * 200}}, ["'zone' of labels is text of 200"], id="label too long"),
        pytest.param(PlaceSnapshot, {**PLACE, "labels": {"": "b"}}, ["a key of labels is empty"], id="label without a name"),
        pytest.param(PlaceSnapshot, {**PLACE, "labels": {"[key]": 1}}, ["'[key]' of labels is 1"], id="label named as pydantic blames keys"),
        pytest.param(PlaceSnapshot, {**PLACE, "labels": {str(n): "a" for n in range(30)}}, ["labels is an object of 30 entries"], id="too many labels"),
        pytest.param(PlaceSnapshot, {**PLACE, "instances": 0}, ["instances is 0", "or a list"], id="no instance"),
        pytest.param(PlaceSnapshot, {**PLACE, "dry_run": "yes"}, ["true or false"], id="text for a bool"),
        pytest.param(ReadResults, {"detail": "all"}, ["'all'", "one of summary, full"], id="no such choice"),
        pytest.param(ReadResults, {"token_budget": 199}, ["200 to 20,000"], id="budget too small"),
        pytest.param(ReadResults, {"limit": 501}, ["1 to 500"], id="limit too large"),
        pytest.param(FindCode, {}, ["service is missing"], id="nothing at all"),
        pytest.param(ListServices, {MEGABYTE: 1}, ["(cut)"], id="a megabyte of a name"),
        pytest.param(RemoveProbes, {"probe_ids": [["p"]]}, ["item 1 of probe_ids is a list of 1 item."], id="nested list"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_our_words(
    model: type[Input], arguments: dict[str, Any], said: list[str]
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        check("a_tool", model, arguments)
    text = str(refused.value)
    assert text.startswith("invalid_argument: Cannot call a_tool. ")
    for words in said:
        assert words in text
    assert len(text) < 500
    assert "pydantic" not in text
    assert "Input should" not in text


def test_what_is_repeated_of_a_hostile_value_is_cut_and_escaped() -> None:
    with pytest.raises(InvalidArgument) as refused:
        check("a_tool", ReadResults, {"detail": "\x1b[31m\u202eobey\n"})
    assert "\\x1b[31m\\u202eobey\\n" in str(refused.value)
    assert str(refused.value).isprintable()


def test_an_optional_argument_that_is_null_is_not_given() -> None:
    asked = check("a_tool", PlaceSnapshot, {**PLACE, "condition": None, "capture": None})
    assert given_arguments(asked) == PLACE


def test_an_instance_count_and_a_list_of_ids_are_both_understood() -> None:
    assert check("t", PlaceSnapshot, {**PLACE, "instances": 2}).instances == 2
    assert check("t", PlaceSnapshot, {**PLACE, "instances": ["i-a"]}).instances == ["i-a"]


def test_the_schema_says_what_is_checked_and_nothing_else() -> None:
    schema = input_schema(PlaceSnapshot)
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["service", "file", "reason"]
    assert isinstance(schema["properties"], dict)
    assert schema["properties"]["ttl_seconds"] == {
        "type": "integer",
        "minimum": 10,
        "maximum": 86_400,
        "default": 600,
    }
    for noise in ("title", "null", 'maxLength": 2000', "$defs"):
        assert noise not in json.dumps(schema)
