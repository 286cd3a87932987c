"""Ask the running source of a service where something is."""

from __future__ import annotations

from typing import Final

from mcp_server.config import ServerConfig
from mcp_server.errors import AgentUnreachable, from_problem
from mcp_server.hub.asking import ask_source
from mcp_server.hub.targets import settle, shown
from mcp_server.hub.texts import require_line
from mcp_server.hub.waiting import Deadline, until_dialled_in
from mcp_server.model import Answer, CodeAnswer, Instance, SourceQuestion, Target
from mcp_server.store import Store

_MOST_ASKED: Final = 8  # one version's instances answer alike; more would only cost


async def find_code(
    config: ServerConfig, store: Store, target: Target, asked: SourceQuestion
) -> CodeAnswer:
    """Answer with what the longest connected instance that knows the place says.

    Raises: what the agents refuse with, if none knows it; AgentUnreachable: none is connected, or
    none answered; InvalidArgument.
    """
    require_line(asked.line)
    prepare = Deadline(config.prepare_s)
    await until_dialled_in(config, store, target.service, prepare)
    site = settle(target, await store.instances.known())
    chosen = site.chosen[:_MOST_ASKED]
    if not chosen:
        raise AgentUnreachable(
            f"Cannot read the source of {shown(target.service)}",
            "no instance that fits is connected",
            "Call list_services to see what is running, or start it",
        )
    patience = Deadline(min(config.question_s, prepare.left_s))
    answers = await ask_source(store, chosen, asked, patience)
    return _best(chosen, answers)


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
