"""ddtrace's debugger on the same false conditions: runs in an environment of its own.

Its line probes, registry, evaluation and signal collector work here as in a service; only its
uploader is left out, which sends what the collector has queued, and a false condition queues
nothing. No agent, no thread, no connection. Prints JSON (`timing.to_json`).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

from ddtrace.debugging._debugger import Debugger
from ddtrace.debugging._probe.remoteconfig import ProbePollerEvent, build_probe
from ddtrace.debugging._signal.collector import SignalCollector
from ddtrace.debugging._uploader import SignalUploader

Debugger.__watchdog__.install()  # before the program is imported: it sees imports only

import program  # noqa: E402
from timing import Contestant, Figures, compare, to_json  # noqa: E402

CALLS = 100
AMOUNT, STATUS, A, B = ({"ref": name} for name in ("amount", "status", "a", "b"))
LIMIT, ITEMS = ({"getmember": [{"ref": "order"}, name]} for name in ("limit", "items"))
# Its conditions are trees.
TREES = {
    "amount > 1000": {"gt": [AMOUNT, 1000]},
    "status == 'PAID'": {"eq": [STATUS, "PAID"]},
    "a > 1 and b < 5": {"and": [{"gt": [A, 1]}, {"lt": [B, 5]}]},
    "order.limit > 1000": {"gt": [LIMIT, 1000]},
    "order.items['a'] > 5": {"gt": [{"index": [ITEMS, "a"]}, 5]},
}


@contextmanager
def probed(debugger: Debugger, condition: str) -> Iterator[None]:
    """Have its probe in `program.plain`."""
    with open(program.__file__) as text:
        line = next(n for n, words in enumerate(text, 1) if words.endswith("# probe: here\n"))
    probe = build_probe(
        {
            "type": "LOG_PROBE",
            "id": "bench",
            "version": 1,
            "where": {"sourceFile": program.__file__, "lines": [str(line)]},
            "when": {"dsl": condition, "json": TREES[condition]},
            "template": "hit",
            "segments": [{"str": "hit"}],
            "captureSnapshot": True,
            "tags": [],
        }
    )
    before = program.plain.__code__
    debugger._on_configuration(ProbePollerEvent.NEW_PROBES, [probe])
    assert program.plain.__code__ is not before, "ddtrace has not placed its probe"
    yield
    debugger._on_configuration(ProbePollerEvent.DELETED_PROBES, [probe])


def false_condition(debugger: Debugger, case: program.Case, rounds: int) -> Figures:
    contestants = {
        "by hand": Contestant(case.by_hand, case.arguments),
        "ddtrace": Contestant(program.plain, case.arguments),
    }
    with probed(debugger, case.condition):
        return compare(contestants, calls=CALLS, rounds=rounds)


def main() -> None:
    """Print the rows whose name has a text in it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--row", default="")
    parser.add_argument("--rounds", type=int, default=31)
    asked = parser.parse_args()
    SignalUploader._instance = SimpleNamespace(_collector=SignalCollector({}))
    debugger = Debugger()
    rows = {
        name: false_condition(debugger, case, asked.rounds)
        for name, case in program.CASES.items()
        if asked.row in name
    }
    print(to_json(rows))


if __name__ == "__main__":
    main()
