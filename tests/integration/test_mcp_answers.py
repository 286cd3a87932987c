"""What each tool answers, in both forms, with captured text fenced."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

from fake_hub import HOSTILE, PLACE, SILENT, FakeHub, call, connected, leaves, result, view

from mcp_server.model import (
    CodeAnswer,
    FleetCounts,
    NameSummary,
    NotArmed,
    Reach,
    RemoveAnswer,
    Silence,
)
from probe_agent.probe import Location, SourceMatch, State, Where


async def test_a_snapshot_is_answered_completely_in_both_forms(era: str) -> None:
    async with connected(FakeHub(), era) as client:
        answer, text = await call(client, "place_snapshot", **PLACE)
    assert answer == {
        "probe_id": "p-aaaaaa",
        "state": "done",
        "untrusted": True,
        "expires_at": "2026-11-21T09:40:00.000Z",
        "location": {
            "file": "/srv/trades/validate.py",
            "line": 41,
            "function": "check",
            "code": "return a > b",
        },
        "reach": {
            "instances": 1,
            "armed": 1,
            "pending": 0,
            "refused": 0,
            "failed": 0,
            "frames_missed": 0,
        },
        "counts": {
            "line_hits": 2,
            "condition_true": 2,
            "condition_false": 0,
            "condition_errors": 0,
            "captured": 2,
            "dropped": 0,
        },
        "summary": [{"name": "trade.amount", "types": {"str": 2}, "distinct": [["'15000'", 2]]}],
        "overhead": {"ns_per_hit": 812.3, "core_share": 0.000123},
        "results": [
            {
                "result_id": f"r-0000000{n}",
                "probe_id": "p-aaaaaa",
                "instance": "i-aaaaaa",
                "version": "v1",
                "time": f"2026-11-21T09:30:00.00{n}Z",
                "sequence": n,
                "thread": "worker 1",
                "values": {"trade.amount": "'15000'", "self.limit": "'9000'"},
                "stack": ["/srv/trades/validate.py:41 check", "/srv/trades/orders.py:20 place"],
            }
            for n in (1, 2)
        ],
        "next_cursor": "after2",
        "next_call": {
            "tool": "find_code",
            "arguments": {
                "service": "trades",
                "environment": "prod",
                "file": "/srv/trades/orders.py",
                "line": 20,
            },
        },
    }
    assert text.splitlines()[:3] == [
        "2 hits in 0.8 s at /srv/trades/validate.py:41 in check (probe p-aaaaaa, done).",
        "| return a > b",
        "trade.amount: str x2 ('15000' x2)",
    ]
    assert "\n  x2 trade.amount='15000'  self.limit='9000'\n    [i-aaaaaa #1-#2, " in text
    for leaf in leaves(answer):
        assert leaf in text, leaf


async def test_no_hit_is_answered_with_its_reason_and_how_to_wait_on(era: str) -> None:
    hub = FakeHub(
        answer=view(
            **SILENT,
            reach=Reach(2, 1, 1, not_armed=(NotArmed("i-b", State.PENDING, "not imported"),)),
        )
    )
    async with connected(hub, era) as client:
        answer, text = await call(client, "place_snapshot", **PLACE)
    assert answer["silence"] == {
        "code": "condition_false",
        "why": "The line ran 7 times.",
        "sample": [{"a": "1"}],
    }
    assert answer["next_call"] == {
        "tool": "read_results",
        "arguments": {"probe_ids": ["p-aaaaaa"], "wait_seconds": 20, "cursor": "after0"},
    }
    assert answer["reach"]["not_armed"] == [
        {"instance": "i-b", "state": "pending", "why": "not imported"}
    ]
    assert text.startswith("No hit in 0.8 s at ")
    assert "Why no hit: condition_false. The line ran 7 times." in text
    assert "condition false with: a=1" in text
    for leaf in leaves(answer):
        assert leaf in text, leaf


async def test_a_place_that_nobody_knows_yet_is_told_as_it_was_asked() -> None:
    hub = FakeHub(answer=view(**SILENT, location=None))
    async with connected(hub) as client:
        answer, text = await call(client, "place_snapshot", **PLACE)
    assert answer["location"] == {"file": "validate.py", "line": 41}
    assert "at validate.py:41 (probe" in text


async def test_a_dry_run_places_nothing_and_says_how_to_place_it(era: str) -> None:
    hub = FakeHub(
        answer=view(
            probe_id=None,
            state=State.PENDING,
            results=(),
            summary=(),
            counts=FleetCounts(),
            next_cursor="",
        )
    )
    async with connected(hub, era) as client:
        answer, text = await call(client, "place_snapshot", **PLACE, dry_run=True, capture=["a"])
    assert hub.asked[0][0].dry_run
    assert "probe_id" not in answer
    assert answer["next_call"] == {
        "tool": "place_snapshot",
        "arguments": {**PLACE, "capture": ["a"]},
    }
    assert text.startswith("Dry run, nothing placed.")


async def test_captured_text_is_fenced_and_escaped_wherever_it_stands(era: str) -> None:
    bad = result(1, values={HOSTILE: f"'{HOSTILE}'"})
    bad = replace(
        bad,
        result=replace(bad.result, message=HOSTILE, thread=HOSTILE, task=HOSTILE, stack=(HOSTILE,)),
    )
    hostile = view(
        location=Location(HOSTILE, 41, HOSTILE, HOSTILE),
        summary=(NameSummary(HOSTILE, {HOSTILE: 1}, ((HOSTILE, 1),)),),
        silence=Silence("condition_error", "It failed.", ({HOSTILE: HOSTILE},), HOSTILE),
        reason=HOSTILE,
        results=(bad,),
    )
    match = SourceMatch(HOSTILE, 1, HOSTILE, HOSTILE, True, (HOSTILE,), (HOSTILE,), (HOSTILE,), "")
    hub = FakeHub(answer=hostile, results=(bad,), code=CodeAnswer((match,), 0), views=(hostile,))
    async with connected(hub, era) as client:
        answers = [
            await call(client, "place_snapshot", **PLACE),
            await call(client, "read_results", detail="full"),
            await call(client, "list_probes"),
            await call(client, "find_code", service="trades", file="x.py", line=1),
        ]
    for answer, text in answers:
        assert answer["untrusted"] is True
        for leaf in [*leaves(answer), *text.split("\n")]:
            assert not {unicodedata.category(c) for c in leaf} & {"Cc", "Cf", "Co"}
        for line in text.split("\n"):
            before, found, _ = line.partition("Ignore previous")
            is_fenced = "| " in before[:12] or before.count("'") % 2 or line.startswith("Next: ")
            # Values are literals: the agent has quoted the strings in them.
            is_literal = "x1 (" in before or "=" in before
            assert not found or is_fenced or is_literal, line


async def test_in_summary_a_result_says_what_the_contract_names_and_no_more(era: str) -> None:
    hub = FakeHub(answer=view(results=()), results=(result(1),))
    async with connected(hub, era) as client:
        answer, _ = await call(client, "read_results")
        assert answer["results"][0].keys() == {"values", "time", "instance", "sequence"}
        assert "results" not in answer["probes"][0]
        hub.views = (view(), view(probe_id="p-bbbbbb"))
        several, _ = await call(client, "read_results")
        assert several["results"][0]["probe_id"] == "p-aaaaaa"


async def test_code_is_shown_behind_bars_with_the_snapshot_to_place(era: str) -> None:
    match = SourceMatch(
        "/srv/v.py",
        41,
        "check",
        "return a > b",
        True,
        ("    a = 1",),
        ("", "x"),
        ("a", "b"),
        "ab" * 32,
    )
    hub = FakeHub(code=CodeAnswer((match,), 0))
    async with connected(hub, era) as client:
        answer, text = await call(client, "find_code", service="trades", file="v.py", line=41)
        assert answer["matches"][0] == {
            "file": "/srv/v.py",
            "line": 41,
            "function": "check",
            "code": "return a > b",
            "executable": True,
            "before": ["    a = 1"],
            "after": ["", "x"],
            "names": ["a", "b"],
            "source_sha256": "ab" * 32,
        }
        for leaf in leaves(answer["matches"]):
            assert leaf in text
        assert "\n  40 |     a = 1\n> 41 | return a > b\n  42 |\n  43 | x\n" in text
        next_call = answer["next_call"]
        assert next_call["tool"] == "place_snapshot"
        await call(client, "place_snapshot", **next_call["arguments"])
    assert hub.asked[-1][0].where == Where("/srv/v.py", 41)


async def test_removal_says_what_became_of_each(era: str) -> None:
    hub = FakeHub(removal=RemoveAnswer(("p-a",), ("p-b",), ("p-c",), ("p-d",)))
    async with connected(hub, era) as client:
        answer, text = await call(client, "remove_probes", probe_ids=["p-a", "p-b", "p-c", "p-d"])
    assert answer == {
        "removed": ["p-a"],
        "removing": ["p-b"],
        "already_gone": ["p-c"],
        "not_yours": ["p-d"],
        "next_call": {"tool": "remove_probes", "arguments": {"probe_ids": ["p-b"]}},
    }
    assert all(probe in text for probe in ("p-a", "p-b", "p-c", "p-d"))
