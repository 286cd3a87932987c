from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mcp_server.config import ServerConfig
from mcp_server.errors import StoreUnusable
from mcp_server.model import Answer, Instance, Owner, Question, StoredProbe, Target
from mcp_server.store import Store, now_ms, open_store, to_time
from probe_agent.probe import Counts, Kind, Location, Result, State, Status, Value, Where

ADA = Owner("ada", "s-ada", "an assistant")


@contextlib.asynccontextmanager
async def store_at(home: Path, **config: Any) -> AsyncIterator[Store]:
    store = await open_store(ServerConfig(home, **{"busy_s": 0.1, **config}))
    try:
        yield store
    finally:
        await store.database.close()


def an_instance(name: str = "i-1") -> Instance:
    return Instance(
        instance=name,
        service="trades",
        environment="prod",
        version="v1",
        language="python",
        python="3.12.1",
        pid=1,
        host="box",
        labels={"az": "1"},
        since=to_time(1_700_000_000_000),
        connected=True,
    )


def a_probe(probe_id: str = "p-1", *, ttl_s: float = 600, max_hits: int = 3) -> StoredProbe:
    created_at = to_time(now_ms())
    return StoredProbe(
        probe_id=probe_id,
        owner=ADA,
        target=Target("trades", "prod", instances=("i-1",), labels={"az": "1"}),
        kind=Kind.LOG,
        where=Where("validate.py", 41, "return a > b"),
        location=Location("/srv/validate.py", 41, "check", "return a > b", moved_from=40),
        condition="a > b",
        captures=(),
        message="{a}",
        stack_frames=0,
        max_hits=max_hits,
        reason="because \u2603",
        created_at=created_at,
        expires_at=created_at + timedelta(seconds=ttl_s),
        removed_at=None,
    )


def a_result(number: int, probe_id: str = "p-1", sequence: int | None = None) -> Result:
    values = (Value("a", "'\u202e'", "str"), Value("b", "<redacted>", "str", is_redacted=True))
    return Result(
        number,
        f"r-{number}",
        probe_id,
        sequence or number,
        5,
        "MainThread",
        None,
        values,
        "m",
        ("x",),
    )


async def with_probe(store: Store, **probe: Any) -> None:
    await store.sessions.begin(ADA)
    await store.instances.connected(an_instance(), ADA.session)
    await store.probes.place(a_probe(**probe), {"i-1": None}, {})


def test_a_probe_and_a_result_come_back_as_they_went_in(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with store_at(tmp_path) as store:
            await with_probe(store)
            word = Status("p-1", State.ARMED, Counts(captured=1), ever_armed=True, samples=((),))
            await store.reports.save("i-1", [a_result(1)], [word])
            (evidence,) = await store.reports.evidence(["p-1", "p-never"])
            expected = a_probe()
            kept = evidence.facts.probe
            assert (kept.target, kept.where, kept.location) == (
                expected.target,
                expected.where,
                expected.location,
            )
            assert (kept.reason, kept.expires_at - kept.created_at) == (
                expected.reason,
                timedelta(seconds=600),
            )
            assert [r.result for r in evidence.results] == [a_result(1)]
            assert evidence.rows[0].status == word
            assert evidence.rows[0].is_connected

    asyncio.run(scenario())


def test_a_result_is_stored_once_however_often_it_is_sent(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with store_at(tmp_path) as store:
            await with_probe(store)
            assert await store.reports.save("i-1", [a_result(2), a_result(1)], []) == 2
            assert await store.reports.save("i-1", [a_result(1), a_result(2)], []) == 2
            assert await store.reports.save("i-1", [a_result(3, sequence=2)], []) == 3
            found, more = await store.reports.after(["p-1"], 0, 10)
            assert ([r.result.number for r in found], more) == ([1, 2], 0)

    asyncio.run(scenario())


def test_results_beyond_max_hits_are_counted_once_and_not_stored(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with store_at(tmp_path) as store:
            await with_probe(store, max_hits=1)
            batch = [a_result(1), a_result(2), a_result(3, "p-unknown")]
            for _ in range(2):
                assert await store.reports.save("i-1", batch, []) == 3
            (evidence,) = await store.reports.evidence(["p-1", "p-never"])
            assert (len(evidence.results), evidence.rows[0].overflow) == (1, 1)
            assert evidence.facts.result_count == 1

    asyncio.run(scenario())


def test_a_final_word_is_not_taken_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with store_at(tmp_path) as store:
            await with_probe(store)
            for state in (State.ARMED, State.DONE, State.REMOVED):
                await store.reports.save("i-1", [], [Status("p-1", state)])
            (evidence,) = await store.reports.evidence(["p-1", "p-never"])
            assert evidence.rows[0].status == Status("p-1", State.DONE)

    asyncio.run(scenario())


def test_an_instance_is_connected_while_its_holder_lives(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with store_at(tmp_path, lease_s=30) as store:
            await store.sessions.begin(ADA)
            await store.instances.connected(an_instance(), ADA.session)
            assert [k.instance.connected for k in await store.instances.known()] == [True]
            await store.instances.gone("i-1", "s-another", with_probes=True)
            assert [k.instance.connected for k in await store.instances.known()] == [True]
            await store.sessions.end(ADA)
            assert [k.instance.connected for k in await store.instances.known()] == [False]

    asyncio.run(scenario())


def test_a_session_lives_by_its_lease(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with store_at(tmp_path, lease_s=0) as lapsed, store_at(tmp_path) as store:
            await with_probe(lapsed)
            assert not (await store.probes.of_session(ADA.session))[0].is_session_alive
            await store.sessions.renew(ADA)
            assert (await store.probes.of_session(ADA.session))[0].is_session_alive
            assert (await store.instances.known())[0].instance.connected

    asyncio.run(scenario())


def test_a_question_is_answered_by_the_instance_it_was_put_to(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with store_at(tmp_path) as store:
            await store.questions.ask([Question("q-1", "i-1", where=Where("a.py", 3))])
            assert [q.where for q in await store.questions.unanswered()] == [Where("a.py", 3)]
            answer = Answer("q-1", location=Location("/a.py", 3, "f", "x"))
            await store.questions.answer("i-2", answer)
            assert await store.questions.answers(["q-1"]) == {}
            await store.questions.answer("i-1", answer)
            assert await store.questions.answers(["q-1"]) == {"q-1": answer}
            assert await store.questions.unanswered() == ()

    asyncio.run(scenario())


def test_what_is_past_its_retention_is_forgotten_at_the_next_start(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with store_at(tmp_path) as store:
            await with_probe(store, ttl_s=-100)
            await store.probes.place(a_probe("p-2"), {}, {})
            await store.reports.save("i-1", [a_result(1)], [])
        async with store_at(tmp_path, retention_s=50) as store:
            kept = await store.probes.of_session(ADA.session)
            assert [f.probe.probe_id for f in kept] == ["p-2"]
            assert await store.reports.after(["p-1"], 0, 10) == ((), 0)

    asyncio.run(scenario())


def test_another_connection_notices_a_change_and_its_own_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with store_at(tmp_path, poll_s=0.01) as one, store_at(tmp_path) as other:
            seen = one.database.version
            watching = asyncio.create_task(one.database.watch())
            await asyncio.sleep(0)
            await other.sessions.begin(ADA)
            await one.database.changed(seen, 5)
            assert one.database.version > seen
            watching.cancel()
            seen = other.database.version
            await other.sessions.renew(ADA)
            assert other.database.version > seen
            await asyncio.gather(watching, return_exceptions=True)

    asyncio.run(scenario())


def test_pages_run_from_the_newest_to_the_oldest(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with store_at(tmp_path) as store:
            await store.sessions.begin(ADA)
            for probe_id in ("p-1", "p-2", "p-3"):
                await store.probes.place(a_probe(probe_id), {}, {})
            page = await store.probes.page("ada", session=None, service=None, before=None, limit=2)
            assert ([f.probe.probe_id for f in page.facts], page.more) == (["p-3", "p-2"], 1)
            before = page.facts[-1].position
            rest = await store.probes.page(
                "ada", session="s-ada", service="trades", before=before, limit=2
            )
            assert ([f.probe.probe_id for f in rest.facts], rest.more) == (["p-1"], 0)
            nobody = await store.probes.page(
                "bob", session=None, service=None, before=None, limit=2
            )
            assert nobody.facts == ()

    asyncio.run(scenario())


def open_and_close(home: Path) -> None:
    async def scenario() -> None:
        async with store_at(home):
            pass

    asyncio.run(scenario())


def test_a_store_of_a_newer_schema_is_refused_in_words(tmp_path: Path) -> None:
    open_and_close(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "sonde.db")) as raw:
        raw.execute("UPDATE meta SET value = '9' WHERE key = 'schema_version'")
        raw.commit()
    with pytest.raises(StoreUnusable) as refused:
        open_and_close(tmp_path)
    assert refused.value.why == "its schema is version 9, and this Sonde knows 2"
    assert "Upgrade" in refused.value.next_step


def test_a_locked_store_is_refused_in_words(tmp_path: Path) -> None:
    open_and_close(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "sonde.db")) as raw:
        raw.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnusable) as refused:
            open_and_close(tmp_path)
    assert "locked" in refused.value.why


def test_a_file_that_is_no_database_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "sonde.db").write_text("not a database, but long enough to look at" * 100)
    with pytest.raises(StoreUnusable) as refused:
        open_and_close(tmp_path)
    assert "not a sound SQLite database" in refused.value.why


def test_many_writers_in_two_processes_worth_of_stores_all_get_their_turn(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with store_at(tmp_path, busy_s=2) as one, store_at(tmp_path, busy_s=2) as other:
            await one.sessions.begin(ADA)
            stores = [one, other] * 20
            await asyncio.gather(
                *(store.probes.place(a_probe(f"p-{n}"), {}, {}) for n, store in enumerate(stores))
            )
            assert len(await one.probes.of_session(ADA.session)) == 40

    asyncio.run(scenario())
