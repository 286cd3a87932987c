"""Questions to agents: asked through the store, so that it does not matter who holds them."""

from __future__ import annotations

from collections.abc import Sequence

from mcp_server.deadline import Deadline
from mcp_server.identity import new_id
from mcp_server.model import Answer, Instance, Question, SourceQuestion
from mcp_server.store import Store
from probe_agent.probe import Where


async def ask_where(
    store: Store, instances: Sequence[Instance], where: Where, deadline: Deadline
) -> dict[str, Answer]:
    """Ask each instance where a place is; by instance, those that answered in time."""
    return await _ask(
        store, [Question(new_id("q"), i.instance, where=where) for i in instances], deadline
    )


async def ask_source(
    store: Store, instances: Sequence[Instance], asked: SourceQuestion, deadline: Deadline
) -> dict[str, Answer]:
    """Ask each instance for running source; by instance, those that answered in time."""
    return await _ask(
        store, [Question(new_id("q"), i.instance, source=asked) for i in instances], deadline
    )


async def _ask(
    store: Store, questions: Sequence[Question], deadline: Deadline
) -> dict[str, Answer]:
    if not questions:
        return {}
    ids = [question.question_id for question in questions]
    await store.questions.ask(questions)
    try:
        while True:
            seen = store.database.version
            answers = await store.questions.answers(ids)
            if len(answers) == len(ids) or deadline.has_passed:
                break
            await store.database.changed(seen, deadline.left_s)
    finally:
        await store.questions.drop(ids)
    return {
        question.instance: answers[question.question_id]
        for question in questions
        if question.question_id in answers
    }
