"""What was captured under each name, over all results of a probe.

Kept up to date in the transaction that stores the results, so that every server process reads the
same sums, and an answer costs the same however many results there are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Table, select
from sqlalchemy.dialects.sqlite import insert as insert_or_update
from sqlalchemy.ext.asyncio import AsyncConnection

from mcp_server.model import NameSummary
from mcp_server.store.tables import value_literals, value_types
from probe_agent.probe import Result

_MOST_DISTINCT: Final = 8


@dataclass(slots=True)
class _Seen:
    types: Counter[str] = field(default_factory=Counter)
    distinct: list[tuple[str, int]] = field(default_factory=list)
    redacted: int = 0


async def add_up(connection: AsyncConnection, new: Iterable[Result]) -> None:
    """Add results that have just been stored, and were not before.

    A redacted value counts by its type and as redacted; its literal is no value and is left out.
    """
    types: Counter[tuple[str, str, str, bool]] = Counter()
    literals: Counter[tuple[str, str, str]] = Counter()
    for result in new:
        for value in result.values:
            types[result.probe_id, value.name, value.type, value.is_redacted] += 1
            if not value.is_redacted:
                literals[result.probe_id, value.name, value.literal] += 1
    await _add(connection, value_types, ("probe", "name", "type", "is_redacted"), types)
    await _add(connection, value_literals, ("probe", "name", "literal"), literals)


async def read_summaries(
    connection: AsyncConnection, probe_ids: Sequence[str]
) -> dict[str, tuple[NameSummary, ...]]:
    """Tell each name's types and most frequent literals, in order of first appearance, by probe."""
    seen: defaultdict[str, dict[str, _Seen]] = defaultdict(dict)
    for row in await connection.execute(_types_of(probe_ids)):
        name = seen[row.probe].setdefault(row.name, _Seen())
        name.types[row.type] += row.times
        name.redacted += row.times if row.is_redacted else 0
    for row in await connection.execute(_literals_of(probe_ids)):
        seen[row.probe][row.name].distinct.append((row.literal, row.times))
    return {
        probe: tuple(
            NameSummary(name, dict(s.types), tuple(s.distinct), s.redacted)
            for name, s in names.items()
        )
        for probe, names in seen.items()
    }


async def _add(
    connection: AsyncConnection,
    table: Table,
    keys: Sequence[str],
    counts: Mapping[tuple[Any, ...], int],
) -> None:
    if not counts:
        return
    statement = insert_or_update(table)
    statement = statement.on_conflict_do_update(
        index_elements=keys, set_={"times": table.c.times + statement.excluded["times"]}
    )
    rows = [{**dict(zip(keys, key, strict=True)), "times": times} for key, times in counts.items()]
    await connection.execute(statement, rows)


def _types_of(probe_ids: Sequence[str]) -> Any:
    return (
        select(value_types)
        .where(value_types.c.probe.in_(probe_ids))
        .order_by(value_types.c.position)
    )


def _literals_of(probe_ids: Sequence[str]) -> Any:
    """Select, for each name, by its own short walk along the index, never by sorting them all."""
    names = (
        select(value_types.c.probe, value_types.c.name)
        .where(value_types.c.probe.in_(probe_ids))
        .distinct()
        .subquery()
    )
    own = value_literals.alias()
    best = (
        select(own.c.position)
        .where(own.c.probe == names.c.probe, own.c.name == names.c.name)
        .order_by(own.c.times.desc(), own.c.position)
        .limit(_MOST_DISTINCT)
        .correlate(names)
    )
    return (
        select(value_literals)
        .select_from(names)
        .join(value_literals, value_literals.c.position.in_(best))
        .order_by(value_literals.c.times.desc(), value_literals.c.position)
    )
