from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from mcp_server.render.structure import output_schema, structured


@dataclass
class Inner:
    n: int
    text: str = ""
    deeper: dict[str, int] = field(default_factory=dict)


@dataclass
class Outer:
    when: datetime
    counts: Inner
    maybe: Inner | None = None
    rows: tuple[Inner, ...] = ()
    pairs: tuple[tuple[str, int], ...] = ()
    more: int = 0
    flag: bool = False
    next_cursor: str = ""


WHEN = datetime(2026, 11, 21, 9, 30, 0, 7_999, UTC)


def test_what_is_empty_is_left_out_but_not_measured_numbers_and_the_cursor() -> None:
    written = structured(Outer(WHEN, Inner(0)))
    assert written == {"when": "2026-11-21T09:30:00.007Z", "counts": {"n": 0}, "next_cursor": ""}


def test_what_is_there_is_written_in_full() -> None:
    inner = Inner(1, "a\u202eb", {"k\n": 2})
    written = structured(Outer(WHEN, inner, inner, (inner,), (("x", 1),), 3, True, "c"))
    assert written["maybe"] == {"n": 1, "text": "a\\u202eb", "deeper": {"k\\n": 2}}
    assert written["rows"] == [written["counts"]]
    assert written["pairs"] == [["x", 1]]
    assert (written["more"], written["flag"], written["next_cursor"]) == (3, True, "c")


def test_the_schema_names_two_levels_and_requires_what_is_always_there() -> None:
    schema = output_schema(Outer)
    assert schema["required"] == ["when", "counts", "next_cursor"]
    properties = schema["properties"]
    assert isinstance(properties, dict)
    assert properties["maybe"] == {
        "type": "object",
        "properties": {
            "n": {"type": "integer"},
            "text": {"type": "string"},
            "deeper": {"type": "object"},
        },
        "required": ["n"],
    }
    assert properties["rows"] == {"type": "array", "items": properties["maybe"]}
    assert properties["pairs"] == {"type": "array"}
