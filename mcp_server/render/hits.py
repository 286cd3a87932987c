"""Answers that hold results, within their tokens. What is cut first is what is easiest to get back.

Stacks and threads go first, then hits from the end, then values; the counts of a probe stay. A
cursor must stand behind the last hit shown, so the caller is asked for it once that is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeAlias

from mcp_server.model import ProbeView, ReadAnswer, StoredResult
from mcp_server.render.answers import Hit, Placed, Probe, Results
from mcp_server.render.fitting import DEFAULT_TOKENS, Rendered, Shape, fit, render
from mcp_server.render.next_step import NextCall, after_probe, after_results, more_tokens, read_on
from mcp_server.render.parts import (
    bare,
    fewer_distinct,
    first_values,
    full_hit,
    probe_of,
    short_hit,
)
from mcp_server.render.text import placed_text, results_text

# Asked how many results are shown; answers with the cursor that stands behind the last of them.
CursorAfter: TypeAlias = Callable[[int], str]

_FEW_DISTINCT: Final = 2
_ROOMY_TOKENS: Final = 10_000


def render_placed(view: ProbeView, again: NextCall | None, cursor_after: CursorAfter) -> Rendered:
    """Write the answer of a placing tool. Args: again: what to call after a dry run, else None."""
    text = partial(placed_text, waited_s=view.waited_seconds)
    draft = _PlacedDraft(view, again, view.next_cursor)
    fitted = fit(draft.shapes(), text, DEFAULT_TOKENS)
    shown = len(fitted.answer.results)
    if shown == len(view.results):
        return fitted.rendered
    draft = replace(draft, cursor=cursor_after(shown))
    return render(draft.shapes()[fitted.shape].build(fitted.count), text)


def render_results(
    answer: ReadAnswer,
    given: Mapping[str, object],
    tokens: int,
    cursor_after: CursorAfter,
    *,
    in_full: bool,
) -> Rendered:
    """Write the answer of `read_results`. Args: given: the call's own arguments."""
    draft = _ResultsDraft(answer, given, tokens, answer.next_cursor, in_full)
    fitted = fit(draft.shapes(), results_text, tokens)
    shown = len(fitted.answer.results)
    if shown == len(answer.results):
        return fitted.rendered
    draft = replace(draft, cursor=cursor_after(shown))
    return render(draft.shapes()[fitted.shape].build(fitted.count), results_text)


@dataclass(frozen=True, slots=True)
class _PlacedDraft:
    view: ProbeView
    again: NextCall | None
    cursor: str

    def shapes(self) -> list[Shape[Placed]]:
        results = self.view.results
        full = tuple(full_hit(result) for result in results)
        short = tuple(short_hit(result, names_probe=False) for result in results)
        count, least = len(results), min(1, len(results))
        shapes = [
            Shape(count, count, lambda n: self._answer(full[:n])),
            Shape(count, least, lambda n: self._answer(short[:n], in_short=True)),
            Shape(0, 0, lambda _: self._answer((), is_bare=True)),
        ]
        if short:
            first = short[0]
            values = Shape(
                len(first.values),
                0,
                lambda n: self._answer((first_values(first, n),), in_short=True, is_bare=True),
            )
            shapes.insert(2, values)
        return shapes

    def _answer(
        self, hits: tuple[Hit, ...], *, in_short: bool = False, is_bare: bool = False
    ) -> Placed:
        placed = probe_of(self.view, Placed)
        left_out = _missing_values(self.view.results, hits)
        if in_short:
            left_out["stacks"] = sum(bool(r.result.stack) for r in self.view.results[: len(hits)])
        if is_bare:
            left_out |= _missing_parts((placed,))
            placed = bare(placed)
        more = len(self.view.results) - len(hits)
        left_out = {what: number for what, number in left_out.items() if number}
        return replace(
            placed,
            results=hits,
            more=more,
            left_out=left_out,
            next_cursor=self.cursor,
            next_call=self._next_call(more, left_out),
        )

    def _next_call(self, more: int, left_out: dict[str, int]) -> NextCall:
        if self.again is not None:
            return self.again
        given = {"probe_ids": [self.view.probe_id], "token_budget": _ROOMY_TOKENS}
        if more and not (left_out.keys() - {"stacks"}):
            return read_on(given, self.cursor)
        if more or left_out:
            return read_on({**given, "detail": "full"}, "")
        return after_probe(self.view, self.view.results, self.cursor)


@dataclass(frozen=True, slots=True)
class _ResultsDraft:
    answer: ReadAnswer
    given: Mapping[str, object]
    tokens: int
    cursor: str
    in_full: bool

    def shapes(self) -> list[Shape[Results]]:
        hits = tuple(self._hit(result) for result in self.answer.results)
        probes = tuple(probe_of(view, Probe) for view in self.answer.probes)
        brief = tuple(_brief(probe) for probe in probes)
        bared = tuple(bare(probe) for probe in probes)
        count, least = len(hits), min(1, len(hits))
        shapes = [
            Shape(count, least, lambda n: self._answer(hits[:n], probes)),
            Shape(count, least, lambda n: self._answer(hits[:n], brief)),
            Shape(count, least, lambda n: self._answer(hits[:n], bared)),
            Shape(count, least, lambda n: self._answer(hits[:n], ())),
            Shape(len(probes), 0, lambda n: self._answer((), bared[:n])),
        ]
        if hits:
            values = Shape(
                len(hits[0].values), 0, lambda n: self._answer((first_values(hits[0], n),), ())
            )
            shapes.insert(4, values)
        return shapes

    def _hit(self, result: StoredResult) -> Hit:
        if self.in_full:
            return full_hit(result)
        return short_hit(result, names_probe=len(self.answer.probes) > 1)

    def _answer(self, hits: tuple[Hit, ...], probes: Sequence[Probe]) -> Results:
        whole = tuple(probe_of(view, Probe) for view in self.answer.probes)
        left_out = _missing_values(self.answer.results, hits)
        left_out["probes"] = len(whole) - len(probes)
        if probes != whole[: len(probes)]:
            left_out |= _missing_parts(whole[: len(probes)], probes)
        left_out = {what: number for what, number in left_out.items() if number}
        more = self.answer.more + len(self.answer.results) - len(hits)
        return Results(
            probes=tuple(probes),
            results=hits,
            more=more,
            left_out=left_out,
            next_cursor=self.cursor,
            next_call=self._next_call(more, left_out, is_empty=not hits),
        )

    def _next_call(self, more: int, left_out: dict[str, int], *, is_empty: bool) -> NextCall:
        is_stuck = "values" in left_out or is_empty  # going on would skip what is missing
        if left_out and (is_stuck or not more):
            wider = more_tokens("read_results", self.given, self.tokens)
            if wider is not None:
                return wider
        if more:
            return read_on(self.given, self.cursor)
        lasting = {k: v for k, v in self.given.items() if k not in ("cursor", "wait_seconds")}
        return after_results(lasting, self.answer.probes, self.answer.results, self.cursor)


def _brief(probe: Probe) -> Probe:
    return replace(probe, summary=fewer_distinct(probe.summary, _FEW_DISTINCT))


def _missing_values(results: Sequence[StoredResult], hits: Sequence[Hit]) -> dict[str, int]:
    pairs = zip(results, hits, strict=False)
    return {"values": sum(len(r.result.values) - len(hit.values) for r, hit in pairs)}


def _missing_parts(whole: Sequence[Probe], shown: Sequence[Probe] = ()) -> dict[str, int]:
    """Count what `bare` and `_brief` take away: what the whole probes have, the ones shown not."""
    return {
        "distinct values": sum(map(_distinct, whole)) - sum(map(_distinct, shown)),
        "samples": sum(map(_samples, whole)) - sum(map(_samples, shown)),
        "errors": sum(map(_errors, whole)) - sum(map(_errors, shown)),
        "unarmed instances": sum(map(_unarmed, whole)) - sum(map(_unarmed, shown)),
        "costs": sum(map(_costs, whole)) - sum(map(_costs, shown)),
    }


def _distinct(probe: Probe) -> int:
    return sum(len(name.distinct) for name in probe.summary)


def _samples(probe: Probe) -> int:
    return len(probe.silence.sample) if probe.silence else 0


def _errors(probe: Probe) -> int:
    return int(probe.silence is not None and probe.silence.error is not None)


def _unarmed(probe: Probe) -> int:
    return len(probe.reach.not_armed)


def _costs(probe: Probe) -> int:
    return int(probe.overhead is not None)
