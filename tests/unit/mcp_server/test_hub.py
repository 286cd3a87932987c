"""What a Hub does before any agent is there: its home, its cursors, its choices, its patience."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from mcp_server.config import ServerConfig, config_from_environment
from mcp_server.deadline import Deadline
from mcp_server.errors import HomeUnusable, SondeError
from mcp_server.home import HolderLock, prepare_home
from mcp_server.hub import Hub
from mcp_server.hub.cursor import Over, read_cursor, write_cursor
from mcp_server.hub.finding import nobody
from mcp_server.hub.targets import list_services, listed, settle, shown
from mcp_server.hub.waiting import keep_doing
from mcp_server.model import Capture, Instance, PlaceRequest, SourceQuestion, Target
from mcp_server.store import KnownInstance, open_store, to_time
from probe_agent.probe import Kind, State, Where

TAG = b"abc"


@pytest.mark.parametrize("position", [0, 1, 255, 256, 2**40])
def test_a_cursor_finds_its_position_again(position: int) -> None:
    text = write_cursor(Over.RESULTS, TAG, position)
    assert text.isalnum()
    assert read_cursor(Over.RESULTS, TAG, text) == position


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("garbage!", id="not base32"),
        pytest.param("a", id="too short"),
        pytest.param("a" * 1_000_000, id="huge"),
        pytest.param("é", id="not ascii"),
        pytest.param(write_cursor(Over.PROBES, TAG, 5), id="of another list"),
        pytest.param(write_cursor(Over.RESULTS, b"xyz", 5), id="of another store"),
    ],
)
def test_what_is_not_a_cursor_of_ours_is_stale(text: str) -> None:
    with pytest.raises(SondeError) as stale:
        read_cursor(Over.RESULTS, TAG, text)
    assert stale.value.code == "stale_cursor"


def test_a_home_is_made_for_its_user_alone(tmp_path: Path) -> None:
    home = tmp_path / "state" / "sonde"
    prepare_home(ServerConfig(home))
    assert home.stat().st_mode & 0o777 == 0o700


def test_a_home_that_is_too_open_is_closed_unless_it_holds_other_things(tmp_path: Path) -> None:
    (tmp_path / "sonde.db").touch()
    tmp_path.chmod(0o755)
    prepare_home(ServerConfig(tmp_path))
    assert tmp_path.stat().st_mode & 0o777 == 0o700
    (tmp_path / "thesis.txt").touch()
    tmp_path.chmod(0o755)
    with pytest.raises(HomeUnusable) as refused:
        prepare_home(ServerConfig(tmp_path))
    assert f"chmod 700 {tmp_path}" in refused.value.next_step
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def occupied(home: Path) -> Path:
    home.write_text("a file")
    return home / "sonde"


def of_another_user(home: Path) -> Path:
    home.mkdir()
    os.chown(home, 12345, 12345)
    return home


@pytest.mark.parametrize(
    ("make", "why"),
    [
        pytest.param(occupied, "cannot be made", id="below a file"),
        pytest.param(lambda home: home / ("x" * 110), "107 is the most", id="path too long"),
        pytest.param(
            of_another_user,
            "belongs to the user with id 12345",
            id="of another user",
            marks=pytest.mark.skipif(os.getuid() != 0, reason="only root can give folders away"),
        ),
    ],
)
def test_a_home_that_cannot_be_used_is_refused_in_words(
    tmp_path: Path, make: Callable[[Path], Path], why: str
) -> None:
    with pytest.raises(HomeUnusable) as refused:
        prepare_home(ServerConfig(make(tmp_path / "home")))
    assert why in refused.value.why
    assert refused.value.next_step.startswith("Set SONDE_HOME")


def test_one_holds_the_lock_until_it_lets_go(tmp_path: Path) -> None:
    one, other = HolderLock(tmp_path / "lock"), HolderLock(tmp_path / "lock")
    assert one.take()
    assert not other.take()
    one.release()
    assert other.take()
    other.release()


@pytest.mark.parametrize("lease", ["0.5", "-1", "soon", "nan", "1e9"])
def test_a_lease_out_of_range_is_refused(lease: str) -> None:
    with pytest.raises(SondeError):
        config_from_environment({"SONDE_HOME": "/x", "SONDE_LEASE_SECONDS": lease})


def test_the_environment_names_home_and_lease() -> None:
    config = config_from_environment({"SONDE_HOME": "/x", "SONDE_LEASE_SECONDS": "2"})
    assert (config.home, config.lease_s, config.socket) == (Path("/x"), 2.0, Path("/x/hub.sock"))
    assert config_from_environment({"SONDE_HOME": "/x"}).lease_s == 30.0


def known(name: str, service: str = "trades", **changed: Any) -> KnownInstance:
    said: dict[str, Any] = {"environment": "prod", "version": "v1", "python": "3.12.1"}
    said |= {"connected": True, **changed}
    one = Instance(
        instance=name,
        service=service,
        language="",
        pid=1,
        host="",
        labels={},
        since=to_time(0),
        **said,
    )
    return KnownInstance(one, 0)


FLEET = [known("i-1"), known("i-2", version="v2"), known("i-3", "orders", connected=False)]


@pytest.mark.parametrize(
    ("fleet", "target", "code", "names"),
    [
        pytest.param(FLEET, Target("trade"), "unknown_service", "trades", id="misspelt"),
        pytest.param([], Target("trades"), "unknown_service", "sonde run", id="nothing ever ran"),
        pytest.param(
            FLEET, Target("trades", "staging"), "unknown_service", "prod", id="environment"
        ),
        pytest.param(
            [*FLEET, known("i-4", environment="dev")],
            Target("trades"),
            "ambiguous_service",
            "dev, prod",
            id="two environments",
        ),
        pytest.param(
            FLEET,
            Target("trades", instances=("i-3",)),
            "unknown_instance",
            "i-1",
            id="instance",
        ),
    ],
)
def test_a_target_that_is_not_there_names_what_is(
    fleet: list[KnownInstance], target: Target, code: str, names: str
) -> None:
    with pytest.raises(SondeError) as refused:
        settle(target, fleet)
    assert refused.value.code == code
    assert names in refused.value.next_step


def test_the_one_environment_with_connected_instances_is_meant() -> None:
    fleet = [known("i-1"), known("i-2", environment="dev", connected=False)]
    site = settle(Target("trades"), fleet)
    assert site.target.environment == "prod"
    assert [i.instance for i in site.chosen] == ["i-1"]


def test_a_known_service_with_nobody_connected_is_settled_with_nobody() -> None:
    site = settle(Target("orders"), FLEET)
    assert (site.target.environment, site.chosen) == ("prod", ())


def test_services_are_those_connected_and_the_one_asked_for() -> None:
    (trades,) = list_services(FLEET, [("trades", "prod")], None, None)
    assert (trades.versions, trades.instances, trades.probes) == (("v1", "v2"), 2, 1)
    (orders,) = list_services(FLEET, [], "orders", None)
    assert (orders.instances, orders.versions, orders.instance_list) == (0, ("v1",), ())


@pytest.mark.parametrize(
    ("service", "next_step"),
    [
        pytest.param("trades", "prod", id="of a service"),
        pytest.param(None, "prod", id="of any service"),
    ],
)
def test_an_environment_that_was_never_seen_is_refused_with_those_that_were(
    service: str | None, next_step: str
) -> None:
    with pytest.raises(SondeError) as refused:
        list_services(FLEET, [], service, "staging")
    assert refused.value.code == "unknown_service"
    assert next_step in refused.value.next_step
    assert list_services([], [], None, "staging") == ()


def test_source_of_a_version_that_nobody_runs_names_the_versions_that_run() -> None:
    refused = nobody(Target("trades", "prod", version="v9"), FLEET)
    assert refused.code == "agent_unreachable"
    assert "no instance of version 'v9'" in refused.why
    assert refused.next_step == "Use one of the versions: v1, v2"
    assert "list_services" in nobody(Target("orders", "prod"), FLEET).next_step


def test_a_callers_text_is_quoted_short_and_in_ascii() -> None:
    assert shown("a\u202eb") == "'a\\u202eb'"
    assert len(shown("x" * 1_000_000)) < 80
    assert listed([f"s{n}" for n in range(30)], "s29").startswith("s29, ")
    assert listed([f"s{n}" for n in range(30)], "").endswith("and 20 more")


@contextlib.asynccontextmanager
async def hub_at(home: Path, **config: Any) -> AsyncIterator[Hub]:
    hub = await Hub.open(ServerConfig(home, **{"young_s": 0.2, **config}), "ada")
    try:
        yield hub
    finally:
        await hub.close()


def test_a_young_hub_waits_for_agents_and_an_older_one_does_not(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with hub_at(tmp_path, young_s=0.3) as hub:
            began = time.monotonic()
            assert await hub.services() == ()
            assert time.monotonic() - began >= 0.2
            async with asyncio.timeout(0.2):
                assert await hub.services() == ()

    asyncio.run(scenario())


async def mute_instance(home: Path, session: str) -> None:
    """Let the store know an instance that will never say anything."""
    store = await open_store(ServerConfig(home))
    await store.instances.connected(known("i-1").instance, session)
    await store.database.close()


def asking(**changed: Any) -> PlaceRequest:
    said: dict[str, Any] = {"wait_seconds": 0, **changed}
    return PlaceRequest(Target("trades"), Kind.SNAPSHOT, Where("a.py", 1), "because", **said)


def test_who_had_too_little_time_to_answer_is_not_unreachable_but_pending(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with hub_at(tmp_path, young_s=60.0, question_s=60.0) as hub:
            await mute_instance(tmp_path, hub.owner.session)
            async with asyncio.timeout(10):
                view = await hub.place(asking(), by=Deadline(0.1))
            assert (view.state, view.location) == (State.PENDING, None)
            assert view.silence is not None
            assert view.silence.code == "not_armed_yet"
            assert [n.why for n in view.reach.not_armed] == ["it has not answered yet"]
            with pytest.raises(SondeError) as refused:
                await hub.place(asking(dry_run=True), by=Deadline(0.1))
            assert refused.value.code == "agent_unreachable"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda hub, by: hub.services("trades", by=by), id="services"),
        pytest.param(lambda hub, by: hub.place(asking(), by=by), id="place"),
        pytest.param(
            lambda hub, by: hub.find_code(Target("trades"), SourceQuestion(), by), id="find"
        ),
    ],
)
def test_a_hub_that_had_no_time_to_hear_of_a_service_says_that_it_may_still_come(
    tmp_path: Path, call: Callable[[Hub, Deadline], Any]
) -> None:
    async def scenario() -> None:
        async with hub_at(tmp_path, young_s=60.0) as hub:
            async with asyncio.timeout(10):
                with pytest.raises(SondeError) as refused:
                    await call(hub, Deadline(0.05))
            assert refused.value.code == "unknown_service"
            assert "started only just now" in refused.value.why

    asyncio.run(scenario())


def test_every_wait_of_a_verb_ends_with_the_call(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with hub_at(tmp_path, young_s=0.0, confirm_s=60.0, first_word_s=60.0) as hub:
            await mute_instance(tmp_path, hub.owner.session)
            async with asyncio.timeout(10):
                view = await hub.place(asking(wait_seconds=40), by=Deadline(0.1))
                assert view.probe_id is not None
                assert (await hub.read(None, "", 40, by=Deadline(0.05))).results == ()
                removal = await hub.remove(None, Deadline(0.05))
            assert removal.removing == (view.probe_id,)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("call", "code"),
    [
        pytest.param(lambda hub: hub.services("nope"), "unknown_service", id="services"),
        pytest.param(lambda hub: hub.read(("p-nope",)), "unknown_probe", id="read"),
        pytest.param(lambda hub: hub.read(None, "rubbish"), "stale_cursor", id="read cursor"),
        pytest.param(lambda hub: hub.probes(cursor="rubbish"), "stale_cursor", id="probes cursor"),
        pytest.param(lambda hub: hub.probes("nope"), "unknown_service", id="probes of nobody"),
        pytest.param(lambda hub: hub.remove(("p-nope",)), "unknown_probe", id="remove"),
        pytest.param(lambda hub: hub.services("\ud800"), "invalid_argument", id="half a surrogate"),
        pytest.param(lambda hub: hub.services("x" * 10_001), "invalid_argument", id="huge text"),
        pytest.param(
            lambda hub: hub.find_code(Target("t"), SourceQuestion("a.py", 10**12)),
            "invalid_argument",
            id="huge line",
        ),
        pytest.param(
            lambda hub: hub.place(
                PlaceRequest(Target("t"), Kind.SNAPSHOT, Where("a.py", 10**12), "because")
            ),
            "invalid_argument",
            id="place on a huge line",
        ),
        pytest.param(
            lambda hub: hub.place(
                PlaceRequest(
                    Target("t"), Kind.SNAPSHOT, Where("a.py", 1), "because", condition="f()"
                )
            ),
            "expression_refused",
            id="condition",
        ),
        pytest.param(
            lambda hub: hub.find_code(Target("t", labels={"\ud800": ""}), SourceQuestion()),
            "invalid_argument",
            id="half a surrogate in a label",
        ),
        pytest.param(
            lambda hub: hub.place(
                PlaceRequest(Target("nope"), Kind.SNAPSHOT, Where("a.py", 1), "because")
            ),
            "unknown_service",
            id="place",
        ),
        pytest.param(
            lambda hub: hub.place(
                PlaceRequest(Target("t"), Kind.LOG, Where("a.py", 1), "because", wait_seconds=0)
            ),
            "invalid_argument",
            id="log without a message",
        ),
    ],
)
def test_a_bad_call_is_refused_by_its_code(
    tmp_path: Path, call: Callable[[Hub], Any], code: str
) -> None:
    async def scenario() -> None:
        async with hub_at(tmp_path, young_s=0.0) as hub:
            with pytest.raises(SondeError) as refused:
                await call(hub)
            assert refused.value.code == code
            assert (await hub.read(None)).probes == ()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        pytest.param({"condition": "f()"}, "in condition", id="condition"),
        pytest.param(
            {"captures": (Capture("a", "a"), Capture("b", "f()"))},
            "in item 2 of capture",
            id="capture",
        ),
        pytest.param({"kind": Kind.LOG, "message": "{f()}"}, "in message", id="message"),
    ],
)
def test_a_refused_expression_is_told_by_the_argument_that_holds_it(
    tmp_path: Path, changed: dict[str, Any], named: str
) -> None:
    async def scenario() -> None:
        async with hub_at(tmp_path) as hub:
            with pytest.raises(SondeError) as refused:
                await hub.place(dataclasses.replace(asking(), **changed))
            assert refused.value.code == "expression_refused"
            assert refused.value.what.endswith(named)

    asyncio.run(scenario())


def test_a_hub_can_be_closed_twice_and_opened_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        hub = await Hub.open(ServerConfig(tmp_path), "ada", "a client")
        assert (hub.owner.principal, hub.owner.client) == ("ada", "a_client")
        hub.name_client("another")
        assert hub.owner.client == "another"
        await hub.close()
        await hub.close()
        async with hub_at(tmp_path):
            assert (tmp_path / "hub.sock").exists()

    asyncio.run(scenario())


def test_what_a_dead_holder_left_at_the_sockets_place_is_cleared_away(tmp_path: Path) -> None:
    async def scenario() -> None:
        (tmp_path / "hub.sock").touch()
        async with hub_at(tmp_path):
            assert (tmp_path / "hub.sock").is_socket()

    asyncio.run(scenario())


def test_a_loop_outlives_a_bad_round() -> None:
    rounds: list[int] = []

    async def once() -> None:
        rounds.append(1)
        if len(rounds) == 1:
            raise ValueError
        if len(rounds) == 3:
            raise asyncio.CancelledError

    async def scenario() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await keep_doing("testing", once, lambda: asyncio.sleep(0))

    asyncio.run(scenario())
    assert len(rounds) == 3
