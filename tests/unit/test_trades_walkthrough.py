"""What the demo's assistant concludes and shows, from answers that are given here."""

from __future__ import annotations

import importlib
import io
import json
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

TRADES_FOLDER = Path(__file__).resolve().parents[2] / "examples" / "trades"
OWN_MODULES = ("load", "walkthrough")


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Import a module of the example; afterwards none of them is imported any more."""

    def imported(name: str) -> ModuleType:
        return importlib.import_module(name)

    monkeypatch.syspath_prepend(str(TRADES_FOLDER))
    yield imported
    for name in list(sys.modules):
        if name.partition(".")[0] in OWN_MODULES:
            del sys.modules[name]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("out", "no_color", "is_coloured"),
    [
        pytest.param(Terminal(), "", True, id="a terminal"),
        pytest.param(Terminal(), "1", False, id="a terminal under NO_COLOR"),
        pytest.param(io.StringIO(), "", False, id="a pipe"),
    ],
)
def test_colour_is_for_terminals_that_want_it(
    example: Any, out: io.StringIO, no_color: str, is_coloured: bool
) -> None:
    screen = example("walkthrough.screen").Screen(no_color, out)
    screen.title("The cause")
    screen.call("list_services", {})
    screen.answer("trades", "0.1 s")
    assert ("\033" in out.getvalue()) is is_coloured
    assert "> list_services()" in out.getvalue()


def snapshot(*pairs: tuple[str, str], amount_type: str = "str") -> dict[str, Any]:
    return {
        "summary": [
            {"name": "trade.amount", "types": {amount_type: len(pairs)}},
            {"name": "self.limit", "types": {"str": len(pairs)}},
        ],
        "results": [
            {"values": {"trade.amount": left, "self.limit": right}} for left, right in pairs
        ],
    }


def test_the_verdict_sets_text_beside_numbers(example: Any) -> None:
    compared = example("walkthrough.evidence").comparisons(
        snapshot(("'15000'", "'9000'"), ("'9100'", "'9000'"), ("'15000'", "'9000'"))
    )
    assert [(each.left, each.as_text, each.as_numbers) for each in compared] == [
        ("'15000'", False, True),
        ("'9100'", True, True),
    ]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({}, id="nothing captured"),
        pytest.param(snapshot(("15000", "'9000'"), amount_type="int"), id="a number"),
    ],
)
def test_there_is_no_verdict_without_two_strings(example: Any, answer: dict[str, Any]) -> None:
    evidence, failure = example("walkthrough.evidence"), example("walkthrough.failure")
    with pytest.raises(failure.StepFailed):
        evidence.comparisons(answer)


def test_a_changed_decision_shows_in_its_window(example: Any) -> None:
    load, measure = example("load"), example("walkthrough.measure")

    def answer(number: int, at_s: float, said: str) -> Any:
        order = load.Order(f"T-{number}", "A-17", "ACME", "buy", "15000")
        body = json.dumps({"trade_id": order.trade_id, "decision": said})
        return load.Answer(order, at_s, latency_ms=1.0, status=200, body=body)

    rows = measure.measure(
        [answer(1, 0.5, "accepted"), answer(2, 1.2, "accepted"), answer(3, 1.8, "rejected")],
        [measure.Window("before", 0.0, 1.0), measure.Window("during", 1.0, 2.0)],
        Decimal(9000),
    )
    assert [(row.answers, row.changed, row.wrong_share) for row in rows] == [
        (1, 0, 1.0),
        (2, 1, 0.5),
    ]
    assert len({len(line) for line in measure.table(rows)}) == 1


def test_the_default_home_is_not_spelled_out_for_clients(example: Any) -> None:
    clients = example("walkthrough.clients")
    servers = [json.loads(text) for _, text in clients.configurations("/x/sonde", None)]
    assert servers[0] == {"mcpServers": {"sonde": {"command": "/x/sonde", "args": ["mcp"]}}}
    assert "env" not in servers[2]["servers"]["sonde"]
