"""Source as `find_code` shows it."""

from __future__ import annotations

from typing import Any

from mcp_server.model import CodeAnswer
from mcp_server.render.code import render_code
from probe_agent.probe import SourceMatch


def bars(
    *lines: str, line: int, code: str, before: tuple[str, ...] = (), **given: Any
) -> list[str]:
    match = SourceMatch("/srv/v.py", line, "check", code, True, before, lines)
    text = render_code(CodeAnswer((match,), 0), {"service": "trades", **given}, 2000).text
    return [row for row in text.splitlines() if "|" in row]


def test_each_line_has_its_number_and_the_one_asked_for_a_mark_and_its_indentation() -> None:
    before = ("def check(a, b):",)
    shown = bars("", "x", line=99, code="    return a > b", before=before, file="v.py")
    assert shown == [
        "   98 | def check(a, b):",
        ">  99 |     return a > b",
        "  100 |",
        "  101 | x",
    ]


def test_a_line_that_is_followed_by_its_like_is_not_taken_for_a_functions_first() -> None:
    assert bars(")", line=7, code=")", file="v.py") == ["> 7 | )", "  8 | )"]


def test_a_functions_text_is_marked_at_its_def_line() -> None:
    shown = bars("def f():", "    pass", line=5, code="def f():", before=("@once",), function="f")
    assert shown == ["  4 | @once", "> 5 | def f():", "  6 |     pass"]
