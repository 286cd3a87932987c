"""All that the holder of the agents has to know for one round, from one snapshot."""

from __future__ import annotations

from dataclasses import dataclass

from mcp_server.model import Question
from mcp_server.store.database import Database
from mcp_server.store.instances import KnownInstance, read_present
from mcp_server.store.probes import Held, ProbeFacts, facts_of_live, read_facts, read_held
from mcp_server.store.questions import read_unanswered


@dataclass(frozen=True, slots=True)
class Fleet:
    """`probes`: those that may be wanted or are not confirmed as gone. `held`: who was chosen for
    them. `instances`: those present. `questions`: those unanswered.
    """

    probes: tuple[ProbeFacts, ...]
    held: tuple[Held, ...]
    instances: tuple[KnownInstance, ...]
    questions: tuple[Question, ...]


async def read_fleet(database: Database) -> Fleet:
    """Read what one round needs."""
    async with database.read() as connection:
        facts = await read_facts(connection, facts_of_live())
        held = await read_held(connection, [f.probe.probe_id for f in facts]) if facts else ()
        return Fleet(facts, held, await read_present(connection), await read_unanswered(connection))
