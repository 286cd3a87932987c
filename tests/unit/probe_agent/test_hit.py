"""What runs on the application's thread: counts, limits, and that nothing of ours escapes."""

from __future__ import annotations

import builtins
import functools
import gc
import signal
import sys
import threading
import time
from _queue import SimpleQueue

import pytest

from probe_agent.capture import CaptureLimits
from probe_agent.errors import ExpressionRefused
from probe_agent.hit import INTAKE_HITS, Entry, LiveProbe
from probe_agent.probe import CaptureExpression, Kind, Probe, Where
from probe_agent.rewrite import Insertion, instrument, variables


def reference(amount, limit):
    return amount > limit


def live_probe(**options) -> LiveProbe:
    options = {"max_hits": 5, "max_hits_per_second": 1000} | options
    probe = Probe("p-aaaaaa", Kind.SNAPSHOT, Where("x.py", 1), **options)
    return LiveProbe(probe, SimpleQueue(), CaptureLimits())


def entry_of(live: LiveProbe) -> Entry:
    return Entry(live, reference.__code__, ("amount", "limit"))


def test_max_hits_is_never_exceeded_by_threads():
    live = live_probe(max_hits=50, max_hits_per_second=100_000)
    entry = entry_of(live)
    threads = [
        threading.Thread(target=lambda: [entry.hit(1, 2) for _ in range(500)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = live.counts()
    assert counts.captured == live.intake.qsize() == 50
    assert counts.dropped_hit_limit == counts.line_hits - 50
    assert counts.line_hits == 4000


def test_hits_beyond_the_rate_are_dropped_and_counted():
    live = live_probe(max_hits=1000, max_hits_per_second=3)
    entry = entry_of(live)
    for _ in range(20):
        entry.hit(1, 2)
    counts = live.counts()
    assert (counts.captured + counts.dropped_rate, counts.line_hits) == (20, 20)
    assert 3 <= counts.captured <= 6


def test_a_full_intake_drops_and_counts():
    live = live_probe(max_hits=1000, max_hits_per_second=10_000)
    for _ in range(INTAKE_HITS):
        live.intake.put(None)
    entry_of(live).hit(1, 2)
    assert (live.counts().captured, live.counts().dropped_outbox) == (0, 1)


def test_the_guard_lets_pass_exactly_what_is_true():
    live = live_probe(condition="amount > limit")
    entry = entry_of(live)
    assert entry.guard_names == ("amount", "limit")
    assert [entry.guard(amount, 10) for amount in (9, 10, 11)] == [False, False, True]
    assert (live.counts().condition_false, live.counts().condition_errors) == (2, 0)


def test_a_condition_reads_globals_of_the_code_that_is_probed():
    live = live_probe(condition="amount > LIMIT_OF_THIS_MODULE")
    entry = entry_of(live)
    assert entry.guard_names == ("amount",)
    assert [entry.guard(6), entry.guard(8)] == [False, True]


LIMIT_OF_THIS_MODULE = 7


def test_a_condition_that_is_neither_true_nor_false_is_an_error():
    live = live_probe(condition="amount")

    class Odd:
        def __bool__(self):
            raise AssertionError("user code ran")

    assert entry_of(live).guard(Odd()) is False
    assert live.counts().condition_errors == 1


def test_a_condition_over_a_sensitive_name_is_refused():
    with pytest.raises(ExpressionRefused):
        live_probe(condition="user.password == 'x'")


def test_a_failure_of_ours_is_swallowed_and_counted(monkeypatch):
    live = live_probe()

    def broken(_: object) -> None:
        raise TypeError("ours")

    broken.__code__ = broken.__code__.replace(co_filename=LiveProbe.__init__.__code__.co_filename)
    live.capture = broken
    entry_of(live).hit(1, 2)
    counts = live.counts()
    assert (counts.captured, counts.dropped_capture_failed, counts.line_hits) == (0, 1, 1)


def test_an_exception_of_the_applications_signal_handler_comes_out():
    live = live_probe(max_hits=1000, max_hits_per_second=10_000_000)
    entry = entry_of(live)
    value = [list(range(50)) for _ in range(20)]
    arrived = sent = 0

    def ring(*_: object) -> None:
        nonlocal sent
        sent += 1
        raise ValueError("from the application")

    before = signal.signal(signal.SIGALRM, ring)
    gc.disable()  # an exception in somebody's callback of the collector would be lost there
    try:
        until = time.monotonic() + 1
        while sent < 40 and time.monotonic() < until:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0007)
                for _ in range(1000):
                    live.captured = 0
                    entry.hit(value, 2)
                    assert live.intake.qsize(), live.counts()
                    live.intake.get_nowait()
            except ValueError:
                arrived += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.enable()
    assert sent > 5
    assert arrived == sent


def test_a_hit_inside_a_hit_is_dropped_and_counted():
    live = live_probe()
    entry = entry_of(live)
    inner = live.capture

    def hit_again(values: object) -> object:
        entry.hit(1, 2)
        return inner(values)

    live.capture = hit_again
    entry.hit(1, 2)
    counts = live.counts()
    assert (counts.captured, counts.dropped_capture_failed) == (1, 1)


def test_a_capture_expression_that_fails_says_so_in_its_place():
    live = live_probe(captures=(CaptureExpression("x", "amount.missing"),))
    entry_of(live).hit(1)
    raw = live.intake.get_nowait()
    assert "missing" in str(raw.values[0])


def test_no_object_of_the_application_is_kept():
    class Thing:
        pass

    live = live_probe(condition="limit > 1")
    entry = entry_of(live)
    thing = Thing()
    thing.size = [1]
    import sys

    before = sys.getrefcount(thing)
    for _ in range(4):
        entry.guard(0)
        entry.hit(thing, thing)
    assert sys.getrefcount(thing) == before


def test_a_frame_that_still_runs_our_code_after_the_end_changes_nothing():
    live = live_probe(condition="amount > limit")
    entry = entry_of(live)
    entry.guard(1, 2)
    entry.hit(3, 2)
    live.end()
    before = live.counts()
    for amount in (1, 3):
        if entry.guard(amount, 2):
            entry.hit(amount, 2)
    assert live.counts() == before
    assert live.intake.qsize() == 1


def test_what_the_application_puts_in_place_of_a_builtin_is_not_run(monkeypatch):
    live = live_probe(condition="amount.size == 3 and limit != [1]")
    entry = entry_of(live)
    thing = Sized()
    called = []

    def fake(name, real, *args, **options):
        called.append(name)
        return real(*args, **options)

    names = ("len", "isinstance", "id", "any", "all", "getattr", "min", "max", "sorted")
    with monkeypatch.context() as patched:
        for name in names:
            patched.setattr(builtins, name, functools.partial(fake, name, getattr(builtins, name)))
        called.clear()
        answers = entry.guard(thing, [1, 2]), entry.guard(thing, [1])
        entry.hit(thing, {"a": [thing]})
        seen = called.copy()
    assert answers == (True, False)
    assert seen == []
    assert (live.counts().captured, live.counts().condition_errors) == (1, 0)


class Sized:
    def __init__(self):
        self.size = 3


def test_a_class_that_is_being_made_is_looked_at_without_an_error():
    live = live_probe(condition="amount.limit == 1")
    entry = entry_of(live)
    seen = []

    class Meta(type):
        def mro(cls):
            seen.append(entry.guard(cls))
            entry.hit(cls, cls)
            return super().mro()

    class Made(metaclass=Meta):
        pass

    assert seen == [False]
    assert (live.counts().condition_errors, live.counts().captured) == (1, 1)


def test_what_cannot_be_read_is_counted_each_time_and_raises_nothing():
    class Computing:
        def __getattribute__(self, name):
            raise AssertionError(name)

    live = live_probe(condition="amount.limit == 1")
    entry = entry_of(live)
    assert [entry.guard(Computing()) for _ in range(130)] == [False] * 130
    assert live.counts().condition_errors == 130


def through_python(n, thing):
    return through_python(n - 1, thing) if n else thing


def through_c(n, thing):
    return next(map(through_c, [n - 1], [thing])) if n else thing


# 3.14 looks at the stack itself where C calls C; the others count calls.
DEEP = 1_000_000 if sys.version_info >= (3, 14) else 200


@pytest.mark.parametrize(
    ("recursing", "limit"),
    [pytest.param(through_python, 200, id="Python"), pytest.param(through_c, DEEP, id="C")],
)
@pytest.mark.parametrize("condition", ["thing.limit == 1", "thing != 0", "n + thing > 1", "n / 0"])
def test_where_the_stack_is_full_nothing_of_ours_comes_out(
    recursing, limit, condition, monkeypatch
):
    ignored = []
    monkeypatch.setattr(sys, "unraisablehook", ignored.append)
    live = live_probe(condition=condition)
    code = recursing.__code__
    entry = Entry(live, code, variables(code))
    insertion = Insertion(
        *("p", code.co_firstlineno + 1, entry.guard, entry.guard_names, entry.hit, entry.hit_names)
    )
    recursing.__code__ = instrument(code, [insertion])
    before = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(limit)
        for n in (*range(100, 220), 100_000):
            try:
                assert recursing(n, Sized) is Sized
            except RecursionError:
                continue
    finally:
        sys.setrecursionlimit(before)
        recursing.__code__ = code
    assert live.counts().condition_errors > 1000
    assert [str(one.exc_value) for one in ignored] == []
