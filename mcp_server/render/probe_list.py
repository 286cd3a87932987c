"""The answers of `list_probes` and `remove_probes`, the former within its tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mcp_server.model import ProbePage, RemoveAnswer
from mcp_server.render.answers import ListedProbe, ProbeList, Removal
from mcp_server.render.fitting import Rendered, Shape, fit, render
from mcp_server.render.hits import CursorAfter
from mcp_server.render.next_step import NextCall, after_list, after_removal, more_tokens
from mcp_server.render.parts import listed_probe, shortest_row
from mcp_server.render.text import probe_list_text, removal_text

# Stands for a cursor that is not known yet, and is as long as a long one.
_ANY_CURSOR = "x" * 20


async def render_probes(
    page: ProbePage, given: Mapping[str, object], tokens: int, cursor_after: CursorAfter
) -> Rendered:
    """Write both forms. Args: given: the call's own arguments."""
    draft = _Draft(page, given, tokens, page.next_cursor or _ANY_CURSOR)
    fitted = fit(draft.shapes(), probe_list_text, tokens)
    if fitted.count < len(page.probes):
        draft = replace(draft, cursor=await cursor_after(fitted.count))
    return render(draft.shapes()[fitted.shape].build(fitted.count), probe_list_text)


def render_removal(answer: RemoveAnswer) -> Rendered:
    """Write both forms."""
    return render(
        Removal(
            removed=answer.removed,
            removing=answer.removing,
            already_gone=answer.already_gone,
            not_yours=answer.not_yours,
            next_call=after_removal(answer),
        ),
        removal_text,
    )


@dataclass(frozen=True, slots=True)
class _Draft:
    page: ProbePage
    given: Mapping[str, object]
    tokens: int
    cursor: str

    def shapes(self) -> list[Shape[ProbeList]]:
        rows = tuple(listed_probe(view) for view in self.page.probes)
        short = tuple(shortest_row(row) for row in rows)
        most, least = len(rows), min(1, len(rows))
        return [
            Shape(most, least, lambda n: self._answer(rows[:n], {})),
            Shape(most, 0, lambda n: self._answer(short[:n], {"details": n})),
        ]

    def _answer(self, rows: tuple[ListedProbe, ...], left_out: dict[str, int]) -> ProbeList:
        more = self.page.more + len(self.page.probes) - len(rows)
        return ProbeList(
            probes=rows,
            more=more,
            left_out=left_out,
            next_cursor=self.cursor if more else "",
            next_call=self._next_call(more, is_cut=bool(left_out)),
        )

    def _next_call(self, more: int, *, is_cut: bool) -> NextCall:
        wider = more_tokens("list_probes", self.given, self.tokens) if is_cut else None
        if wider is not None:
            return wider
        if more:
            return NextCall("list_probes", {**self.given, "cursor": self.cursor})
        return after_list(self.page.probes)
