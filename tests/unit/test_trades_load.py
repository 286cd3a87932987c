"""The demo's load process, against services whose answers are known beforehand."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

LOAD = Path(__file__).resolve().parents[2] / "examples" / "trades" / "load.py"

Answering = Callable[[dict[str, str]], tuple[int, dict[str, str]]]


def honest(order: dict[str, str]) -> tuple[int, dict[str, str]]:
    rejects = order["symbol"] == "HLX" or float(order["amount"]) > 9000
    decision = "rejected" if rejects else "accepted"
    return 200, {"trade_id": order["trade_id"], "decision": decision}


@contextmanager
def serving(answering: Answering) -> Iterator[str]:
    class Requests(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_POST(self) -> None:
            order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, content = answering(order)
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Requests) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def started(address: str, report: Path, **bounds: float) -> subprocess.Popen[str]:
    given = [text for name, value in bounds.items() for text in (f"--{name}", str(value))]
    return subprocess.Popen(
        [sys.executable, str(LOAD), "--address", address, "--report", str(report), *given],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(process: subprocess.Popen[str], report: Path) -> dict[str, Any]:
    said, _ = process.communicate(timeout=20)
    assert report.exists(), said
    content: dict[str, Any] = json.loads(report.read_text())
    return content


def loaded(answering: Answering, tmp_path: Path, **bounds: float) -> dict[str, Any]:
    with serving(answering) as address:
        process = started(address, tmp_path / "report.json", **bounds)
        return finished(process, tmp_path / "report.json")


def test_every_order_is_sent_once_and_reported_with_its_answer(tmp_path: Path) -> None:
    report = loaded(honest, tmp_path, rate=1000, orders=200)
    assert (report["answers"], report["failed"], report["wrong"]) == (200, 0, 0)
    ids = [each["order"]["trade_id"] for each in report["all"]]
    assert sorted(ids) == [f"T-{number:06}" for number in range(1, 201)]
    assert all(json.loads(each["body"]) == honest(each["order"])[1] for each in report["all"])
    assert sum(second["answers"] for second in report["seconds"]) == 200


def test_the_same_number_always_makes_the_same_order(tmp_path: Path) -> None:
    orders = [
        sorted(
            json.dumps(each["order"], sort_keys=True)
            for each in loaded(honest, tmp_path, rate=1000, orders=60)["all"]
        )
        for _ in range(2)
    ]
    assert orders[0] == orders[1]
    assert len({json.loads(order)["amount"] for order in orders[0]}) > 10


def test_wrong_decisions_are_counted_against_the_limit_as_a_number(tmp_path: Path) -> None:
    def as_text(order: dict[str, str]) -> tuple[int, dict[str, str]]:
        rejects = order["symbol"] == "HLX" or order["amount"] > "9000"
        decision = "rejected" if rejects else "accepted"
        return 200, {"trade_id": order["trade_id"], "decision": decision}

    report = loaded(as_text, tmp_path, rate=1000, orders=112)
    right = [honest(each["order"])[1] == json.loads(each["body"]) for each in report["all"]]
    assert 0 < report["wrong"] == right.count(False)


def test_an_answer_to_another_order_and_a_refusal_count_as_wrong(tmp_path: Path) -> None:
    def confused(order: dict[str, str]) -> tuple[int, dict[str, str]]:
        if order["trade_id"] == "T-000003":
            return 500, {"error": "lost"}
        status, answer = honest(order)
        return status, {**answer, "trade_id": order["trade_id"].replace("T-000007", "T-000008")}

    report = loaded(confused, tmp_path, rate=1000, orders=20)
    assert (report["answers"], report["wrong"]) == (20, 2)


def test_orders_leave_no_faster_than_the_rate(tmp_path: Path) -> None:
    report = loaded(honest, tmp_path, rate=100, orders=60)
    asked = [each["asked_s"] for each in report["all"]]
    # The last of 60 is due 0.59 s after the start; the first may itself leave a little late.
    assert asked[-1] - asked[0] > 0.4


def test_it_ends_at_its_time(tmp_path: Path) -> None:
    report = loaded(honest, tmp_path, rate=50, seconds=0.5)
    assert 0 < report["answers"] <= 26


def test_on_sigterm_it_finishes_its_orders_and_reports(tmp_path: Path) -> None:
    seen = Event()

    def noting(order: dict[str, str]) -> tuple[int, dict[str, str]]:
        if order["trade_id"] == "T-000010":
            seen.set()
        return honest(order)

    with serving(noting) as address:
        process = started(address, tmp_path / "report.json", rate=200)
        assert seen.wait(10)
        process.send_signal(signal.SIGTERM)
        report = finished(process, tmp_path / "report.json")
    assert process.returncode == 0
    assert report["answers"] >= 10
    assert report["failed"] == 0


def test_a_service_that_is_not_there_is_reported_as_such(tmp_path: Path) -> None:
    with serving(honest) as address:
        pass
    process = started(address, tmp_path / "report.json", rate=1000)
    report = finished(process, tmp_path / "report.json")
    assert process.returncode == 1
    assert report["answers"] == 0
    assert report["failed"] >= 20
