"""The answer of `find_code` within its tokens: matches are cut first, then the lines of the one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from mcp_server.model import CodeAnswer
from mcp_server.render.answers import Code, Match
from mcp_server.render.fitting import Rendered, Shape, fit
from mcp_server.render.next_step import after_code, more_tokens
from mcp_server.render.text import code_text
from probe_agent.probe import SourceMatch


def render_code(answer: CodeAnswer, given: Mapping[str, object], tokens: int) -> Rendered:
    """Write both forms. Args: given: the call's own arguments."""
    found = answer.matches
    usual = after_code(given, found)
    wider = more_tokens("find_code", given, tokens) or usual

    def with_matches(count: int) -> Code:
        missing = len(found) - count
        return Code(
            matches=tuple(_match(match) for match in found[:count]),
            more=answer.more + missing,
            next_call=wider if missing else usual,
        )

    def with_lines(count: int) -> Code:
        shown, missing = _with_lines(found[0], count)
        return Code(
            matches=(shown,),
            more=answer.more + len(found) - 1,
            left_out={what: number for what, number in missing.items() if number},
            next_call=wider,
        )

    shapes = [Shape(len(found), min(1, len(found)), with_matches)]
    if found:
        shapes.append(Shape(len(found[0].after), 0, with_lines))
    text = partial(code_text, of_function="function" in given)
    return fit(shapes, text, tokens).rendered


def _match(found: SourceMatch) -> Match:
    return Match(
        file=found.file,
        line=found.line,
        function=found.function,
        code=found.code,
        executable=found.executable,
        before=found.before,
        after=found.after,
        names=found.names,
        source_sha256=found.source_sha256,
    )


def _with_lines(found: SourceMatch, count: int) -> tuple[Match, dict[str, int]]:
    """Keep the first lines after the match; with none, only where it is. Counts what is missing."""
    shown = Match(
        file=found.file,
        line=found.line,
        function=found.function,
        code=found.code if count else "",
        executable=found.executable,
        after=found.after[:count],
        names=found.names if count else (),
    )
    lines = len(found.before) + len(found.after) - count + (0 if count else 1)
    return shown, {"lines": lines, "names": len(found.names) - len(shown.names)}
