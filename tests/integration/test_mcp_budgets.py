"""Answers within the token budget: nothing twice, nothing missing, what is left out is counted."""

from __future__ import annotations

from typing import Any

import pytest
from fake_hub import NOW, PLACE, FakeHub, call, connected, result, view

from mcp_server.model import CodeAnswer, Instance, NameSummary, ServiceView
from probe_agent.probe import Kind, SourceMatch


@pytest.mark.parametrize("tokens", [200, 400, 2000])
@pytest.mark.parametrize("detail", ["summary", "full"])
async def test_results_are_read_page_by_page_within_the_budget_none_twice_none_missing(
    tokens: int, detail: str
) -> None:
    hub = FakeHub(
        answer=view(
            results=(),
            summary=(NameSummary("n", {"int": 60}, tuple((str(n), 1) for n in range(8))),),
        ),
        results=tuple(
            result(n, values={"n": str(n), "text": f"'{'x' * (n * 6)}'"}) for n in range(1, 31)
        ),
    )
    seen: list[int] = []
    calls = 0
    arguments: dict[str, Any] = {"token_budget": tokens, "detail": detail, "limit": 50}
    async with connected(hub) as client:
        for _ in range(100):
            answer, text = await call(client, "read_results", **arguments)
            calls += 1
            assert len(hub.asked) == calls  # a cut answer needs no second look for its cursor
            seen += [int(hit["values"]["n"]) for hit in answer["results"]]
            assert answer.get("more", 0) == 30 - len(seen)
            if not answer.get("more"):
                break
            assert f"{answer['more']} more" in text
            assert answer["next_call"]["tool"] == "read_results"
            arguments = answer["next_call"]["arguments"]
            assert arguments["cursor"] == f"after{len(seen)}"
    assert seen == list(range(1, 31))


async def test_a_result_larger_than_the_budget_is_shown_in_part_and_the_rest_counted() -> None:
    values = {f"name{n}": f"'{'x' * 150}'" for n in range(100)}
    hub = FakeHub(
        answer=view(results=(result(1, values=values),)), results=(result(1, values=values),)
    )
    async with connected(hub) as client:
        read, text = await call(client, "read_results", token_budget=400)
        shown = len(read["results"][0]["values"])
        assert 0 < shown < 100
        assert read["left_out"]["values"] == 100 - shown
        assert f"{100 - shown} values" in text
        assert read["next_call"]["arguments"]["token_budget"] == 2000
        placed, _ = await call(client, "place_snapshot", **PLACE)
        assert placed["left_out"]["values"] == 100 - len(placed["results"][0]["values"])
        assert placed["next_call"]["arguments"]["detail"] == "full"


async def test_a_placing_tool_that_brought_too_much_says_where_to_read_on() -> None:
    results = tuple(result(n, values={"n": f"'{n}{'x' * 150}'"}) for n in range(1, 101))
    hub = FakeHub(answer=view(results=results, next_cursor="after100"), results=results)
    async with connected(hub) as client:
        placed, _ = await call(client, "place_snapshot", **PLACE)
        shown = len(placed["results"])
        assert 5 < shown < 100
        assert placed["more"] == 100 - shown
        assert placed["next_cursor"] == f"after{shown}"
        assert placed["left_out"] == {"stacks": shown}
        read, _ = await call(
            client, placed["next_call"]["tool"], **placed["next_call"]["arguments"]
        )
    assert read["results"][0]["sequence"] == shown + 1


async def test_many_probes_are_read_and_listed_within_the_budget() -> None:
    many = tuple(view(probe_id=f"p-{n:06}", reason="why " * 100) for n in range(60))
    hub = FakeHub(views=many, results=(result(1),))
    async with connected(hub) as client:
        read, _ = await call(client, "read_results", token_budget=500)
        assert read["left_out"]["probes"] == 60 - len(read.get("probes", []))
        seen: list[str] = []
        arguments: dict[str, Any] = {"token_budget": 1000}
        while True:
            answer, _ = await call(client, "list_probes", **arguments)
            seen += [probe["probe_id"] for probe in answer["probes"]]
            if not answer.get("more"):
                break
            arguments = answer["next_call"]["arguments"]
        tight, _ = await call(client, "list_probes", token_budget=200)
        assert tight["left_out"] == {"details": len(tight["probes"])}
    assert seen == [probe.probe_id for probe in many]


async def test_services_are_listed_with_their_instances_when_named_and_cut_to_the_budget(
    era: str,
) -> None:
    instances = tuple(
        Instance(
            f"i-{n:06}",
            "trades",
            "prod",
            "v1",
            "python",
            "3.12.1",
            n,
            "host",
            {"role": "web"},
            NOW,
            True,
        )
        for n in range(100)
    )
    hub = FakeHub(
        listed=(
            ServiceView("trades", "prod", ("v1",), 100, ("3.12.1",), 2, tuple(Kind), instances),
        )
    )
    async with connected(hub, era) as client:
        brief, text = await call(client, "list_services")
        assert brief["services"] == [
            {
                "service": "trades",
                "environment": "prod",
                "versions": ["v1"],
                "instances": 100,
                "python": ["3.12.1"],
                "probes": 2,
                "allowed": ["snapshot", "log"],
            }
        ]
        assert "untrusted" not in brief
        assert text.startswith("trades (prod, version v1, 100 instances, Python 3.12.1), 2 probes")
        long, _ = await call(
            client, **brief["next_call"]["arguments"], tool=brief["next_call"]["tool"]
        )
        shown = long["services"][0]["instance_list"]
        assert shown[0]["labels"] == {"role": "web"}
        assert long["left_out"] == {"instances": 100 - len(shown)}
        assert long["next_call"]["arguments"]["token_budget"] == 10_000
        hub.listed *= 100
        many, _ = await call(client, "list_services", token_budget=300)
        assert many["more"] == 100 - len(many["services"])
        hub.listed = ()
        none, text = await call(client, "list_services")
        assert "/home/sonde" in none["how_to_connect"]
        assert none["how_to_connect"] in text


async def test_a_long_function_is_cut_to_the_budget_and_the_lines_counted() -> None:
    lines = ("def f(a):", *(f"    step_{n} = a + {n}" for n in range(500)))
    match = SourceMatch("/srv/v.py", 41, "f", "def f(a):", False, (), lines, ("a",), "ab" * 32)
    async with connected(FakeHub(code=CodeAnswer((match,) * 3, 2))) as client:
        answer, text = await call(client, "find_code", service="trades", function="f")
    shown = len(answer["matches"][0]["after"])
    assert 50 < shown < 501
    assert answer["left_out"]["lines"] == 501 - shown
    assert answer["more"] == 4
    assert text.count("| ") == shown
    assert answer["next_call"]["arguments"] == {
        "service": "trades",
        "function": "f",
        "token_budget": 10_000,
    }
