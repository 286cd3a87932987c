"""Whatever else looks at the program sees what it would see without us."""

import bdb
import cProfile
import dis
import faulthandler
import inspect
import linecache
import os
import pstats
import subprocess
import sys
import tempfile
import textwrap
import time
import traceback
from _queue import SimpleQueue

import cloudpickle
import pytest

from probe_agent.agent.holding import Holding
from probe_agent.deliver import Outbox
from probe_agent.probe import Kind, Probe, State, Where

SHOP = """
    import traceback

    def price(n, rates=(1, 2)):
        total = 0
        for rate in rates:
            total += n * rate
        if total > 10:  # probe: here
            total -= 1
        return total

    def refuse(n):
        text = str(n)
        raise ValueError(text.upper()[0] + undefined_name)  # probe: refuse

    def generate(n):
        got = None
        for i in range(n):
            got = yield i  # probe: yield
"""
WITH_MONITORING = sys.version_info >= (3, 12)
CONDITIONS = [
    pytest.param("n == 'none such'", id="false"),
    pytest.param("n != 'none such'", id="true"),
    pytest.param(None, id="no condition"),
]


@pytest.fixture
def shop(load):
    return load(f"shop_{time.monotonic_ns()}", textwrap.dedent(SHOP))


@pytest.fixture
def holding():
    held = Holding(SimpleQueue(), Outbox(1000), lambda: None)
    yield held
    held.restore_all()


@pytest.fixture
def place(holding, shop, line_of):
    """Place a probe at a tagged line of the shop."""

    def place(condition=None, tag="probe: here", **options):
        where = Where(shop.__file__, line_of(shop, tag))
        probe_id = f"p-{len(holding.statuses())}-{tag[7:]}"
        options = {"max_hits": 1000, "max_hits_per_second": 1000, "ttl_ms": 60_000} | options
        now = time.monotonic()
        holding.place([Probe(probe_id, Kind.SNAPSHOT, where, condition=condition, **options)], now)
        (status,) = (s for s in holding.statuses() if s.probe_id == probe_id)
        assert status.state is State.ARMED, status
        return probe_id

    return place


def seen_by(watch, shop, place, condition):
    """Watch the shop before and after a probe is placed. Returns: both views."""
    before = watch(shop)
    place(condition)
    place(condition, "probe: yield")
    return before, watch(shop)


def work(shop):
    return [shop.price(1), shop.price(9), list(shop.generate(3))]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_tracer_sees_the_same_events_of_the_application(shop, place, condition):
    def watch(shop):
        events = []

        def tracer(frame, event, arg):
            if frame.f_code.co_filename == shop.__file__:
                events.append((frame.f_code.co_name, event, frame.f_lineno))
            return tracer

        old = sys.gettrace()
        sys.settrace(tracer)
        try:
            work(shop)
        finally:
            sys.settrace(old)
        return events

    before, after = seen_by(watch, shop, place, condition)
    assert before == after


def test_a_profiler_sees_no_call_of_ours_while_a_quick_condition_is_false(shop, place):
    def watch(shop):
        events = []
        old = sys.getprofile()
        sys.setprofile(lambda frame, event, arg: events.append((frame.f_code.co_name, event)))
        try:
            work(shop)
        finally:
            sys.setprofile(old)
        return [event for event in events if event != ("watch", "c_call")]

    before = watch(shop)
    place("n == -1")
    place("i == -1", "probe: yield")
    for _ in range(3):
        work(shop)  # the first ones are sampled, by a call
    assert watch(shop) == before


def test_cprofile_counts_the_applications_calls_as_before(shop, place):
    def watch(shop):
        profile = cProfile.Profile()
        profile.runcall(work, shop)
        stats = pstats.Stats(profile).stats
        return {key[2]: row[:2] for key, row in stats.items() if key[0] == shop.__file__}

    before, after = seen_by(watch, shop, place, None)
    assert before == after
    assert before["price"] == (2, 2)


@pytest.mark.skipif(not WITH_MONITORING, reason="sys.monitoring came with 3.12")
@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_monitor_of_all_lines_sees_the_same_lines(shop, place, condition):
    monitoring = sys.monitoring

    def watch(shop):
        lines = []

        def line(code, number):
            if code.co_filename == shop.__file__:
                lines.append((code.co_name, number))

        monitoring.use_tool_id(2, "test")
        monitoring.register_callback(2, monitoring.events.LINE, line)
        monitoring.set_events(2, monitoring.events.LINE)
        try:
            work(shop)
        finally:
            monitoring.free_tool_id(2)
        return lines

    before, after = seen_by(watch, shop, place, condition)
    assert before == after


CORES = [pytest.param("ctrace", id="C tracer"), pytest.param("pytrace", id="Python tracer")]
if WITH_MONITORING:
    CORES.append(pytest.param("sysmon", id="sys.monitoring"))


@pytest.mark.parametrize("core", CORES)
def test_coverage_measures_the_same_with_probes(shop, holding, line_of, core):
    """In a process of its own: another coverage may be measuring this one."""
    script = f"""
        import coverage, sys, time
        from _queue import SimpleQueue
        from probe_agent.agent.holding import Holding
        from probe_agent.deliver import Outbox
        from probe_agent.probe import Kind, Probe, Where
        sys.path.insert(0, {os.path.dirname(shop.__file__)!r})
        import {shop.__name__} as shop
        holding = Holding(SimpleQueue(), Outbox(10), lambda: None)

        def measured():
            measure = coverage.Coverage(data_file=None, branch={core != "sysmon"}, config_file=False)
            measure.start()
            shop.price(9), list(shop.generate(3))
            measure.stop()
            found = measure.get_data()
            assert found.lines(shop.__file__)
            return sorted(found.lines(shop.__file__)), sorted(found.arcs(shop.__file__) or ())

        before = measured()
        for n, line in enumerate({[line_of(shop), line_of(shop, "probe: yield")]}):
            holding.place([Probe(str(n), Kind.SNAPSHOT, Where(shop.__file__, line), max_hits=99, max_hits_per_second=99)], 1.0)
        assert measured() == before, (measured(), before)
        assert holding.statuses()[0].counts.line_hits, "no hit"
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**os.environ, "COVERAGE_CORE": core},  # noqa: TID251
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_debugger_stops_where_it_is_told_and_can_jump(shop, place, line_of, condition):
    class Debugger(bdb.Bdb):
        def __init__(self):
            super().__init__()
            self.stops = []

        def user_line(self, frame):
            self.stops.append((frame.f_lineno, dict(frame.f_locals)))
            if frame.f_lineno == line_of(shop):
                frame.f_lineno += 2  # `jump`: over the branch
            self.set_continue() if len(self.stops) > 3 else self.set_step()

    def watch(shop):
        debugger = Debugger()
        debugger.set_break(shop.__file__, line_of(shop))
        result = debugger.runcall(shop.price, 9)
        debugger.clear_all_breaks()
        return debugger.stops[-1:], result

    before, after = seen_by(watch, shop, place, condition)
    assert before == after
    linecache.checkcache()


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_traceback_has_the_same_text_and_columns(shop, place, condition):
    def watch(shop):
        with pytest.raises(NameError) as raised:
            shop.refuse(5)
        return "".join(traceback.format_exception(raised.value))

    before = watch(shop)
    place(condition, "probe: refuse")
    assert watch(shop) == before
    assert "^^^" in before


def test_faulthandler_writes_the_same_lines(shop, place):
    def dumped(shop):
        with tempfile.TemporaryFile() as file:

            def rates():
                faulthandler.dump_traceback(file)
                yield 1

            shop.price(9, rates())
            file.seek(0)
            return [line for line in file if b" in price" in line]

    before = dumped(shop)
    place("n == 9")
    assert dumped(shop) == before
    assert len(before) == 1


def test_inspect_and_dis_read_a_probed_function(shop, place):
    def watch(shop):
        code = shop.price.__code__
        names = inspect.getclosurevars(shop.price)
        return (
            inspect.getsource(shop.price),
            str(inspect.signature(shop.price)),
            # 3.14 lists attributes among the unbound names, ours too.
            names._replace(unbound=names.unbound - {"None"}),
            (code.co_varnames, code.co_firstlineno),
            {line for _, _, line in code.co_lines()} - {None},
        )

    before, after = seen_by(watch, shop, place, "n == 1")
    assert before == after
    code = shop.price.__code__
    with open(os.devnull, "w") as nowhere:
        dis.dis(shop.price, file=nowhere)
        dis.dis(shop.price, file=nowhere, adaptive=True)
    assert len(list(code.co_positions())) == len(code.co_code) // 2


def test_an_assertion_that_pytest_rewrote_says_the_same(holding, line_of):
    module = sys.modules[__name__]

    def watch():
        with pytest.raises(AssertionError) as raised:
            rewritten_by_pytest([1, 2])
        return str(raised.value)

    before = watch()
    where = Where(__file__, line_of(module, "probe: assertion"))
    options = {"max_hits": 5, "max_hits_per_second": 5}
    holding.place([Probe("p", Kind.SNAPSHOT, where, **options)], 1.0)
    assert watch() == before
    assert "[1, 2]" in before
    (status,) = holding.statuses()
    assert status.counts.captured == 1


def rewritten_by_pytest(values):
    assert values == [1, 3]  # probe: assertion


SHIPPED = """
    import pickle, sys

    class Blocked:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] == "probe_agent":
                raise AssertionError(name + " is asked for")

    sys.meta_path.insert(0, Blocked())
    price, generate, inner = pickle.loads(sys.stdin.buffer.read())
    assert [price(n) for n in (1, 9, "x")] == [3, 26, "xxx"] or print(price(9))
    assert list(generate(3)) == [0, 1, 2]
    assert [inner(5, gone) for gone in (False, True)] == [[0, 1], "gone"]
"""
TO_SHIP = """
    def price(n, rates=(1, 2)):
        total = n * sum(rates)
        if n == 9:  # probe: here
            total -= 1
        return total

    def generate(n):
        got = None
        for i in range(n):
            got = yield i  # probe: yield

    def inner(n, gone):
        found = [(lambda: n)() for n in range(2)]
        if gone:
            del n
        answer = "gone" if gone else found  # probe: inner
        return answer
"""


@pytest.mark.parametrize("condition", ["n == -1", "n != -1", "n == UNKNOWN", None])
def test_a_function_that_cloudpickle_ships_carries_no_probe_and_still_works(
    load, holding, line_of, condition
):
    text = textwrap.dedent(TO_SHIP)
    module = load(f"to_ship_{time.monotonic_ns()}", text)
    for tag in ("here", "yield", "inner"):
        where = Where(module.__file__, line_of(module, f"probe: {tag}"))
        options = {"condition": condition, "max_hits": 9, "max_hits_per_second": 9}
        holding.place([Probe(tag, Kind.SNAPSHOT, where, **options)], 1.0)
    assert {s.state for s in holding.statuses()} == {State.ARMED}
    cloudpickle.register_pickle_by_value(module)
    try:
        shipped = cloudpickle.dumps((module.price, module.generate, module.inner))
    finally:
        cloudpickle.unregister_pickle_by_value(module)
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SHIPPED)],
        input=shipped,
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr.decode()
