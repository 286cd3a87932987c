"""What is told of all results of a probe without reading them."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

from mcp_server.config import ServerConfig
from mcp_server.model import Instance, NameSummary, Owner, StoredProbe, Target
from mcp_server.store import Store, now_ms, open_store, to_time
from probe_agent.probe import Kind, Result, Value, Where

ADA = Owner("ada", "s-ada", "an assistant")


@contextlib.asynccontextmanager
async def store_at(home: Path) -> AsyncIterator[Store]:
    store = await open_store(ServerConfig(home))
    try:
        yield store
    finally:
        await store.database.close()


async def place(store: Store, probe_id: str, instance: str, max_hits: int = 1000) -> None:
    if not await store.probes.of_session(ADA.session):
        await store.sessions.begin(ADA)
    now = to_time(now_ms())
    said = {"environment": "prod", "version": "v1", "language": "", "python": "", "host": ""}
    one = Instance(instance, "trades", pid=1, labels={}, since=now, connected=True, **said)
    await store.instances.connected(one, ADA.session)
    probe = StoredProbe(
        probe_id=probe_id,
        owner=ADA,
        target=Target("trades", "prod"),
        kind=Kind.SNAPSHOT,
        where=Where("a.py", 1),
        location=None,
        condition=None,
        captures=(),
        message=None,
        stack_frames=0,
        max_hits=max_hits,
        reason="because",
        created_at=now,
        expires_at=now + timedelta(seconds=600),
        removed_at=None,
    )
    await store.probes.place(probe, {instance: None}, {})


def hits(*values: Value | tuple[Value, ...], probe_id: str = "p-1", first: int = 1) -> list[Result]:
    """Make one result of each value, or of several values."""
    return [
        Result(n, f"r-{n}", probe_id, n, 0, "", None, v if isinstance(v, tuple) else (v,))
        for n, v in enumerate(values, first)
    ]


async def summary(store: Store, probe_id: str = "p-1") -> Sequence[NameSummary]:
    (evidence,) = await store.reports.evidence([probe_id], with_results=False)
    assert evidence.results == ()
    return evidence.summary


def test_a_summary_counts_types_and_the_eight_most_frequent_literals(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with store_at(tmp_path) as store:
            await place(store, "p-1", "i-1")
            seen = [Value("x", str(n % 10), "int") for n in range(19)]
            await store.reports.save("i-1", hits(*seen[:7]), [])
            await store.reports.save("i-1", hits(*seen[7:], first=8), [])
            await store.reports.save("i-1", hits(Value("x", "'0'", "str"), first=20), [])
            (one,) = await summary(store)
            assert one.types == {"int": 19, "str": 1}
            assert one.distinct == tuple((str(n), 2) for n in range(8))
            assert await store.reports.evidence(["p-never"]) == ()

    asyncio.run(scenario())


def test_names_stand_in_the_order_of_their_first_appearance(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with store_at(tmp_path) as store:
            await place(store, "p-1", "i-1")
            later = (Value("b", "1", "int"), Value("a", "2", "int"))
            await store.reports.save("i-1", hits(later, (*later, Value("c", "3", "int"))), [])
            assert [(s.name, s.types["int"]) for s in await summary(store)] == [
                *(("b", 2), ("a", 2), ("c", 1))
            ]

    asyncio.run(scenario())


def test_a_summary_counts_redacted_values_without_showing_them(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with store_at(tmp_path) as store:
            await place(store, "p-1", "i-1")
            hidden = Value("x", "<redacted str len=22 tag=a1f3>", "str", is_redacted=True)
            await store.reports.save("i-1", hits(hidden, hidden, Value("x", "'a'", "str")), [])
            (one,) = await summary(store)
            assert (one.redacted, one.distinct, one.types) == (2, (("'a'", 1),), {"str": 3})

    asyncio.run(scenario())


def test_only_what_is_stored_is_summed_up_once_whichever_process_stores_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with store_at(tmp_path) as one, store_at(tmp_path) as other:
            await place(one, "p-1", "i-1", max_hits=3)
            await place(other, "p-2", "i-2")
            first = hits(Value("x", "1", "int"))
            second = hits(Value("x", "2", "int"), probe_id="p-2")
            more = hits(*[Value("x", "3", "int")] * 4, first=2)
            await asyncio.gather(
                *(store.reports.save("i-1", first, []) for store in (one, other)),
                other.reports.save("i-2", second, []),
            )
            await other.reports.save("i-1", [*first, *more], [])
            for store in (one, other):
                (told,) = await summary(store)
                assert (told.types, told.distinct) == ({"int": 3}, (("3", 2), ("1", 1)))
                assert [s.distinct for s in await summary(store, "p-2")] == [(("2", 1),)]

    asyncio.run(scenario())


def test_a_store_of_the_first_schema_is_brought_along(tmp_path: Path) -> None:
    async def before() -> None:
        async with store_at(tmp_path) as store:
            await place(store, "p-1", "i-1")
            await store.reports.save("i-1", hits(*[Value("x", "1", "int")] * 3), [])

    async def after() -> None:
        async with store_at(tmp_path) as store:
            assert [(s.types, s.distinct) for s in await summary(store)] == [
                ({"int": 3}, (("1", 3),))
            ]
            await store.reports.save("i-1", hits(Value("x", "1", "int"), first=4), [])
            assert (await summary(store))[0].distinct == (("1", 4),)

    asyncio.run(before())
    with contextlib.closing(sqlite3.connect(tmp_path / "sonde.db")) as raw:
        raw.executescript(
            "DROP TABLE value_types; DROP TABLE value_literals;"
            "UPDATE meta SET value = '1' WHERE key = 'schema_version'"
        )
    asyncio.run(after())


def test_what_is_told_of_a_probe_goes_with_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with store_at(tmp_path) as store:
            await place(store, "p-1", "i-1")
            await store.reports.save("i-1", hits(Value("x", "1", "int")), [])
            await store.probes.remove(ADA, ["p-1"])
        forgetful = await open_store(ServerConfig(tmp_path, retention_s=-60))
        await forgetful.database.close()

    asyncio.run(scenario())
    with contextlib.closing(sqlite3.connect(tmp_path / "sonde.db")) as raw:
        for table in ("probes", "value_types", "value_literals"):
            assert raw.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
