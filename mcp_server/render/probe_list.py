"""The answers of `list_probes` and `remove_probes`, the former within its tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mcp_server.model import ProbePage, RemoveAnswer
from mcp_server.render.answers import ListedProbe, ProbeList, Removal
from mcp_server.render.fitting import Rendered, Shape, fit, render
from mcp_server.render.next_step import NextCall, after_list, after_removal, more_tokens
from mcp_server.render.parts import listed_probe, shortest_row
from mcp_server.render.text import probe_list_text, removal_text


def render_probes(page: ProbePage, given: Mapping[str, object], tokens: int) -> Rendered:
    """Write both forms. Args: given: the call's own arguments."""
    return fit(_Draft(page, given, tokens).shapes(), probe_list_text, tokens).rendered


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
        cursor = self._cursor(len(rows)) if more else ""
        return ProbeList(
            probes=rows,
            more=more,
            left_out=left_out,
            next_cursor=cursor,
            next_call=self._next_call(cursor, is_cut=bool(left_out)),
        )

    def _cursor(self, count: int) -> str:
        return self.page.cursors[count - 1] if count else str(self.given.get("cursor", ""))

    def _next_call(self, cursor: str, *, is_cut: bool) -> NextCall:
        wider = more_tokens("list_probes", self.given, self.tokens) if is_cut else None
        if wider is not None:
            return wider
        if cursor:
            return NextCall("list_probes", {**self.given, "cursor": cursor})
        return after_list(self.given, self.page.probes)
