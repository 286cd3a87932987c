"""One call's way through the server: its time, and the words of what is refused."""

from __future__ import annotations

import time
from typing import Any

import pytest
from mcp.types import CallToolResult, TextContent

from mcp_server.deadline import Deadline
from mcp_server.errors import StoreUnusable
from mcp_server.model import RemoveAnswer
from mcp_server.tools import LateHub, make_server
from mcp_server.tools.server import BEYOND_WAITING_S


class Hub:
    """Notes until when it was given time."""

    def __init__(self) -> None:
        self.opened_s = 0.0
        self.due: list[Deadline] = []

    async def open(self) -> Any:
        self.opened_s = time.monotonic()
        return self

    async def remove(self, probe_ids: tuple[str, ...] | None, by: Deadline) -> RemoveAnswer:
        self.due.append(by)
        return RemoveAnswer(removed=probe_ids or ())


async def test_a_calls_time_runs_from_its_start_and_not_from_when_the_hub_is_open() -> None:
    hub = Hub()
    server = make_server(LateHub(hub.open, print), version="1", home="/home/sonde")
    answer = await server.call_tool("remove_probes", {"probe_ids": ["p-1"]})
    assert isinstance(answer, CallToolResult)
    assert not answer.is_error
    (by,) = hub.due
    opened_for_s = time.monotonic() - hub.opened_s
    assert by.waited_s >= opened_for_s
    assert by.left_s + opened_for_s < BEYOND_WAITING_S


@pytest.mark.parametrize(
    ("why", "told"),
    [
        pytest.param("its schema is newer", "Its schema is newer", id="a word"),
        pytest.param("wait_seconds is 99", "wait_seconds is 99", id="an argument"),
        pytest.param("trades/a.py is empty", "trades/a.py is empty", id="a path"),
        pytest.param("'a b.py' is empty", "'a b.py' is empty", id="a quoted name"),
    ],
)
async def test_each_sentence_of_a_refusal_begins_as_a_sentence_does(why: str, told: str) -> None:
    async def fail() -> Any:
        raise StoreUnusable("Cannot use the store", why, "upgrade Sonde")

    server = make_server(LateHub(fail, lambda _: None), version="1", home="/home/sonde")
    answer = await server.call_tool("list_probes", {})
    assert isinstance(answer, CallToolResult)
    (content,) = answer.content
    assert isinstance(content, TextContent)
    assert content.text == f"internal: Cannot use the store. {told}. Upgrade Sonde."
