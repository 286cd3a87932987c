"""The path of a probe, from a tool call to a live value and out again, through real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from living import Service, Traffic, assistant, call, lines_of, refused

PRICES = lines_of("prices.py")
WHY = "Is the discount right?"


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


async def test_an_investigation_in_one_session(shop, home, era):
    async with assistant(home, era) as client:
        # The service ran before the server.
        (service,) = (await call(client, "list_services"))["services"]
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


async def test_silence_is_explained(shop, home, era):
    async with assistant(home, era) as client:
        with Traffic(shop, 10):
            false, never = await asyncio.gather(
                call(client, "place_snapshot", **never_true(wait_seconds=3)),
                call(
                    client,
                    "place_snapshot",
                    service="shop",
                    file="prices.py",
                    line=PRICES["never"],
                    wait_seconds=3,
                    reason=WHY,
                ),
            )
    assert false["silence"]["code"] == "condition_false"
    assert false["counts"]["condition_false"] > 0
    assert int(false["silence"]["sample"][0]["total"]) < 1000
    assert f"{false['counts']['condition_false']:,}" in false["silence"]["why"]
    assert never["silence"]["code"] == "not_reached"
    assert never["reach"]["armed"] == 1


async def test_wrong_calls_are_refused_with_the_way_out_and_place_nothing(shop, home, era):
    right = {"service": "shop", "file": "prices.py", "line": PRICES["total"], "reason": WHY}
    async with assistant(home, era) as client:
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
        assert not (await call(client, "list_probes")).get("probes")
    assert shop.is_pristine


async def test_a_killed_agent_that_comes_back_is_armed_again_by_itself(home, start_service):
    first = start_service(name="stall")
    async with assistant(home) as client:
        placed = await call(client, "place_snapshot", **never_true(wait_seconds=0, service="stall"))
        first.kill()
        second = start_service(name="stall")
        assert await becomes(lambda: not second.is_pristine)
        read = await call(client, "read_results", probe_ids=[placed["probe_id"]])
        assert read["probes"][0]["state"] == "armed"


async def test_a_module_imported_after_placing_is_reached(start_service, home, era):
    shop = start_service(name="lazy")
    async with assistant(home, era) as client:
        placed = await call(
            client,
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
            client, "read_results", probe_ids=[placed["probe_id"]], wait_seconds=5, detail="full"
        )
        assert read["results"][0]["values"] == {"number": "7", "text": "'stamp-7'"}


async def test_removing_by_hand_puts_the_originals_back(shop, home, era):
    async with assistant(home, era) as client:
        placed = await call(client, "place_snapshot", **never_true(wait_seconds=0))
        assert await becomes(lambda: not shop.is_pristine)
        removed = await call(client, "remove_probes", probe_ids=[placed["probe_id"]])
        assert removed["removed"] == [placed["probe_id"]]
        assert shop.is_pristine
        again = await call(client, "remove_probes", probe_ids=[placed["probe_id"]])
        assert again["already_gone"] == [placed["probe_id"]]


async def test_a_probe_goes_with_its_time_to_live(shop, home):
    async with assistant(home) as client:
        placed = await call(client, "place_snapshot", **never_true(wait_seconds=0, ttl_seconds=10))
        assert await becomes(lambda: not shop.is_pristine)
        began = time.monotonic()
        assert await asyncio.to_thread(shop.becomes_pristine, 14)
        assert time.monotonic() - began > 5
        read = await call(client, "read_results", probe_ids=[placed["probe_id"]])
        assert read["probes"][0]["state"] == "expired"


async def test_probes_go_with_their_session_within_two_seconds(shop, home, era):
    async with assistant(home, era) as client:
        await call(client, "place_snapshot", **never_true(wait_seconds=0))
        assert await becomes(lambda: not shop.is_pristine)
    assert shop.becomes_pristine(2)


async def test_a_killed_server_leaves_no_probe_and_the_application_does_not_notice(shop, home):
    with Traffic(shop, 10) as traffic:
        async with assistant(home, SONDE_LEASE_SECONDS="2") as client:
            await call(client, "place_snapshot", **never_true(wait_seconds=0))
            assert await becomes(lambda: not shop.is_pristine)
            for pid in children("mcp"):
                os.kill(pid, signal.SIGKILL)
            began = time.monotonic()
            assert await asyncio.to_thread(shop.becomes_pristine, 5)
            assert time.monotonic() - began < 4
    assert traffic.count > 100
    assert not traffic.wrong


async def test_two_servers_work_side_by_side_on_one_home(shop, home):
    async with assistant(home) as one, assistant(home) as two:
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
        mine = await call(one, "list_probes")
        assert len(mine["probes"]) == 1
        everyone = await call(one, "list_probes", all=True)
        listed = {probe["probe_id"] for probe in everyone["probes"]}
        assert listed >= {answer["probe_id"] for answer in answers}
        text = await call(one, "remove_probes", probe_ids=[answers[1]["probe_id"]])
        assert text.get("not_yours") == [answers[1]["probe_id"]] or text.get("already_gone")
    assert shop.becomes_pristine(2)


async def test_thousands_of_requests_are_answered_alike_while_probes_come_and_go(shop, home):
    async with assistant(home) as client:
        with Traffic(shop, 0) as low, Traffic(shop, 90) as high:
            rounds = 0
            while low.count + high.count < 5_000 or rounds < 5:
                answer = await call(
                    client,
                    "place_snapshot",
                    service="shop",
                    file="prices.py",
                    line=PRICES["discount"],
                    condition="total % 3 == 0",
                    max_hits=20,
                    wait_seconds=2,
                    reason=WHY,
                )
                await call(client, "remove_probes", probe_ids=[answer["probe_id"]])
                rounds += 1
    assert low.count + high.count >= 5_000
    assert not low.wrong
    assert not high.wrong
    assert shop.is_pristine


def never_true(**options: object) -> dict:
    return {
        "service": "shop",
        "file": "prices.py",
        "line": PRICES["discount"],
        "condition": "total < 0",
        "reason": WHY,
        **options,
    }


async def becomes(claim, within_s: float = 15) -> bool:
    """Watch a claim about a service under a timeout, off the loop."""
    until = time.monotonic() + within_s
    while not await asyncio.to_thread(claim):
        if time.monotonic() > until:
            return False
    return True


def children(verb: str) -> list[int]:
    """Find the children of this process that run `sonde VERB`."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            ppid = int(stat.read_text().rsplit(")", 1)[1].split()[1])
            command = (stat.parent / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if ppid == os.getpid() and verb.encode() in command:
            found.append(int(stat.parent.name))
    return found
