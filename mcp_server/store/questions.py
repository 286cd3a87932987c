"""Questions to agents, asked through the store so that any server process can ask any agent."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mcp_server.model import Answer, Question
from mcp_server.store.codec import ANSWER, QUESTION
from mcp_server.store.database import Database
from mcp_server.store.tables import questions
from mcp_server.store.times import now_ms


class Questions:
    """Each lives from asking until its asker has read the answer or given up."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ask(self, asked: Sequence[Question]) -> None:
        """Put questions where the holder of the agents sees them."""
        rows = [
            {
                "id": question.question_id,
                "instance": question.instance,
                "question": QUESTION.text(question),
                "asked_ms": now_ms(),
            }
            for question in asked
        ]
        async with self._database.write() as connection:
            await connection.execute(insert(questions), rows)

    async def unanswered(self) -> tuple[Question, ...]:
        """Read what no agent has answered yet, oldest first."""
        async with self._database.read() as connection:
            return await read_unanswered(connection)

    async def answer(self, instance: str, answer: Answer) -> None:
        """Store an agent's answer; one that nobody waits for any more is dropped."""
        async with self._database.write() as connection:
            await connection.execute(
                update(questions)
                .where(
                    questions.c.id == answer.question_id,
                    questions.c.instance == instance,
                    questions.c.answer.is_(None),
                )
                .values(answer=ANSWER.text(answer))
            )

    async def answers(self, question_ids: Sequence[str]) -> dict[str, Answer]:
        """Read the answers that are there, by question."""
        statement = select(questions.c.id, questions.c.answer).where(
            questions.c.id.in_(question_ids), questions.c.answer.is_not(None)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return {row.id: ANSWER.value(row.answer) for row in rows}

    async def drop(self, question_ids: Sequence[str]) -> None:
        """Forget questions whose asker has read the answers or given up."""
        async with self._database.write() as connection:
            await connection.execute(delete(questions).where(questions.c.id.in_(question_ids)))


async def read_unanswered(connection: AsyncConnection) -> tuple[Question, ...]:
    """Do the work of `Questions.unanswered`."""
    statement = (
        select(questions.c.question)
        .where(questions.c.answer.is_(None))
        .order_by(questions.c.asked_ms)
    )
    return tuple(QUESTION.value(row.question) for row in await connection.execute(statement))
