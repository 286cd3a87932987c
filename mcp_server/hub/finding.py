"""Ask the running source of a service where something is."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

from mcp_server.config import ServerConfig
from mcp_server.deadline import Deadline
from mcp_server.errors import AgentUnreachable, from_problem
from mcp_server.hub.asking import ask_source
from mcp_server.hub.targets import listed, settle, shown, unless_early
from mcp_server.hub.texts import require_line
from mcp_server.hub.waiting import until_dialled_in
from mcp_server.model import Answer, CodeAnswer, Instance, SourceQuestion, Target
from mcp_server.reconcile import choose
from mcp_server.store import KnownInstance, Store, now_ms

_MOST_ASKED: Final = 8  # one version's instances answer alike; more would only cost


async def find_code(
    config: ServerConfig, store: Store, target: Target, asked: SourceQuestion, by: Deadline
) -> CodeAnswer:
    """Answer with what the longest connected instance that knows the place says.

    Raises: what the agents refuse with, if none knows it; AgentUnreachable: none is connected, or
    none answered; InvalidArgument.
    """
    require_line(asked.line)
    in_time = await until_dialled_in(config, store, target.service, by)
    known = await store.instances.known()
    with unless_early(in_time=in_time):
        site = settle(target, known)
    chosen = site.chosen[:_MOST_ASKED]
    if not chosen:
        raise nobody(site.target, known)
    answers = await ask_source(store, chosen, asked, Deadline(config.question_s, by))
    return _best(chosen, answers)


def nobody(target: Target, known: Sequence[KnownInstance]) -> AgentUnreachable:
    """Say that no instance that fits is connected, and which versions are."""
    here = choose(dataclasses.replace(target, version=None), known, (), now_ms())
    versions = sorted({i.version for i in here if i.version})
    return AgentUnreachable(
        f"Cannot read the source of {shown(target.service)}",
        f"no instance of version {shown(target.version or '')} is connected"
        if here
        else "none of its instances is connected now",
        f"Use one of the versions: {listed(versions, target.version or '')}"
        if versions
        else "Call list_services to see what is running, or start it",
    )


def _best(chosen: tuple[Instance, ...], answers: dict[str, Answer]) -> CodeAnswer:
    ordered = [answers[i.instance] for i in chosen if i.instance in answers]
    found = [answer.code for answer in ordered if answer.code is not None]
    if found:
        return next((code for code in found if code.matches), found[0])
    problem = next((answer.problem for answer in ordered if answer.problem is not None), None)
    if problem is not None:
        raise from_problem(problem.code, problem.what, problem.why, problem.next_step)
    raise AgentUnreachable(
        "Cannot read the source",
        f"none of {len(chosen)} connected instances answered in time",
        "Try again; if it stays, look at the service's health",
    )
