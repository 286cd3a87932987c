"""The path of a probe, from a tool call to a live value and out again, through real processes.

One home, one service and one assistant of each era live through all of it; what must end within a
test has a process of its own.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from living import (
    LOOK_EVERY_S,
    WAIT_S,
    Service,
    Traffic,
    assistant,
    becomes,
    call,
    held,
    lines_of,
    refused,
)
from mcp import Client

PRICES = lines_of("prices.py")
WHY = "Is the discount right?"
TTL_S = 10  # the shortest that the contract allows

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    # Not tmp_path: a socket's path may have 107 bytes at the most.
    with tempfile.TemporaryDirectory(prefix="sonde") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def shop(home: Path) -> Iterator[Service]:
    """One service that runs through all of it, and must not have said a word in the end."""
    service = Service(home)
    yield service
    assert service.end() == ""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def assistants(home: Path, shop: Service) -> AsyncIterator[dict[str, Client]]:
    """One of each era, side by side; the service ran before them."""
    async with AsyncExitStack() as stack:
        eras = ("legacy", "auto")
        opening = (stack.enter_async_context(held(assistant(home, era))) for era in eras)
        yield dict(zip(eras, await asyncio.gather(*opening), strict=True))


@pytest.fixture
def client(assistants: dict[str, Client], era: str) -> Client:
    return assistants[era]


@pytest.fixture
def anyone(assistants: dict[str, Client]) -> Client:
    """The assistant of questions to which the era makes no difference."""
    return assistants["legacy"]


@pytest.fixture
def apart() -> Iterator[tuple[Path, Service]]:
    """A home and a service of their own, for a test that kills the server."""
    with tempfile.TemporaryDirectory(prefix="sonde") as folder:
        service = Service(Path(folder))
        yield Path(folder), service
        assert service.end() == ""


@dataclass(frozen=True)
class Mortal:
    """A probe with a short time to live. `gone`: seconds from its placing to the originals."""

    probe_id: str
    gone: asyncio.Task[float]


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def mortal(home: Path, assistants: dict[str, Client]) -> AsyncIterator[Mortal]:
    """Placed before the first test, looked at in the last one: its time passes meanwhile."""
    service = Service(home, "mortal")
    await until_listed(assistants["legacy"], "mortal")
    began = time.monotonic()
    placing = never_true(service="mortal", wait_seconds=0, ttl_seconds=TTL_S)
    placed = await call(assistants["legacy"], "place_snapshot", **placing)
    assert await becomes(lambda: not service.is_pristine)

    async def gone() -> float:
        assert await becomes(lambda: service.is_pristine, TTL_S + 4)
        return time.monotonic() - began

    waiting = asyncio.create_task(gone())
    yield Mortal(placed["probe_id"], waiting)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert service.end() == ""


async def test_an_investigation_in_one_session(shop, client):
    services = (await call(client, "list_services"))["services"]
    (service,) = (s for s in services if s["service"] == "shop")
    assert (service["service"], service["environment"]) == ("shop", "test")
    assert (service["instances"], service["versions"]) == (1, ["v1"])

    line = PRICES["total"]
    found = await call(client, "find_code", service="shop", file="prices.py", line=line)
    (match,) = found["matches"]
    assert match["code"].startswith("return total - discount")
    assert match["executable"] is True
    assert set(match["names"]) >= {"basket", "total", "discount"}
    found = await call(client, "find_code", service="shop", function="prices.shipping")
    assert found["matches"][0]["after"][0] == "def shipping(total, country):"

    with Traffic(shop, 150) as traffic:
        # The line was moved by edits above it: its text says where it is.
        answer = await call(
            client,
            "place_snapshot",
            service="shop",
            file="shop/prices.py",
            line=PRICES["discount"] + 7,
            expect_code="discount = total // 10  if total > 100 else 0",
            capture=["total", "who=basket.customer['name']", "basket"],
            max_hits=3,
            reason=WHY,
        )
        log = await call(
            client,
            "place_dynamic_log",
            service="shop",
            file="prices.py",
            line=PRICES["total"],
            message="{total:05d} less {discount}",
            max_hits=2,
            reason=WHY,
        )
    assert (answer["state"], log["state"]) == ("done", "done")
    assert answer["location"]["line"] == PRICES["discount"]
    assert answer["location"]["moved_from"] == PRICES["discount"] + 7
    assert answer["counts"]["captured"] == 3
    assert answer["untrusted"] is True
    values = answer["results"][0]["values"]
    assert int(values["total"]) > 100
    assert values["who"] == "'ada'"
    assert "<redacted str len=23 tag=" in values["basket"]
    assert "hunter2" not in str(answer)
    totals = next(s for s in answer["summary"] if s["name"] == "total")
    assert totals["types"] == {"int": 3}
    total, word, discount = log["results"][0]["message"].split()
    assert (len(total), word, int(discount)) == (5, "less", int(total) // 10)
    assert shop.is_pristine
    assert not traffic.wrong


async def test_silence_is_explained(shop, anyone):
    with Traffic(shop, 10):
        false, never = await asyncio.gather(
            call(anyone, "place_snapshot", **never_true(wait_seconds=2)),
            call(
                anyone,
                "place_snapshot",
                service="shop",
                file="prices.py",
                line=PRICES["never"],
                wait_seconds=2,
                reason=WHY,
            ),
        )
    await call(anyone, "remove_probes", probe_ids=[false["probe_id"], never["probe_id"]])
    assert false["silence"]["code"] == "condition_false"
    assert false["counts"]["condition_false"] > 0
    assert int(false["silence"]["sample"][0]["total"]) < 1000
    assert f"{false['counts']['condition_false']:,}" in false["silence"]["why"]
    assert never["silence"]["code"] == "not_reached"
    assert never["reach"]["armed"] == 1


async def test_wrong_calls_are_refused_with_the_way_out_and_place_nothing(shop, client):
    right = {"service": "shop", "file": "prices.py", "line": PRICES["total"], "reason": WHY}
    before = await call(client, "list_probes")
    text = await refused(client, "place_snapshot", **right | {"service": "shpo"})
    assert text.startswith("unknown_service: ")
    assert "shop" in text
    text = await refused(client, "place_snapshot", **right, condtion="total > 5")
    assert text.startswith("invalid_argument: ")
    assert "condition" in text
    text = await refused(client, "place_snapshot", **right | {"line": PRICES["comment"]})
    assert text.startswith("line_not_executable: ")
    assert str(PRICES["discount"]) in text
    assert str(PRICES["total"]) in text
    text = await refused(client, "place_snapshot", **right, condition="basket.password == 'x'")
    assert text.startswith("expression_refused: ")
    assert ids(await call(client, "list_probes")) == ids(before)
    assert shop.is_pristine


async def test_a_killed_agent_that_comes_back_is_armed_again_by_itself(anyone, start_service):
    first = start_service(name="stall")
    await until_listed(anyone, "stall")
    placed = await call(
        anyone,
        "place_snapshot",
        service="stall",
        file="prices.py",
        line=PRICES["discount"],
        max_hits=1,
        wait_seconds=0,
        reason=WHY,
    )
    assert await becomes(lambda: not first.is_pristine)
    first.kill()
    # Not asked whether it is pristine: it may be armed before it knows its own originals.
    with Traffic(start_service(name="stall"), 150):
        read = await call(anyone, "read_results", probe_ids=[placed["probe_id"]], wait_seconds=15)
    assert int(read["results"][0]["values"]["total"]) > 100


async def test_a_module_imported_after_placing_is_reached(anyone, start_service):
    shop = start_service(name="lazy")
    await until_listed(anyone, "lazy")
    placed = await call(
        anyone,
        "place_snapshot",
        service="lazy",
        file="shop/later.py",
        expect_code="return text",
        wait_seconds=0,
        reason=WHY,
    )
    assert placed["state"] == "pending"
    assert placed["silence"]["code"] == "not_imported"
    assert shop.get("/later?n=7") == {"stamp": "stamp-7"}
    read = await call(
        anyone, "read_results", probe_ids=[placed["probe_id"]], wait_seconds=5, detail="full"
    )
    assert read["results"][0]["values"] == {"number": "7", "text": "'stamp-7'"}


async def test_removing_by_hand_puts_the_originals_back(shop, client):
    placed = await call(client, "place_snapshot", **never_true(wait_seconds=0))
    assert await becomes(lambda: not shop.is_pristine)
    removed = await call(client, "remove_probes", probe_ids=[placed["probe_id"]])
    assert removed["removed"] == [placed["probe_id"]]
    assert shop.is_pristine
    again = await call(client, "remove_probes", probe_ids=[placed["probe_id"]])
    assert again["already_gone"] == [placed["probe_id"]]


async def test_probes_go_with_their_session_within_two_seconds(shop, home, era):
    async with assistant(home, era) as client:
        await call(client, "place_snapshot", **never_true(wait_seconds=0))
        assert await becomes(lambda: not shop.is_pristine)
    assert await becomes(lambda: shop.is_pristine, 2)


async def test_a_killed_server_leaves_no_probe_and_the_application_does_not_notice(apart):
    home, shop = apart
    async with assistant(home, SONDE_LEASE_SECONDS="1") as client:
        await call(client, "list_services")
        await call(client, "place_snapshot", **never_true(wait_seconds=0))
        assert await becomes(lambda: not shop.is_pristine)
        with Traffic(shop, 10) as traffic:
            (pid,) = servers_of(home)
            os.kill(pid, signal.SIGKILL)
            assert await becomes(lambda: shop.is_pristine, 3)
    assert traffic.count > 100
    assert not traffic.wrong


async def test_two_servers_work_side_by_side_on_one_home(shop, assistants):
    one, two = assistants.values()
    with Traffic(shop, 150):
        answers = await asyncio.gather(
            *(
                call(
                    client,
                    "place_snapshot",
                    service="shop",
                    file="prices.py",
                    line=PRICES["discount"],
                    max_hits=4,
                    reason=WHY,
                )
                for client in (one, two)
            )
        )
    assert [a["state"] for a in answers] == ["done", "done"]
    assert [len(a["results"]) for a in answers] == [4, 4]
    mine, others = (answer["probe_id"] for answer in answers)
    assert {mine, others} & ids(await call(one, "list_probes")) == {mine}
    assert {mine, others} <= ids(await call(one, "list_probes", all=True))
    text = await call(one, "remove_probes", probe_ids=[others])
    assert text.get("not_yours") == [others] or text.get("already_gone")
    assert await becomes(lambda: shop.is_pristine, 2)


async def test_thousands_of_requests_are_answered_alike_while_probes_come_and_go(shop, anyone):
    with Traffic(shop, 0) as low, Traffic(shop, 90) as high:
        rounds = 0
        while low.count + high.count < 5_000 or rounds < 5:
            answer = await call(
                anyone,
                "place_snapshot",
                service="shop",
                file="prices.py",
                line=PRICES["discount"],
                condition="total % 3 == 0",
                max_hits=20,
                wait_seconds=2,
                reason=WHY,
            )
            await call(anyone, "remove_probes", probe_ids=[answer["probe_id"]])
            rounds += 1
    assert low.count + high.count >= 5_000
    assert not low.wrong
    assert not high.wrong
    assert shop.is_pristine


async def test_a_probe_goes_with_its_time_to_live(mortal, anyone):
    assert await mortal.gone > TTL_S / 2
    read = await call(anyone, "read_results", probe_ids=[mortal.probe_id])
    assert read["probes"][0]["state"] == "expired"


def never_true(**options: object) -> dict:
    return {
        "service": "shop",
        "file": "prices.py",
        "line": PRICES["discount"],
        "condition": "total < 0",
        "reason": WHY,
        **options,
    }


async def until_listed(client: Client, name: str) -> None:
    """Wait until a service has dialled in: a hub that is not young any more does not."""
    async with asyncio.timeout(WAIT_S):
        while name not in {  # noqa: ASYNC110  # nothing tells us
            service["service"] for service in (await call(client, "list_services"))["services"]
        }:
            await asyncio.sleep(LOOK_EVERY_S)


def ids(listed: dict) -> set[str]:
    return {probe["probe_id"] for probe in listed.get("probes", [])}


def servers_of(home: Path) -> list[int]:
    """Find the children of this process that serve this home."""
    found = []
    for child in Path(f"/proc/{os.getpid()}/task").glob("*/children"):
        for pid in child.read_text().split():
            command, environ = (
                Path(f"/proc/{pid}/{n}").read_bytes() for n in ("cmdline", "environ")
            )
            if b"mcp" in command.split(b"\0") and f"SONDE_HOME={home}".encode() in environ.split(
                b"\0"
            ):
                found.append(int(pid))
    return found
