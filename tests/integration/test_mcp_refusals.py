"""What is refused, what fails and what hangs, as a client meets it: a code, a reason, a way out."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fake_hub import HOSTILE, PLACE, FakeHub, call, connected, refused

from mcp_server.errors import StoreUnusable, UnknownService
from mcp_server.tools.server import BEYOND_WAITING_S

MEGABYTE = "A" * 1_000_000


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        pytest.param(
            "place_snapshot", {**PLACE, "condtion": "x > 5"}, "condition", id="unknown argument"
        ),
        pytest.param("place_snapshot", {}, "missing", id="nothing"),
        pytest.param("place_snapshot", {**PLACE, "line": None}, "expect_code", id="a file alone"),
        pytest.param(
            "place_snapshot", {**PLACE, "condition": MEGABYTE}, "1,000,000", id="a megabyte"
        ),
        pytest.param(
            "place_snapshot", {**PLACE, "capture": ["a", "a"]}, "named 'a'", id="the same twice"
        ),
        pytest.param(
            "place_snapshot", {**PLACE, "capture": ["a="]}, "no expression", id="a name alone"
        ),
        pytest.param("place_snapshot", {**PLACE, "service": ["x"]}, "service", id="wrong type"),
        pytest.param("place_dynamic_log", PLACE, "Message is missing", id="no message"),
        pytest.param("find_code", {"service": "s"}, "exactly one", id="nothing to find"),
        pytest.param(
            "find_code", {"service": "s", "file": "f", "function": "g"}, "exactly one", id="both"
        ),
        pytest.param(
            "find_code", {"service": "s", "function": "g", "line": 1}, "file", id="line of no file"
        ),
        pytest.param("read_results", {"probe_ids": []}, "a list of 0", id="no ids"),
        pytest.param("remove_probes", {}, "exactly one", id="nothing to remove"),
        pytest.param(
            "remove_probes", {"probe_ids": ["p"], "all_mine": True}, "exactly one", id="two ways"
        ),
        pytest.param("list_probes", {"all": 1}, "true or false", id="a number for a bool"),
        pytest.param("list_services", {"service": HOSTILE * 9}, "text of", id="hostile"),
        pytest.param("place_snapshots", {}, "Did you mean place_snapshot?", id="no such tool"),
    ],
)
async def test_bad_input_is_refused_and_nothing_reaches_the_hub(
    tool: str, arguments: dict[str, Any], words: str
) -> None:
    hub = FakeHub()
    async with connected(hub) as client:
        text = await refused(client, tool, **arguments)
        await call(client, "list_probes")
    assert text.startswith("invalid_argument: ")
    assert words in text
    assert len(text) < 600
    assert text.isprintable()
    assert len(hub.asked) == 1


async def test_what_the_hub_refuses_is_told_by_code_and_escaped(era: str) -> None:
    hub = FakeHub(
        raises=UnknownService(
            f"Cannot find {HOSTILE}", "it was never seen" + "x" * 9000, "Use trades."
        )
    )
    async with connected(hub, era) as client:
        text = await refused(client, "place_snapshot", **PLACE)
    assert text.startswith("unknown_service: Cannot find \\x1b[2J\\u202e")
    assert text.endswith(" (cut). Use trades.")
    assert text.isprintable()


async def test_a_fault_of_ours_is_internal_and_only_the_log_has_it(
    era: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(FakeHub(raises=ZeroDivisionError("secret 42")), era) as client:
        text = await refused(client, "list_services")
    assert text.startswith("internal: ")
    assert "secret" not in text
    assert "secret 42" in caplog.text


async def test_a_store_that_cannot_be_opened_is_answered_by_every_tool(era: str) -> None:
    failing = StoreUnusable("Cannot use the store", "its schema is newer", "Upgrade Sonde")
    async with connected(FakeHub(), era, failing) as client:
        for tool in ("list_services", "list_probes"):
            text = await refused(client, tool)
            assert text == "internal: Cannot use the store. Its schema is newer. Upgrade Sonde."


async def test_a_hub_that_hangs_is_answered_in_time_and_told_to_stop() -> None:
    assert BEYOND_WAITING_S < 4  # the tool contract's; here it is short
    hub = FakeHub(hangs=True)
    async with connected(hub, beyond_waiting_s=0.1) as client, asyncio.timeout(4):
        text = await refused(client, "place_snapshot", **{**PLACE, "wait_seconds": 0})
        await hub.cancelled.wait()
    assert text.startswith("agent_unreachable: ")
    assert "list_probes" in text


async def test_a_call_that_the_client_cancels_stops_the_work(era: str) -> None:
    hub = FakeHub(hangs=True)
    async with connected(hub, era) as client, asyncio.timeout(5):
        waiting = asyncio.create_task(client.call_tool("place_snapshot", PLACE))
        await hub.started.wait()
        waiting.cancel()
        await hub.cancelled.wait()
        hub.hangs = False
        await call(client, "list_probes")
