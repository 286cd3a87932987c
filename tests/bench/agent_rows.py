"""The agent's rows, on the Python that runs this file: probed code beside its reference."""

from __future__ import annotations

import copy
import inspect
import io
import json
import logging
import sys
import tempfile
import time
from _queue import SimpleQueue
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import FunctionType

from timing import Measured, compare

from probe_agent.agent.holding import Holding
from probe_agent.capture import CaptureLimits
from probe_agent.deliver import Outbox
from probe_agent.hit import Entry, Intake, LiveProbe
from probe_agent.probe import Kind, Probe, Where
from probe_agent.rewrite import Insertion, Rewriter, variables

UNLIMITED = 1_000_000_000


def plain(amount, order):
    total = amount + 1
    total -= 1
    return total


def by_hand(amount, order):
    total = amount + 1
    if amount > 1000:
        report(amount)
    total -= 1
    return total


def by_hand_attribute(amount, order):
    total = amount + 1
    if order.limit > 1000:
        report(amount)
    total -= 1
    return total


def report(amount):
    raise AssertionError(amount)


class Order:
    def __init__(self) -> None:
        self.limit = 5
        self.items = {"a": 1}


class Slotted:
    __slots__ = ("x", "y")

    def __init__(self) -> None:
        self.x, self.y = 1, "two"


def reference_frame():
    """The frame of agent-core.md: 10 locals."""
    nested = {"a": {"b": {"c": 1}}, "d": [1, 2, {"e": "f"}]}
    numbers = list(range(100))
    order = Order()
    slotted = Slotted()
    long = "x" * 10_000
    name, count, price, flag, nothing = "trade", 3, 1.5, True, None
    return nested, numbers, order, slotted, long, name, count, price, flag, nothing


def probed(
    function: FunctionType, line_offset: int, **options: object
) -> tuple[FunctionType, LiveProbe]:
    """Define a function once more, with a probe `line_offset` lines below its `def`."""
    options = {
        "kind": Kind.SNAPSHOT,
        "max_hits": UNLIMITED,
        "max_hits_per_second": UNLIMITED,
    } | options
    namespace: dict[str, FunctionType] = {}
    # Not FunctionType(code): calls of what it makes are not specialised from 3.13 on.
    exec(inspect.getsource(function), function.__globals__, namespace)
    again = namespace[function.__name__]
    code = again.__code__
    line = code.co_firstlineno + line_offset
    probe = Probe(probe_id="p-aaaaaa", where=Where("x", line), **options)
    intake: Intake = SimpleQueue()
    live = LiveProbe(probe, intake, CaptureLimits())
    entry = Entry(live, code, variables(code))
    insertion = Insertion(
        *("p-aaaaaa", line, entry.guard, entry.guard_names, entry.hit, entry.hit_names), entry.quick
    )
    Rewriter(lambda codes: [again] if again.__code__ in codes else []).place((code,), insertion)
    return again, live


def drained(call: Callable[[], object], live: LiveProbe) -> Callable[[], object]:
    """Empty the intake after each call: its cost is in the row too, some 60 ns."""
    take = live.intake.get_nowait

    def act() -> None:
        call()
        take()

    return act


def false_condition(condition: str, hand: FunctionType) -> dict[str, Measured]:
    with_probe, _ = probed(plain, 2, condition=condition)
    order = Order()
    return compare(
        {
            "hand-written `if`": lambda: hand(5, order),
            "no probe": lambda: plain(5, order),
            "probe": lambda: with_probe(5, order),
        },
        calls=2000,
    )


def log_hit() -> dict[str, Measured]:
    with_probe, live = probed(plain, 2, kind=Kind.LOG, message="{amount} of {order.limit}")
    logger = logging.getLogger("sonde-bench")
    sink = io.StringIO()
    handler = logging.StreamHandler(sink)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    logger.propagate = False
    order = Order()

    def logged() -> None:
        logger.warning("%s of %s", 5, order.limit)
        sink.seek(0)

    return compare(
        {
            "a formatted `logging` call": logged,
            "log hit": drained(lambda: with_probe(5, order), live),
        },
        calls=300,
    )


def snapshot_hit() -> dict[str, Measured]:
    with_probe, live = probed(reference_frame, 8, stack_frames=5)
    values = dict(zip(reference_frame.__code__.co_varnames, reference_frame(), strict=True))
    return compare(
        {
            "`deepcopy(locals())`": lambda: copy.deepcopy(values),
            "`repr(locals())`": lambda: repr(values),
            "snapshot hit": drained(with_probe, live),
        },
        calls=100,
    )


def placing() -> dict[str, Measured]:
    """From the order received to armed, and back to the originals, in a module of 200 functions."""
    body = "\n".join(f"    x = x + {n} if x < {n} else x - {n}" for n in range(40))
    text = "\n\n".join(f"def f{n}(x):\n{body}\n    return x" for n in range(200))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "bench_placing.py").write_text(text)
        sys.path.insert(0, folder)
        module = import_module("bench_placing")
        line = module.f100.__code__.co_firstlineno + 20
        holding = Holding(SimpleQueue(), Outbox(10), lambda: None)
        where = Where(module.__file__, line)
        names = iter(range(UNLIMITED))

        def place_and_remove() -> None:
            probe_id = f"p-{next(names)}"
            now = time.monotonic()
            holding.place([Probe(probe_id, Kind.SNAPSHOT, where, condition="x == -1")], now)
            assert holding.statuses()[-1].ever_armed, "not armed"
            holding.remove([probe_id], now)
            holding.statuses()

        return compare(
            {
                "`compile` of the same module": lambda: compile(text, "x", "exec"),
                "place and remove": place_and_remove,
            },
            calls=3,
            rounds=9,
        )


ROWS: dict[str, Callable[[], dict[str, Measured]]] = {
    "condition false, `amount > 1000`": lambda: false_condition("amount > 1000", by_hand),
    "condition false, `order.limit > 1000`": lambda: false_condition(
        "order.limit > 1000", by_hand_attribute
    ),
    "log hit, 2 expressions": log_hit,
    "snapshot of the reference frame": snapshot_hit,
    "place and remove": placing,
}


def main() -> None:
    """Print the rows as JSON: {row: {contestant: [ns, ratio]}}."""
    rows = {name: {k: (m.ns, m.ratio) for k, m in row().items()} for name, row in ROWS.items()}
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
