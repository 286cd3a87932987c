"""What a hit costs on the application's thread."""

from __future__ import annotations

import copy
import io
import logging

import program
from probing import drained, probed
from timing import Contestant, Figures, Row, compare

from probe_agent.probe import Kind


class Slotted:
    __slots__ = ("x", "y")

    def __init__(self) -> None:
        self.x, self.y = 1, "two"


def reference_frame():
    """The frame of the target: 10 locals."""
    nested = {"a": {"b": {"c": 1}}, "d": [1, 2, {"e": "f"}]}
    numbers = list(range(100))
    order = program.Order()
    slotted = Slotted()
    long = "x" * 10_000
    name, count, price, flag, nothing = "trade", 3, 1.5, True, None
    return nested, numbers, order, slotted, long, name, count, price, flag, nothing  # probe: here


def log_hit(rounds: int) -> Figures:
    message = "{amount} of {order.limit}"
    function, live = probed(program.plain, kind=Kind.LOG, message=message)
    logger, sink = _logger()
    order = program.Order()

    def logged() -> None:
        logger.warning("%s of %s", 5, order.limit)
        sink.seek(0)

    contestants = {
        "a formatted `logging` call": Contestant(logged),
        "log hit": Contestant(drained(function, live), (5, "NEW", 0, 9, order)),
    }
    return compare(contestants, calls=100, rounds=rounds)


def _logger() -> tuple[logging.Logger, io.StringIO]:
    logger = logging.getLogger("sonde-bench")
    sink = io.StringIO()
    to_sink = logging.StreamHandler(sink)
    to_sink.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(to_sink)
    logger.propagate = False
    return logger, sink


def snapshot_hit(rounds: int) -> Figures:
    """The hit alone: what the function itself takes is in its reference."""
    function, live = probed(reference_frame, stack_frames=5)
    values = dict(zip(reference_frame.__code__.co_varnames, reference_frame(), strict=True))
    contestants = {
        "the function, no probe": Contestant(reference_frame),
        "snapshot hit": Contestant(drained(function, live)),
        "`deepcopy(locals())`": Contestant(copy.deepcopy, (values,)),
        "`repr(locals())`": Contestant(repr, (values,)),
    }
    return compare(contestants, calls=50, rounds=rounds)


ROWS: dict[str, Row] = {
    "log hit, 2 expressions": log_hit,
    "snapshot of the reference frame": snapshot_hit,
}
