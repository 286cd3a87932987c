"""The demo's service by itself, over HTTP, in a process of its own: no Sonde anywhere near."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

TRADES_FOLDER = Path(__file__).resolve().parents[2] / "examples" / "trades"


@dataclass
class Service:
    process: subprocess.Popen[str]
    connection: HTTPConnection

    def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, dict[str, object]]:
        self.connection.request(method, path, body)
        response = self.connection.getresponse()
        return response.status, json.loads(response.read())

    def order(self, **changes: object) -> tuple[int, dict[str, object]]:
        order = {
            "trade_id": "T-1",
            "account": "A-17",
            "symbol": "ACME",
            "side": "buy",
            "amount": "1250.00",
            **changes,
        }
        return self.ask("POST", "/orders", json.dumps(order).encode())


def started(*arguments: str) -> Service:
    process = subprocess.Popen(
        [sys.executable, "-m", "trades", *arguments],
        cwd=TRADES_FOLDER,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    address = urlsplit(process.stdout.readline().strip().removeprefix("trades: listening on "))
    assert address.hostname == "127.0.0.1"
    return Service(process, HTTPConnection(address.hostname, address.port, timeout=10))


def ended(service: Service) -> tuple[str, str]:
    service.connection.close()
    service.process.send_signal(signal.SIGTERM)
    return service.process.communicate(timeout=10)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    running = started()
    yield running
    ended(running)


@pytest.mark.parametrize(
    ("amount", "decision"),
    [
        pytest.param("1250.00", "accepted", id="well below the limit"),
        pytest.param("8999.99", "accepted", id="just below the limit"),
        pytest.param("9000", "accepted", id="the limit itself"),
        pytest.param("9000.01", "rejected", id="just over the limit"),
        pytest.param("9100", "rejected", id="over the limit"),
    ],
)
def test_trades_of_four_digits_are_decided_by_the_limit(
    service: Service, amount: str, decision: str
) -> None:
    status, answer = service.order(amount=amount)
    assert (status, answer["decision"]) == (200, decision)


@pytest.mark.parametrize("amount", ["15000", "12500.50", "120000"])
def test_the_planted_fault_lets_high_value_trades_through(service: Service, amount: str) -> None:
    assert service.order(amount=amount) == (200, {"trade_id": "T-1", "decision": "accepted"})


def test_a_restricted_symbol_is_rejected_with_its_reason(service: Service) -> None:
    assert service.order(symbol="HLX") == (
        200,
        {"trade_id": "T-1", "decision": "rejected", "reason": "restricted symbol"},
    )


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"amount": 15000}, id="an amount that is a number"),
        pytest.param({"amount": "-5"}, id="a negative amount"),
        pytest.param({"amount": "1e9"}, id="an exponent"),
        pytest.param({"side": "hold"}, id="an unknown side"),
        pytest.param({"account": ""}, id="an empty account"),
        pytest.param({"trade_id": "T" * 65}, id="a trade id too long"),
    ],
)
def test_an_order_of_a_wrong_form_is_refused_with_words(
    service: Service, changes: dict[str, object]
) -> None:
    status, answer = service.order(**changes)
    assert status == 400
    assert next(iter(changes)) in str(answer["error"])


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff"])
def test_a_body_that_is_no_order_is_refused(service: Service, body: bytes) -> None:
    status, answer = service.ask("POST", "/orders", body)
    assert status == 400
    assert "JSON" in str(answer["error"])


def test_other_paths_and_bodies_too_large_are_refused(service: Service) -> None:
    assert service.ask("POST", "/", b"{}")[0] == 404
    assert service.ask("GET", "/orders")[0] == 404
    assert service.ask("POST", "/orders", b" " * 65_537)[0] == 413
    assert service.order()[0] == 200


def test_health_counts_what_was_decided_and_a_log_stays_empty(tmp_path: Path) -> None:
    limits = tmp_path / "limits.ini"
    limits.write_text(
        "[limits]\ncurrency = EUR\nsingle_trade = 500\n[symbols]\nrestricted = X, Y\n"
    )
    service = started("--limits", str(limits))
    try:
        decided = [service.order(amount=amount)[1]["decision"] for amount in ("100", "200", "600")]
        _, health = service.ask("GET", "/health")
    finally:
        written = ended(service)
    assert decided == ["accepted", "accepted", "rejected"]
    assert (health["status"], health["accepted"], health["rejected"]) == ("ok", 2, 1)
    assert isinstance(health["decision_p99_ms"], float)
    assert written == ("", "")
    assert service.process.returncode == 0
