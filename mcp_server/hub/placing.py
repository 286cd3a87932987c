"""Place a probe and wait for what it brings: settle, check, ask the agents, store, watch."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import TypeVar

from mcp_server.config import ServerConfig
from mcp_server.deadline import Deadline
from mcp_server.errors import (
    AgentUnreachable,
    ExpressionRefused,
    InvalidArgument,
    from_problem,
)
from mcp_server.hub.asking import ask_where
from mcp_server.hub.cursor import Over, write_cursor
from mcp_server.hub.targets import Site, settle, unless_early
from mcp_server.hub.texts import require_line
from mcp_server.hub.view import has_ended, make_view
from mcp_server.hub.waiting import Progress, Reporter, until_dialled_in
from mcp_server.identity import new_id
from mcp_server.model import Answer, Owner, PlaceRequest, ProbeView, StoredProbe
from mcp_server.reconcile import is_wanted
from mcp_server.store import Evidence, ProbeFacts, StatusRow, Store, now_ms, to_time
from probe_agent.expression import check, check_template
from probe_agent.expression.condition import check_condition
from probe_agent.probe import Kind, Location, Problem, State, Status

T = TypeVar("T")


async def place(
    config: ServerConfig,
    store: Store,
    owner: Owner,
    request: PlaceRequest,
    progress: Progress | None,
    by: Deadline,
) -> ProbeView:
    """Place a probe where every agent agrees that it can be, and answer with what it brought.

    Raises: a refusal of the tool contract, with nothing placed.
    """
    _check(request)
    in_time = await until_dialled_in(config, store, request.target.service, by)
    with unless_early(in_time=in_time):
        site = settle(request.target, await store.instances.known())
    is_hurried = by.left_s < config.question_s
    answers = await ask_where(store, site.chosen, request.where, Deadline(config.question_s, by))
    # Who had too little time to answer is not unreachable: it is placed, and resolves it later.
    may_be_unanswered = is_hurried and not request.dry_run
    location = None if may_be_unanswered and not answers else _location(site, answers)
    probe = _probe(owner, request, site, location)
    chosen = {i.instance: _refusal(probe, answers.get(i.instance)) for i in site.chosen}
    if request.dry_run:
        return _rehearse(probe, chosen)
    await store.probes.place(probe, chosen, _details(request, probe))
    # Cancelled while it waits, the probe stays until its time or its session ends: `list_probes`
    # finds it again.
    return await _watch(config, store, probe, Deadline(request.wait_seconds, by), progress, by)


def _check(request: PlaceRequest) -> None:
    """Refuse here what every agent would refuse.

    Raises: ExpressionRefused, InvalidArgument.
    """
    require_line(request.where.line)
    if (request.message is not None) != (request.kind is Kind.LOG):
        raise InvalidArgument(
            f"Cannot place a {request.kind.value} probe",
            "a log needs a message, and no other kind takes one",
            "Give message to place_dynamic_log only",
        )
    if request.condition is not None:
        with _naming("condition"):
            check_condition(request.condition)
    for number, capture in enumerate(request.captures, 1):
        with _naming(f"item {number} of capture"):
            check(capture.expression)
    if request.message is not None:
        with _naming("message"):
            check_template(request.message)


@contextlib.contextmanager
def _naming(argument: str) -> Iterator[None]:
    """Say which argument holds the expression that is refused.

    Raises: ExpressionRefused.
    """
    try:
        yield
    except ExpressionRefused as error:
        what = f"{error.what}, in {argument}"
        raise ExpressionRefused(what, error.why, error.next_step) from None


def _location(site: Site, answers: dict[str, Answer]) -> Location | None:
    """Take the place that most instances name; None if nobody is there to ask.

    Raises: what the agents refuse with, if none can place it; AgentUnreachable: none answered.
    """
    found = [a.location for a in answers.values() if a.location is not None]
    if found:
        return _most_common(sorted(found, key=lambda place: not place.loaded))
    problems = [a.problem for a in answers.values() if a.problem is not None]
    if problems:
        problem = _most_common(problems)
        raise from_problem(problem.code, problem.what, problem.why, problem.next_step)
    if site.chosen:
        raise AgentUnreachable(
            "Cannot ask where this is",
            f"none of {len(site.chosen)} connected instances answered in time",
            "Try again; if it stays, look at the service's health",
        )
    return None


def _most_common(items: list[T]) -> T:
    return Counter(items).most_common(1)[0][0]


def _probe(
    owner: Owner, request: PlaceRequest, site: Site, location: Location | None
) -> StoredProbe:
    created_at = to_time(now_ms())
    return StoredProbe(
        probe_id=new_id("p"),
        owner=owner,
        target=site.target,
        kind=request.kind,
        where=request.where,
        location=location,
        condition=request.condition,
        captures=request.captures,
        message=request.message,
        stack_frames=request.stack_frames,
        max_hits=request.max_hits,
        reason=request.reason,
        created_at=created_at,
        expires_at=created_at + timedelta(seconds=request.ttl_seconds),
        removed_at=None,
    )


def _refusal(probe: StoredProbe, answer: Answer | None) -> Status | None:
    if answer is None or answer.problem is None:
        return None
    problem: Problem = answer.problem
    return Status(probe.probe_id, State.REFUSED, problem=problem)


def _details(request: PlaceRequest, probe: StoredProbe) -> dict[str, object]:
    asked = dataclasses.asdict(request)
    del asked["reason"]  # stands in a column of its own
    return {"probe_id": probe.probe_id, "environment": probe.target.environment, "asked": asked}


def _rehearse(probe: StoredProbe, chosen: dict[str, Status | None]) -> ProbeView:
    facts = ProbeFacts(probe, position=0, result_count=0, is_session_alive=True)
    rows = tuple(
        StatusRow(instance, status, is_connected=True) for instance, status in chosen.items()
    )
    view = make_view(Evidence(facts, (), rows), now_ms())
    return dataclasses.replace(view, probe_id=None, silence=None)


async def _watch(
    config: ServerConfig,
    store: Store,
    probe: StoredProbe,
    deadline: Deadline,
    progress: Progress | None,
    by: Deadline,
) -> ProbeView:
    """Wait for the hits, and at least for the agents' first word; then say what is so.

    Args: deadline: for the hits. by: for everything.
    """
    first_word = Deadline(config.first_word_s, by)
    reporter = Reporter(progress, deadline)
    last_word: Deadline | None = None
    while True:
        seen = store.database.version
        evidence = await _evidence(store, probe.probe_id, with_results=False)
        if _is_settled(evidence):
            break
        if last_word is None and not is_wanted(evidence.facts, now_ms()):
            last_word = Deadline(config.final_s, by)  # nothing new comes; the agents confirm
        left_s = _patience_s(evidence.rows, deadline, first_word, last_word)
        if left_s <= 0:
            break
        await reporter.tell(f"{evidence.facts.result_count} of {probe.max_hits} hits so far")
        await store.database.changed(seen, min(left_s, 1.0))
    view = make_view(await _evidence(store, probe.probe_id, with_results=True), now_ms())
    last = view.results[-1].position if view.results else 0
    return dataclasses.replace(
        view,
        next_cursor=write_cursor(Over.RESULTS, store.tag, last),
        waited_seconds=deadline.waited_s,
    )


def _is_settled(evidence: Evidence) -> bool:
    """True if every instance that could hit has said its last word."""
    here = [row for row in evidence.rows if row.is_connected]
    return bool(here) and all(has_ended(row) for row in here)


def _patience_s(
    rows: Iterable[StatusRow],
    deadline: Deadline,
    first_word: Deadline,
    last_word: Deadline | None,
) -> float:
    if last_word is not None:
        return last_word.left_s
    if any(row.is_connected and row.status is None for row in rows):
        return max(deadline.left_s, first_word.left_s)
    return deadline.left_s


async def _evidence(store: Store, probe_id: str, *, with_results: bool) -> Evidence:
    (evidence,) = await store.reports.evidence(
        (probe_id,), with_results=with_results, with_summary=with_results
    )
    return evidence  # there for sure: a probe is forgotten long after its time
