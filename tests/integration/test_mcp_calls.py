"""The list of tools, and what of a call reaches the hub."""

from __future__ import annotations

import json

import jsonschema
from fake_hub import PLACE, FakeHub, call, connected

from mcp_server.model import Target
from probe_agent.probe import Kind, Where


async def test_the_list_is_small_complete_and_the_same_in_both_eras() -> None:
    lists = []
    for era in ("legacy", "auto"):
        async with connected(FakeHub(), era) as client:
            lists.append([t.model_dump() for t in (await client.list_tools()).tools])
            assert client.instructions
            assert len(client.instructions.encode()) <= 2048
    assert lists[0] == lists[1]
    inputs = sum(
        len(t["name"]) + len(t["description"]) + len(json.dumps(t["input_schema"]))
        for t in lists[0]
    )
    assert inputs / 4 < 4000
    assert sum(len(json.dumps(t["output_schema"])) for t in lists[0]) / 4 < 2500
    assert [t["name"] for t in lists[0]] == [
        *("list_services", "find_code", "place_snapshot", "place_dynamic_log"),
        *("read_results", "list_probes", "remove_probes"),
    ]


async def test_every_tool_has_all_hints_a_title_and_what_its_output_is() -> None:
    async with connected(FakeHub()) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    for tool in tools.values():
        assert tool.title
        assert tool.annotations
        hints = tool.annotations.model_dump(
            include={"read_only_hint", "destructive_hint", "idempotent_hint", "open_world_hint"}
        )
        assert None not in hints.values()
        assert not hints["destructive_hint"]
        assert hints["read_only_hint"] is (tool.name.split("_")[0] in ("list", "find", "read"))
        assert tool.output_schema
        assert hints["open_world_hint"] is ("untrusted" in tool.output_schema["properties"])
        jsonschema.Draft202012Validator.check_schema(tool.input_schema)
    assert tools["remove_probes"].annotations.idempotent_hint  # type: ignore[union-attr]
    assert not tools["place_snapshot"].annotations.idempotent_hint  # type: ignore[union-attr]


async def test_each_placing_tools_example_can_be_called_as_it_stands(era: str) -> None:
    hub = FakeHub()
    async with connected(hub, era) as client:
        for tool in (await client.list_tools()).tools:
            if tool.name.startswith("place_"):
                example = json.loads("{" + tool.description.split("Example: {", 1)[1])  # type: ignore[union-attr]
                await call(client, tool.name, **example)
    assert len(hub.asked) == 2


async def test_every_input_of_a_snapshot_reaches_the_hub(era: str) -> None:
    hub = FakeHub()
    async with connected(hub, era) as client:
        await call(
            client,
            "place_snapshot",
            **PLACE,
            environment="prod",
            version="v1",
            instances=["i-a"],
            labels={"role": "web"},
            expect_code="return a > b",
            condition="a == 1",
            ttl_seconds=60,
            max_hits=3,
            wait_seconds=2,
            capture=["trade.amount", "limit = self.limit", "a == b", "x>=1", "n=f == 2"],
            stack_frames=0,
        )
    ((request,),) = hub.asked
    assert request.target == Target("trades", "prod", "v1", ("i-a",), {"role": "web"})
    assert request.where == Where("validate.py", 41, "return a > b")
    assert (request.kind, request.condition, request.reason) == (
        Kind.SNAPSHOT,
        "a == 1",
        PLACE["reason"],
    )
    assert (request.ttl_seconds, request.max_hits, request.stack_frames) == (60, 3, 0)
    assert request.wait_seconds == 2
    assert [(c.name, c.expression) for c in request.captures] == [
        ("trade.amount", "trade.amount"),
        ("limit", "self.limit"),
        ("a == b", "a == b"),
        ("x>=1", "x>=1"),
        ("n", "f == 2"),
    ]


async def test_a_log_has_its_own_defaults(era: str) -> None:
    hub = FakeHub()
    async with connected(hub, era) as client:
        await call(client, "place_dynamic_log", **PLACE, message=" {a} ")
    ((request,),) = hub.asked
    assert (request.kind, request.message, request.max_hits) == (Kind.LOG, " {a} ", 50)


async def test_the_assistants_name_reaches_the_hub(era: str) -> None:
    hub = FakeHub()
    async with connected(hub, era) as client:
        await call(client, "list_probes")
        await call(client, "list_probes")
    assert len(hub.clients) == 1


async def test_progress_is_reported_and_grows(era: str) -> None:
    seen: list[float] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        assert total == 15
        assert message
        seen.append(progress)

    async with connected(FakeHub(), era) as client:
        await client.call_tool("place_snapshot", PLACE, progress_callback=on_progress)
    assert seen == [0.5, 1.0]
