"""Frames that began before a probe was placed: served by events on 3.12+, counted on 3.11."""

import asyncio
import dis
import gc
import os
import sys
import threading
import types
from _queue import SimpleQueue

import pytest

from probe_agent.agent.holding import Holding
from probe_agent.capture import CaptureLimits
from probe_agent.deliver import Outbox
from probe_agent.errors import LineNotExecutable
from probe_agent.hit import Entry, LiveProbe
from probe_agent.plain import UNBOUND
from probe_agent.probe import Kind, Probe, Where
from probe_agent.rewrite import Insertion, Rewriter, instrument, variables
from probe_agent.rewrite.flow import flow_of
from probe_agent.rewrite.points import entries
from probe_agent.rewrite.running import RunningFrames
from probe_agent.rewrite.units import decode

WAIT_S = 30
HAS_EVENTS = sys.version_info >= (3, 12)
needs_events = pytest.mark.skipif(not HAS_EVENTS, reason="sys.monitoring is new in 3.12")
TOOL_IDS = (0, 1, 2, 3, 4, 5)

PROGRAM = """
LOW = 2

def numbers(n):
    total = 0
    for i in range(n):
        total += i
        yield total  # probe: yielded
        del total
        total = i  # probe: unbound

def looping(stop, beat):
    rounds = 0
    while not stop.is_set():
        rounds += 1
        beat.set()  # probe: looping
    return rounds

def blocked(gate, begun):
    kept = [1, 2]
    begun.set()
    gate.wait()
    kept.append(3)
    return kept  # probe: blocked

async def waiting(gate):
    before = "here"
    await gate.wait()
    return before  # probe: waiting

async def streaming(n):
    for i in range(n):
        yield i
        i = -i  # probe: streaming

def cells(captured):
    shared = 1
    def inner():
        nonlocal shared
        shared += 1
        yield captured
        yield shared, captured  # probe: free
    def bump():
        nonlocal shared
        shared = 10
    yield inner, bump
    yield shared  # probe: cell

def maker():
    yield
    def inner(x):
        return x  # probe: made later
    yield inner

def two_lines():
    yield
    a = 1  # probe: first
    yield a
    b = 2  # probe: second
    yield b
"""


@pytest.fixture
def program():
    namespace = {"__name__": "program"}
    exec(compile(PROGRAM, "<program>", "exec"), namespace)
    return types.SimpleNamespace(**namespace)


@pytest.fixture
def rewriter():
    rewriter = Rewriter(find_functions)
    yield rewriter
    rewriter.restore_all()
    assert used_tools() == [], "a tool id was kept"


def find_functions(codes):
    wanted = {id(code) for code in codes}
    return [
        f for f in gc.get_objects() if type(f) is types.FunctionType and id(f.__code__) in wanted
    ]


def used_tools():
    return [t for t in TOOL_IDS if HAS_EVENTS and sys.monitoring.get_tool(t) == "sonde"]


def line_of(tag, text=PROGRAM):
    return next(n for n, line in enumerate(text.splitlines(), 1) if f"# probe: {tag}" in line)


class Seen:
    """An insertion that notes what it sees, by either way."""

    def __init__(self, code, tag_or_line, probe_id="a"):
        line = tag_or_line if isinstance(tag_or_line, int) else line_of(tag_or_line)
        self.names = variables(code)
        self.hits = []
        self.insertion = Insertion(probe_id, line, None, (), self.hit, self.names, run=self.run)

    def hit(self, *values):
        self.hits.append(dict(zip(self.names, values, strict=True)))

    def run(self, frame, read):
        self.hits.append({name: read(frame, name) for name in self.names})


def chain_to(function, *names):
    chain = [function.__code__]
    for name in names:
        inner = (c for c in chain[-1].co_consts if type(c) is types.CodeType)
        chain.append(next(c for c in inner if c.co_name == name))
    return tuple(chain)


def place(rewriter, chain, tag, probe_id="a"):
    seen = Seen(chain[-1], tag, probe_id)
    reach = rewriter.place(chain, seen.insertion)
    return seen, reach


def expect(seen, reach, hits):
    """What is expected where events can serve, and where they cannot."""
    if HAS_EVENTS:
        assert (reach.frames_missed, seen.hits) == (0, hits)
    else:
        assert (reach.frames_missed, seen.hits) == (1, [])


def test_a_suspended_generator_is_reached_and_given_up_when_it_ends(program, rewriter):
    running = program.numbers(2)
    next(running)
    seen, reach = place(rewriter, chain_to(program.numbers), "yielded")
    assert bool(used_tools()) is HAS_EVENTS
    assert list(running) == [1]
    expect(seen, reach, [{"n": 2, "i": 1, "total": 1}])
    rewriter.sweep()
    assert bool(used_tools()) is HAS_EVENTS, "the generator object still holds its code"
    del running
    rewriter.sweep()
    assert used_tools() == []


def test_a_variable_without_a_value_says_so(program, rewriter):
    running = program.numbers(1)
    next(running)
    seen, reach = place(rewriter, chain_to(program.numbers), "unbound")
    assert list(running) == []
    expect(seen, reach, [{"n": 1, "i": 0, "total": UNBOUND}])


def test_a_loop_that_goes_on_for_ever_is_reached(program, rewriter):
    stop, beat, results = threading.Event(), threading.Event(), []
    thread = threading.Thread(target=lambda: results.append(program.looping(stop, beat)))
    thread.start()
    try:
        assert beat.wait(WAIT_S)
        seen, reach = place(rewriter, chain_to(program.looping), "looping")
        for _ in range(3):
            beat.clear()
            assert beat.wait(WAIT_S)
    finally:
        stop.set()
        thread.join(WAIT_S)
    assert reach.frames_missed == (0 if HAS_EVENTS else 1)
    assert bool(seen.hits) is HAS_EVENTS
    assert all(hit["rounds"] <= results[0] and hit["stop"] is stop for hit in seen.hits)
    rewriter.sweep()
    assert used_tools() == []


def test_a_call_blocked_in_another_thread_is_reached(program, rewriter):
    gate, begun, results = threading.Event(), threading.Event(), []
    thread = threading.Thread(target=lambda: results.append(program.blocked(gate, begun)))
    thread.start()
    try:
        assert begun.wait(WAIT_S)
        seen, reach = place(rewriter, chain_to(program.blocked), "blocked")
    finally:
        gate.set()
        thread.join(WAIT_S)
    assert results == [[1, 2, 3]]
    expect(seen, reach, [{"gate": gate, "begun": begun, "kept": [1, 2, 3]}])
    rewriter.sweep()
    assert used_tools() == []


def test_a_coroutine_in_await_is_reached(program, rewriter):
    async def main():
        gate = asyncio.Event()
        task = asyncio.create_task(program.waiting(gate))
        await asyncio.sleep(0)
        seen, reach = place(rewriter, chain_to(program.waiting), "waiting")
        gate.set()
        assert await task == "here"
        expect(seen, reach, [{"gate": gate, "before": "here"}])

    asyncio.run(main())
    rewriter.sweep()
    assert used_tools() == []


def test_a_suspended_async_generator_is_reached(program, rewriter):
    async def main():
        stream = program.streaming(2)
        assert await anext(stream) == 0
        seen, reach = place(rewriter, chain_to(program.streaming), "streaming")
        assert [i async for i in stream] == [1]
        expect(seen, reach, [{"n": 2, "i": 0}, {"n": 2, "i": 1}][: 2 if HAS_EVENTS else 0])

    asyncio.run(main())
    rewriter.sweep()
    assert used_tools() == []


@needs_events
def test_cells_and_free_variables_arrive_as_their_values(program, rewriter):
    outer = program.cells("it")
    inner, bump = next(outer)
    running = inner()
    next(running)
    free, _ = place(rewriter, (program.cells.__code__, inner.__code__), "free", "a")
    cell, _ = place(rewriter, chain_to(program.cells), "cell", "b")
    bump()
    assert (next(running), next(outer)) == ((10, "it"), 10)
    assert free.hits == [{"shared": 10, "captured": "it"}]
    assert cell.hits[0]["shared"] == 10
    assert cell.hits[0]["captured"] == "it"
    assert cell.hits[0]["inner"] is inner


@needs_events
def test_a_function_that_an_old_frame_makes_later_is_reached(program, rewriter):
    running = program.maker()
    next(running)
    seen, reach = place(rewriter, chain_to(program.maker, "inner"), "made later")
    made = next(running)
    assert made(5) == 5
    assert (seen.hits, reach.frames_missed) == ([{"x": 5}], 0)
    running.close()
    del running
    rewriter.sweep()
    assert used_tools(), "the function that it has made still runs old code"
    del made
    rewriter.sweep()
    assert used_tools() == []


@needs_events
def test_a_second_probe_reaches_frames_of_every_older_code(program, rewriter):
    chain = chain_to(program.two_lines)
    oldest = program.two_lines()
    next(oldest)
    first, _ = place(rewriter, chain, "first", "a")
    older = program.two_lines()
    next(older)
    second, reach = place(rewriter, chain, "second", "b")
    assert reach.frames_missed == 0
    assert [list(oldest), list(older), list(program.two_lines())] == [[1, 2], [1, 2], [None, 1, 2]]
    assert [hit["a"] for hit in first.hits] == [UNBOUND] * 3
    assert [hit["a"] for hit in second.hits] == [1] * 3


@needs_events
def test_a_line_that_was_not_wanted_is_served_from_when_it_is(program, rewriter):
    running = program.numbers(3)
    next(running)
    place(rewriter, chain_to(program.numbers), "yielded", "a")
    next(running)  # passes the line below too: answered with DISABLE
    seen, _ = place(rewriter, chain_to(program.numbers), "unbound", "b")
    assert len(list(running)) == 1
    assert [hit["i"] for hit in seen.hits] == [1, 2]


@needs_events
def test_one_line_may_be_served_for_several_probes_which_go_one_by_one(program, rewriter):
    running = program.numbers(9)
    next(running)
    chain = chain_to(program.numbers)
    seen = [place(rewriter, chain, "yielded", name)[0] for name in "abc"]
    next(running)
    assert [len(s.hits) for s in seen] == [1, 1, 1]
    rewriter.remove("b")
    next(running)
    assert [len(s.hits) for s in seen] == [2, 1, 2]
    rewriter.remove("a")
    rewriter.remove("c")
    assert used_tools() == []
    next(running)
    assert [len(s.hits) for s in seen] == [2, 1, 2]


@needs_events
def test_the_same_probe_again_does_not_count_twice_in_frames_that_carry_it(program, rewriter):
    chain = chain_to(program.two_lines)
    first, _ = place(rewriter, chain, "second", "a")
    running = program.two_lines()
    next(running)
    rewriter.remove("a")
    second, reach = place(rewriter, chain, "second", "a")
    assert list(running) == [1, 2]
    assert (len(first.hits), len(second.hits), reach.frames_missed) == (1, 0, 0)


@needs_events
def test_without_old_frames_no_tool_id_is_taken(program, rewriter):
    place(rewriter, chain_to(program.two_lines), "first")
    assert used_tools() == []


@needs_events
def test_a_main_program_that_still_runs_does_not_count_as_a_frame_of_its_functions(rewriter):
    text = "def plain(x):\n    return x\nbegun.set()\ngate.wait()\n"
    namespace = {"begun": threading.Event(), "gate": threading.Event()}
    thread = threading.Thread(target=exec, args=(compile(text, "<main>", "exec"), namespace))
    thread.start()
    try:
        assert namespace["begun"].wait(WAIT_S)
        seen, _ = place(rewriter, (namespace["plain"].__code__,), 2)
        assert used_tools() == []
        assert (namespace["plain"](1), len(seen.hits)) == (1, 1)
    finally:
        namespace["gate"].set()
        thread.join(WAIT_S)


@needs_events
def test_without_a_free_tool_id_the_frames_are_counted_as_missed(program, rewriter):
    taken = [t for t in TOOL_IDS if sys.monitoring.get_tool(t) is None]
    for tool in taken:
        sys.monitoring.use_tool_id(tool, "somebody")
    try:
        running = program.numbers(2)
        next(running)
        seen, reach = place(rewriter, chain_to(program.numbers), "yielded")
        assert (list(running), seen.hits, reach.frames_missed) == ([1], [], 1)
    finally:
        for tool in taken:
            sys.monitoring.free_tool_id(tool)


@needs_events
def test_ids_of_debuggers_coverage_and_profilers_are_left_to_them(program, rewriter):
    usual = [t for t in (3, 4, 5) if sys.monitoring.get_tool(t) is None]
    for tool in usual:
        sys.monitoring.use_tool_id(tool, "somebody")
    try:
        running = program.numbers(2)
        next(running)
        _, reach = place(rewriter, chain_to(program.numbers), "yielded")
        assert (used_tools(), reach.frames_missed) == ([], 1)
    finally:
        for tool in usual:
            sys.monitoring.free_tool_id(tool)


@pytest.fixture
def other_tool():
    """A tool as coverage is one: LINE events, of which it wants some again and some once."""
    monitoring, seen = sys.monitoring, []

    def on_line(code, line):
        if (code.co_filename, code.co_name) == ("<program>", "numbers"):
            seen.append(line)
        return monitoring.DISABLE if line % 2 else None

    tool = next(t for t in TOOL_IDS if monitoring.get_tool(t) is None)
    monitoring.use_tool_id(tool, "other")
    monitoring.register_callback(tool, monitoring.events.LINE, on_line)
    yield tool, seen
    monitoring.set_events(tool, 0)
    monitoring.register_callback(tool, monitoring.events.LINE, None)
    monitoring.free_tool_id(tool)


@needs_events
@pytest.mark.parametrize("scope", ["local", "global"])
def test_another_tool_keeps_all_its_events(program, rewriter, other_tool, scope):
    tool, seen = other_tool
    expected, observed = [], []
    for lines, is_probed in ((expected, False), (observed, True)):
        fresh = {}
        exec(compile(PROGRAM, "<program>", "exec"), fresh)
        numbers = fresh["numbers"]
        running = numbers(6)
        next(running)
        seen.clear()
        watch(tool, scope, numbers.__code__, is_on=True)
        next(running)
        if is_probed:
            place(rewriter, (numbers.__code__,), "yielded")
            place(rewriter, (rewriter.original(numbers.__code__),), "unbound", "b")
        next(running)
        rewriter.remove("a")
        next(running)
        rewriter.remove("b")
        next(running)
        watch(tool, scope, numbers.__code__, is_on=False)
        lines += seen
    even = [line for line in expected if line % 2 == 0]
    assert [line for line in observed if line % 2 == 0] == even
    assert len(even) > 4
    # The interpreter asks a tool once more, where it is no longer the only one of a code object.
    odd = sorted(line for line in observed if line % 2)
    assert set(odd) == {line for line in expected if line % 2}
    assert len(odd) <= 2 * len(set(odd))


def watch(tool, scope, code, *, is_on):
    events = sys.monitoring.events.LINE if is_on else 0
    if scope == "global":
        sys.monitoring.set_events(tool, events)
    else:
        sys.monitoring.set_local_events(tool, code, events)


@needs_events
def test_removing_the_probe_gives_the_tool_id_back_and_leaves_no_events(program, rewriter):
    running = program.numbers(5)
    next(running)
    code = program.numbers.__code__
    seen, _ = place(rewriter, (code,), "yielded")
    (tool,) = used_tools()
    assert sys.monitoring.get_local_events(tool, code) == sys.monitoring.events.LINE
    rewriter.remove("a")
    assert used_tools() == []
    sys.monitoring.use_tool_id(tool, "next")
    assert sys.monitoring.get_local_events(tool, code) == 0
    sys.monitoring.free_tool_id(tool)
    assert len(list(running)) == 4
    assert seen.hits == []


@needs_events
def test_an_exception_of_the_applications_signal_handler_passes(program, rewriter):
    class Timeout(Exception):
        pass

    def run(frame, read):
        raise Timeout

    running = program.numbers(5)
    next(running)
    insertion = Insertion("a", line_of("yielded"), None, (), int, (), run=run)
    rewriter.place(chain_to(program.numbers), insertion)
    with pytest.raises(Timeout):
        next(running)


@needs_events
def test_a_full_stack_does_not_reach_the_application(program, rewriter):
    def run(frame, read):
        run(frame, read)

    running = program.numbers(5)
    next(running)
    insertion = Insertion("a", line_of("yielded"), None, (), int, (), run=run)
    rewriter.place(chain_to(program.numbers), insertion)
    assert len(list(running)) == 4


@needs_events
def test_condition_captures_and_stack_are_those_of_the_old_frame(program, rewriter):
    where = Where("<program>", line_of("yielded"))
    probe = Probe("p-aaaaaa", Kind.SNAPSHOT, where, condition="i > LOW")
    live = LiveProbe(probe, SimpleQueue(), CaptureLimits())
    running = program.numbers(6)
    next(running)
    code = program.numbers.__code__
    entry = Entry(live, code, variables(code), where.line)
    rewriter.place(
        (code,),
        Insertion(
            probe.probe_id,
            where.line,
            entry.guard,
            entry.guard_names,
            entry.hit,
            entry.hit_names,
            run=entry.run,
        ),
    )
    assert len(list(running)) == 5
    counts = live.counts()
    assert (counts.condition_true, counts.condition_false, counts.captured) == (3, 2, 3)
    raw = [live.intake.get_nowait() for _ in range(3)]
    names = [reading.name for reading in raw[0].readings]
    assert [dict(zip(names, r.values, strict=True))["i"] for r in raw] == [3, 4, 5]
    assert raw[0].stack[0] == ("<program>", where.line, "numbers")


@needs_events
def test_code_that_carried_events_is_as_specialised_afterwards_as_before(program, rewriter):
    def specialised():
        for _ in range(500):
            list(program.numbers(3))
        code = program.numbers.__code__
        # 3.12 joins some pairs (A__B) when it makes a code object, and never again.
        return [i.opname.split("__")[0] for i in dis.get_instructions(code, adaptive=True)]

    before = specialised()
    running = program.numbers(3)
    next(running)
    place(rewriter, chain_to(program.numbers), "yielded")
    next(running)
    rewriter.remove("a")
    assert specialised() == before


@needs_events
def test_a_forked_child_has_no_events_and_no_tool_id(program, rewriter):
    running = program.numbers(5)
    next(running)
    code = program.numbers.__code__
    place(rewriter, (code,), "yielded")
    (tool,) = used_tools()
    pid = os.fork()
    if pid == 0:
        rewriter.restore_all()
        is_clean = not used_tools() and program.numbers.__code__ is code
        os._exit(0 if is_clean else 3)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert used_tools() == [tool]


@needs_events
def test_the_agent_gives_old_code_up_by_itself(load, line_of):
    text = "def numbers(n):\n    for i in range(n):\n        yield i  # probe: here\n"
    module = load("sonde_test_running", text)
    holding = Holding(SimpleQueue(), Outbox(10), lambda: None)
    running = module.numbers(3)
    next(running)
    probe = Probe("p-aaaaaa", Kind.SNAPSHOT, Where(module.__file__, line_of(module)))
    holding.place([probe], 0.0)
    assert used_tools()
    assert list(running) == [1, 2]
    (status,) = holding.statuses()
    assert (status.frames_missed, status.counts.captured) == (0, 2)
    del running
    holding.tend(10.0)
    assert used_tools() == []
    holding.restore_all()


@needs_events
def test_a_line_that_begins_with_a_long_argument_is_hit():
    body = "\n".join(f"    v{n} = 'constant {n}'" for n in range(300))
    namespace = {}
    exec(compile(f"def long():\n{body}\n    return v299\n", "<long>", "exec"), namespace)
    long = namespace["long"]
    seen, running = Seen(long.__code__, 299), RunningFrames()
    assert running.serve(long.__code__, seen.insertion)
    try:
        assert long() == "constant 299"
    finally:
        running.release_all()
    assert [hit["v296"] for hit in seen.hits] == ["constant 296"]


CONSTRUCTS = """
def statements(n):
    total = call(
        n,
        n + 1,
    )
    for i in range(n):
        if i == 1:
            continue
        total += i
    else:
        total += 1
    while n > 1:
        n -= 1
    try:
        total.missing
    except AttributeError:
        total += 2
    finally:
        total += 3
    with context() as c:
        total += c
    doubled = [
        x * 2
        for x in range(3)
        if x
    ]
    match doubled:
        case [2, y]:
            total += y
        case _:
            total = 0
    for _ in (1, 2): total += 1
    pick = lambda a: (
        a
    )
    assert pick(
        total
    )
    try:
        try:
            raise KeyError(total)
        finally:
            total += 4
    except KeyError as error:
        total += len(error.args)
    return (
        total if n
        else 0
    )

def call(a, b):
    return a + b

class context:
    def __enter__(self):
        return 1
    def __exit__(self, *args):
        return False
"""


@needs_events
def test_each_line_is_hit_as_often_and_with_the_values_that_the_inserted_block_sees():
    namespace = {}
    exec(compile(CONSTRUCTS, "<constructs>", "exec"), namespace)
    statements = namespace["statements"]
    code = statements.__code__
    result = statements(3)
    lines = sorted({line for _, _, line in code.co_lines() if line and line > code.co_firstlineno})
    flow, probed = flow_of(decode(code)), 0
    for line in lines:
        if not any(unit.line == line for unit in flow.units) or not has_entry(flow, line):
            continue
        probed += 1
        by_block, by_event = Seen(code, line), Seen(code, line)
        copy = types.FunctionType(instrument(code, [by_block.insertion]), namespace)
        assert copy(3) == result
        running = RunningFrames()
        assert running.serve(code, by_event.insertion)
        assert statements(3) == result
        running.release_all()
        assert comparable(by_event.hits) == comparable(by_block.hits), line
    assert probed > 25


def has_entry(flow, line):
    try:
        return bool(entries(flow, line))
    except LineNotExecutable:
        return False


def comparable(hits):
    return [{k: repr(v) if k not in {"pick", "c"} else k for k, v in h.items()} for h in hits]
