"""What agents report: results, each stored once, and statuses."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.sqlite import insert as insert_or_update
from sqlalchemy.ext.asyncio import AsyncConnection

from mcp_server.model import NameSummary, StoredResult
from mcp_server.store.codec import RESULT, STATUS
from mcp_server.store.database import Database
from mcp_server.store.instances import is_connected, with_holder
from mcp_server.store.probes import ProbeFacts, facts_of, read_facts
from mcp_server.store.summaries import add_up, read_summaries
from mcp_server.store.tables import instances, probes, results, statuses
from mcp_server.store.times import now_ms
from probe_agent.probe import Result, Status


@dataclass(frozen=True, slots=True)
class StatusRow:
    """An instance chosen for a probe, and its last word on it.

    `status`: None until it has answered. `is_connected`: whether it still is. `overflow`: hits that
    it captured beyond the fleet's max_hits. `stored`: results of it that are stored.
    """

    instance: str
    status: Status | None
    is_connected: bool
    overflow: int = 0
    stored: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known about one probe, from one snapshot; `results` and `summary` are empty where
    they were not asked for.
    """

    facts: ProbeFacts
    results: tuple[StoredResult, ...]
    rows: tuple[StatusRow, ...]
    summary: tuple[NameSummary, ...] = ()


class Reports:
    """Results in order of arrival, and each instance's last word on each probe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, instance: str, new: Sequence[Result], words: Sequence[Status]) -> int:
        """Store a report in one transaction; what is stored already is left as it is.

        Results of probes that are unknown here, and those beyond a probe's max_hits, are not
        stored; the latter are counted as overflow.
        Returns: the number through which the agent may forget its results.
        """
        async with self._database.write() as connection:
            limits = await _limits(connection, {r.probe_id for r in new}, words)
            await _save_statuses(connection, instance, [w for w in words if w.probe_id in limits])
            return await _save_results(connection, instance, new, limits)

    async def evidence(
        self, probe_ids: Sequence[str], *, with_results: bool = True, with_summary: bool = True
    ) -> tuple[Evidence, ...]:
        """Read all about these probes, in the order asked and from one snapshot.

        Unknown ids are absent. Results cost by their number, the summary does not.
        """
        async with self._database.read() as connection:
            facts = await read_facts(connection, facts_of(probe_ids))
            found = await _results(connection, probe_ids, 0, None) if with_results else ()
            sums = await read_summaries(connection, probe_ids) if with_summary else {}
            rows = await _rows(connection, probe_ids)
        by_id = {f.probe.probe_id: f for f in facts}
        return tuple(
            Evidence(
                facts=by_id[probe_id],
                results=tuple(r for r in found if r.result.probe_id == probe_id),
                rows=tuple(rows[probe_id]),
                summary=sums.get(probe_id, ()),
            )
            for probe_id in probe_ids
            if probe_id in by_id
        )

    async def after(
        self, probe_ids: Sequence[str], position: int, limit: int
    ) -> tuple[tuple[StoredResult, ...], int]:
        """Read results that arrived after `position`, and how many more there are."""
        counting = (
            select(func.count())
            .select_from(results)
            .where(results.c.probe.in_(probe_ids), results.c.position > position)
        )
        async with self._database.read() as connection:
            found = await _results(connection, probe_ids, position, limit)
            total: int = (await connection.execute(counting)).scalar_one()
        return found, total - len(found)


async def _limits(
    connection: AsyncConnection, probe_ids: set[str], words: Sequence[Status]
) -> dict[str, int]:
    wanted = probe_ids | {w.probe_id for w in words}
    statement = select(probes.c.id, probes.c.max_hits).where(probes.c.id.in_(wanted))
    return {row.id: row.max_hits for row in await connection.execute(statement)}


async def _save_statuses(
    connection: AsyncConnection, instance: str, words: Iterable[Status]
) -> None:
    for word in words:
        said = {"status": STATUS.text(word), "is_final": word.state.is_final}
        statement = insert_or_update(statuses).values(
            probe=word.probe_id, instance=instance, overflow=0, **said
        )
        await connection.execute(
            statement.on_conflict_do_update(
                index_elements=[statuses.c.probe, statuses.c.instance],
                set_=said,
                where=~statuses.c.is_final,  # a final word stays, with its final counts
            )
        )


async def _save_results(
    connection: AsyncConnection, instance: str, new: Sequence[Result], limits: dict[str, int]
) -> int:
    through = await _through(connection, instance)
    fresh = sorted((r for r in new if r.number > through), key=lambda r: r.number)
    if not fresh:
        return through
    stored = await _stored(connection, limits)
    overflow: Counter[str] = Counter()
    added: list[Result] = []
    for result in fresh:
        if result.probe_id not in limits:
            continue
        if stored[result.probe_id] >= limits[result.probe_id]:
            overflow[result.probe_id] += 1
            continue
        if await _insert(connection, instance, result):
            stored[result.probe_id] += 1
            added.append(result)
    await add_up(connection, added)
    await _add_overflow(connection, instance, overflow)
    await connection.execute(
        update(instances).where(instances.c.id == instance).values(through_number=fresh[-1].number)
    )
    return fresh[-1].number


async def _through(connection: AsyncConnection, instance: str) -> int:
    statement = select(instances.c.through_number).where(instances.c.id == instance)
    through: int = (await connection.execute(statement)).scalar_one()
    return through


async def _stored(connection: AsyncConnection, probe_ids: Iterable[str]) -> Counter[str]:
    statement = (
        select(results.c.probe, func.count().label("stored"))
        .where(results.c.probe.in_(list(probe_ids)))
        .group_by(results.c.probe)
    )
    return Counter({row.probe: row.stored for row in await connection.execute(statement)})


async def _insert(connection: AsyncConnection, instance: str, result: Result) -> bool:
    """Store a result. Returns: False if it was there already."""
    statement = insert_or_update(results).values(
        probe=result.probe_id,
        instance=instance,
        number=result.number,
        sequence=result.sequence,
        result=RESULT.text(result),
    )
    return bool((await connection.execute(statement.on_conflict_do_nothing())).rowcount)


async def _add_overflow(connection: AsyncConnection, instance: str, overflow: Counter[str]) -> None:
    for probe_id, count in overflow.items():
        statement = insert_or_update(statuses).values(
            probe=probe_id, instance=instance, is_final=False, overflow=count
        )
        await connection.execute(
            statement.on_conflict_do_update(
                index_elements=[statuses.c.probe, statuses.c.instance],
                set_={"overflow": statuses.c.overflow + count},
            )
        )


async def _results(
    connection: AsyncConnection, probe_ids: Sequence[str], position: int, limit: int | None
) -> tuple[StoredResult, ...]:
    statement = (
        select(results.c.position, results.c.instance, results.c.result, instances.c.version)
        .join(instances, results.c.instance == instances.c.id)
        .where(results.c.probe.in_(probe_ids), results.c.position > position)
        .order_by(results.c.position)
        .limit(limit)
    )
    return tuple(_stored_result(row) for row in await connection.execute(statement))


def _stored_result(row: Any) -> StoredResult:
    return StoredResult(row.position, row.instance, row.version, RESULT.value(row.result))


async def _rows(
    connection: AsyncConnection, probe_ids: Sequence[str]
) -> dict[str, list[StatusRow]]:
    stored = (
        select(func.count())
        .select_from(results)
        .where(results.c.probe == statuses.c.probe, results.c.instance == statuses.c.instance)
        .scalar_subquery()
    )
    statement = (
        select(
            statuses.c.probe,
            statuses.c.instance,
            statuses.c.status,
            statuses.c.overflow,
            stored.label("stored"),
            is_connected(now_ms()).label("is_connected"),
        )
        .select_from(statuses.join(with_holder(), statuses.c.instance == instances.c.id))
        .where(statuses.c.probe.in_(probe_ids))
        .order_by(instances.c.since_ms, instances.c.id)
    )
    rows: defaultdict[str, list[StatusRow]] = defaultdict(list)
    for row in await connection.execute(statement):
        rows[row.probe].append(_status_row(row))
    return rows


def _status_row(row: Any) -> StatusRow:
    return StatusRow(
        instance=row.instance,
        status=None if row.status is None else STATUS.value(row.status),
        is_connected=bool(row.is_connected),
        overflow=row.overflow,
        stored=row.stored,
    )
