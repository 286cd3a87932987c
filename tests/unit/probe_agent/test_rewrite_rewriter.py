"""Live functions: probes go in everywhere, and the originals come back by identity."""

import asyncio
import gc
import os
import sys
import textwrap
import threading
import types

import pytest

from probe_agent.errors import LineNotExecutable, Unsupported
from probe_agent.rewrite import Insertion, Rewriter, rebuild_tree
from probe_agent.rewrite.census import frames_of

PROGRAM = """
def plain(x):
    y = x + 1
    return y  # probe: plain

def maker(n):
    base = n
    def inner(x):
        return x + base  # probe: inner
    return inner  # probe: maker

def numbers(n):
    for i in range(n):
        yield i  # probe: numbers

async def task(gate):
    await gate.wait()
    return 1  # probe: task

class Account:
    def check(self):
        return True  # probe: check

def outer():
    def middle():
        def innermost():
            return 1  # probe: innermost
        return innermost
    return middle
"""


ANY_HEAP = 1 << 62


def find_functions(codes):
    wanted = {id(code) for code in codes}
    return [
        f for f in gc.get_objects() if type(f) is types.FunctionType and id(f.__code__) in wanted
    ]


@pytest.fixture
def program():
    namespace = {"__name__": "program"}
    exec(compile(textwrap.dedent(PROGRAM), "<program>", "exec"), namespace)
    return types.SimpleNamespace(**namespace)


@pytest.fixture
def rewriter():
    # However much the other tests have left in this process.
    return Rewriter(find_functions, small_heap_blocks=ANY_HEAP)


def line_of(tag):
    return next(n for n, text in enumerate(PROGRAM.splitlines(), 1) if f"# probe: {tag}" in text)


def probe(probe_id, tag, hits):
    return Insertion(probe_id, line_of(tag), None, (), lambda: hits.append(probe_id), ())


def chain_to(function, *names):
    chain = [function.__code__]
    for name in names:
        chain.append(
            next(c for c in chain[-1].co_consts if type(c) is types.CodeType and c.co_name == name)
        )
    return tuple(chain)


def test_a_removed_probe_leaves_the_original_code_object(program, rewriter):
    original, hits = program.plain.__code__, []
    reach = rewriter.place((original,), probe("a", "plain", hits))
    assert (reach.functions, reach.frames_missed) == (1, 0)
    assert program.plain.__code__ is not original
    assert rewriter.original(program.plain.__code__) is original
    assert (program.plain(1), hits) == (2, ["a"])
    rewriter.remove("a")
    assert program.plain.__code__ is original
    assert (program.plain(1), hits) == (2, ["a"])


def test_every_function_that_shares_the_code_is_reached(program, rewriter):
    copies = [types.FunctionType(program.plain.__code__, {}) for _ in range(3)]
    hits = []
    assert rewriter.place((copies[0].__code__,), probe("a", "plain", hits)).functions == 4
    assert [copy(1) for copy in copies] == [2, 2, 2]
    assert hits == ["a"] * 3
    rewriter.remove("a")
    assert len({id(f.__code__) for f in (*copies, program.plain)}) == 1


def test_equal_code_of_another_file_is_left_alone(program, rewriter):
    twin = {}
    exec(compile(textwrap.dedent(PROGRAM), "<program>", "exec"), twin)
    assert twin["plain"].__code__ == program.plain.__code__
    was, hits = twin["plain"].__code__, []
    rewriter.place((program.plain.__code__,), probe("a", "plain", hits))
    assert twin["plain"].__code__ is was


def test_two_probes_on_one_line_run_in_placing_order_and_go_one_by_one(program, rewriter):
    original, hits = program.plain.__code__, []
    rewriter.place((original,), probe("a", "plain", hits))
    rewriter.place((original,), probe("b", "plain", hits))
    program.plain(1)
    assert hits == ["a", "b"]
    rewriter.remove("a")
    hits.clear()
    program.plain(1)
    assert hits == ["b"]
    rewriter.remove("b")
    assert program.plain.__code__ is original


def test_a_chain_may_name_rewritten_code(program, rewriter):
    original, hits = program.plain.__code__, []
    rewriter.place((original,), probe("a", "plain", hits))
    rewriter.place((program.plain.__code__,), probe("b", "plain", hits))
    program.plain(1)
    assert hits == ["a", "b"]
    rewriter.remove("b")
    rewriter.remove("a")
    assert program.plain.__code__ is original


def test_closures_made_before_and_after_placing_carry_the_probe_and_all_lose_it(program, rewriter):
    maker_code, hits = program.maker.__code__, []
    before = program.maker(1)
    inner_code = before.__code__
    assert (
        rewriter.place(chain_to(program.maker, "inner"), probe("a", "inner", hits)).functions == 1
    )
    after = program.maker(2)
    assert [before(1), after(1), hits] == [2, 3, ["a", "a"]]
    rewriter.remove("a")
    assert program.maker.__code__ is maker_code
    assert before.__code__ is after.__code__ is program.maker(3).__code__ is inner_code
    before(1), after(1)
    assert hits == ["a", "a"]


def test_probes_in_a_function_and_in_one_nested_in_it_do_not_disturb_each_other(program, rewriter):
    hits = []
    codes = chain_to(program.maker, "inner")
    rewriter.place(codes, probe("inner", "inner", hits))
    rewriter.place(codes[:1], probe("maker", "maker", hits))
    program.maker(1)(2)
    assert hits == ["maker", "inner"]
    rewriter.remove("maker")
    program.maker(1)(2)
    assert hits == ["maker", "inner", "inner"]
    rewriter.remove("inner")
    assert program.maker.__code__ is codes[0]
    assert program.maker(1).__code__ is codes[1]


def test_a_code_object_found_by_two_chains_is_kept_the_same_in_both(program, rewriter):
    hits = []
    whole = chain_to(program.outer, "middle", "innermost")
    rewriter.place(whole[1:], probe("a", "innermost", hits))
    rewriter.place(whole, probe("b", "innermost", hits))
    program.outer()()()
    assert hits == ["a", "b"]
    rewriter.remove("a")
    program.outer()()()
    assert hits == ["a", "b", "b"]
    rewriter.remove("b")
    assert program.outer.__code__ is whole[0]
    assert program.outer()()().real == 1
    assert program.outer()().__code__ is whole[2]


def test_methods_are_reached(program, rewriter):
    hits = []
    account, original = program.Account(), program.Account.check.__code__
    bound = account.check
    rewriter.place((original,), probe("a", "check", hits))
    assert (bound(), account.check(), hits) == (True, True, ["a", "a"])
    rewriter.remove("a")
    assert program.Account.check.__code__ is original


def test_a_closure_that_nobody_finds_by_walking_is_found_by_reference(program):
    hidden, hits = [], []

    def sees_modules_only(codes):
        return [f for f in find_functions(codes) if f not in hidden]

    rewriter = Rewriter(sees_modules_only)
    rewriter.place(chain_to(program.maker, "inner"), probe("a", "inner", hits))
    hidden.append(program.maker(1))
    assert rewriter.original(hidden[0].__code__) is not hidden[0].__code__
    rewriter.remove("a")
    assert rewriter.original(hidden[0].__code__) is hidden[0].__code__
    hidden[0](1)
    assert hits == []


def test_a_closure_that_an_old_frame_makes_after_removal_is_found_by_sweeping(program, rewriter):
    source = """
def slow():
    yield
    def inner():
        return 1  # probe: here
    yield inner
"""
    namespace = {}
    exec(source, namespace)
    slow = namespace["slow"]
    chain, hits = chain_to(slow, "inner"), []
    rewriter.place(chain, Insertion("a", 5, None, (), lambda: hits.append(1), ()))
    running = slow()
    next(running)
    rewriter.remove("a")
    inner = next(running)
    assert inner.__code__ is not chain[1]
    rewriter.sweep()
    assert inner.__code__ is chain[1]
    running.close()
    del running
    assert rewriter.sweep() == 0


def test_frames_that_began_before_are_counted_as_missed(program, rewriter):
    hits = []
    suspended, unstarted, done = program.numbers(3), program.numbers(3), program.numbers(0)
    next(suspended)
    assert list(done) == []
    reach = rewriter.place((program.numbers.__code__,), probe("a", "numbers", hits))
    assert (reach.functions, reach.frames_missed) == (1, 2)
    assert list(suspended) == [1, 2]
    assert list(unstarted) == [0, 1, 2]
    assert hits == []
    assert list(program.numbers(1)) == [0]
    assert hits == ["a"]


def test_a_suspended_coroutine_is_counted_as_missed(program, rewriter):
    async def scenario():
        gate = asyncio.Event()
        waiting = asyncio.create_task(program.task(gate))
        await asyncio.sleep(0)
        reach = rewriter.place((program.task.__code__,), probe("a", "task", []))
        gate.set()
        return reach.frames_missed, await waiting

    assert asyncio.run(scenario()) == (1, 1)


def test_a_frame_running_in_another_thread_is_counted_as_missed(rewriter):
    namespace = {}
    exec("def wait(started, go):\n    started.set()\n    go.wait(10)\n    return 1\n", namespace)
    started, go = threading.Event(), threading.Event()
    thread = threading.Thread(target=namespace["wait"], args=(started, go))
    thread.start()
    try:
        assert started.wait(10)
        insertion = Insertion("a", 4, None, (), int, ())
        assert rewriter.place((namespace["wait"].__code__,), insertion).frames_missed == 1
    finally:
        go.set()
        thread.join(10)


def test_in_a_large_heap_references_are_counted_instead(program):
    rewriter = Rewriter(find_functions, small_heap_blocks=0)
    suspended = [program.numbers(3) for _ in range(4)]
    for generator in suspended[:2]:
        next(generator)
    missed = rewriter.place((program.numbers.__code__,), probe("a", "numbers", [])).frames_missed
    assert 4 <= missed <= 7  # an upper bound


def test_the_census_counts_nothing_of_its_own(program):
    codes = [program.plain.__code__, program.numbers.__code__]
    assert frames_of(codes, 0, ANY_HEAP) == 0


def test_nothing_changes_if_a_line_has_no_code(program, rewriter):
    original, hits = program.plain.__code__, []
    rewriter.place((original,), probe("a", "plain", hits))
    armed = program.plain.__code__
    with pytest.raises(LineNotExecutable):
        rewriter.place((original,), Insertion("b", 1, None, (), int, ()))
    assert program.plain.__code__ is armed
    rewriter.remove("b")
    rewriter.remove("a")
    assert program.plain.__code__ is original


def test_nothing_changes_if_one_function_cannot_be_set(program):
    original = program.plain.__code__
    other = types.FunctionType(original, {})

    class Stubborn:
        @property
        def __code__(self):
            return original

        @__code__.setter
        def __code__(self, code):
            raise RuntimeError("not this one")

    found = [program.plain, Stubborn(), other]
    rewriter = Rewriter(lambda codes: found)
    with pytest.raises(RuntimeError, match="not this one"):
        rewriter.place((original,), probe("a", "plain", []))
    assert program.plain.__code__ is other.__code__ is original
    del found[1]
    rewriter.place((original,), probe("a", "plain", []))
    assert program.plain.__code__ is other.__code__ is not original
    rewriter.remove("a")
    assert program.plain.__code__ is other.__code__ is original


def test_a_function_that_somebody_else_gave_other_code_is_left_alone(program, rewriter):
    original, hits = program.plain.__code__, []
    rewriter.place((original,), probe("a", "plain", hits))
    program.plain.__code__ = foreign = original.replace(co_name="patched")
    rewriter.remove("a")
    assert program.plain.__code__ is foreign


def test_a_chain_that_is_not_nested_is_refused(program, rewriter):
    chain = (program.plain.__code__, program.maker.__code__)
    with pytest.raises(Unsupported):
        rewriter.place(chain, probe("a", "maker", []))


def test_restore_all_puts_back_everything(program, rewriter):
    functions = [program.plain, program.maker, program.numbers]
    originals, hits = [f.__code__ for f in functions], []
    rewriter.place((originals[0],), probe("a", "plain", hits))
    rewriter.place((originals[2],), probe("c", "numbers", hits))
    rewriter.place(chain_to(program.maker, "inner"), probe("b", "inner", hits))
    closure = program.maker(1)
    rewriter.restore_all()
    assert all(f.__code__ is code for f, code in zip(functions, originals, strict=True))
    assert rewriter.original(closure.__code__) is closure.__code__
    closure(1), program.plain(1)
    assert hits == []
    rewriter.restore_all()
    rewriter.place((originals[0],), probe("a", "plain", hits))
    program.plain(1)
    assert hits == ["a"]


def test_restore_all_works_from_the_middle_of_a_change(program):
    """As in a child that was forked while the background thread was swapping functions."""
    original = program.plain.__code__
    copy = types.FunctionType(original, {})
    pids = []

    class Forks:
        """Stands among the functions; touching its code is the moment of the fork."""

        @property
        def __code__(self):
            pids.append(os.fork())
            if pids[-1] == 0:
                rewriter.restore_all()
                is_clean = program.plain.__code__ is original and copy.__code__ is original
                os._exit(0 if is_clean else 3)
            return original.replace()

    found = [program.plain, Forks(), copy]
    rewriter = Rewriter(lambda codes: found if not pids else [program.plain, copy])
    rewriter.place((original,), probe("a", "plain", []))
    _, status = os.waitpid(pids[0], 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert program.plain.__code__ is copy.__code__ is not original
    rewriter.remove("a")
    assert program.plain.__code__ is copy.__code__ is original


def test_code_rewritten_before_its_first_execution_is_adopted(rewriter):
    root = compile(textwrap.dedent(PROGRAM), "<program>", "exec")
    chains = {
        name: tuple(walk(root, *path))
        for name, path in {
            "plain": ("plain",),
            "inner": ("maker", "inner"),
            "check": ("Account", "check"),
        }.items()
    }
    hits = []
    new_root, record = rebuild_tree(
        root, [(chain, probe(name, name, hits)) for name, chain in chains.items()]
    )
    assert new_root is not root
    namespace = {"__name__": "program"}
    exec(new_root, namespace)
    namespace["plain"](1), namespace["maker"](1)(1), namespace["Account"]().check()
    assert hits == ["plain", "inner", "check"]
    rewriter.adopt(record)
    plain = chains["plain"][-1]
    assert rewriter.original(namespace["plain"].__code__) is plain
    rewriter.place((plain,), probe("late", "plain", hits))
    hits.clear()
    namespace["plain"](1)
    assert hits == ["plain", "late"]
    for name in (*chains, "late"):
        rewriter.remove(name)
    assert namespace["plain"].__code__ is plain
    assert namespace["maker"].__code__ is chains["inner"][1]
    assert namespace["maker"](1).__code__ is chains["inner"][2]
    assert namespace["Account"].check.__code__ is chains["check"][-1]


def walk(code, *names):
    yield code
    for name in names:
        code = next(c for c in code.co_consts if type(c) is types.CodeType and c.co_name == name)
        yield code


def test_rebuilding_refuses_as_a_whole_and_without_placements_changes_nothing():
    root = compile(textwrap.dedent(PROGRAM), "<program>", "exec")
    same, record = rebuild_tree(root, [])
    assert (same, record.pairs) == (root, ())
    chain = tuple(walk(root, "plain"))
    with pytest.raises(LineNotExecutable):
        rebuild_tree(root, [(chain, Insertion("a", 1, None, (), int, ()))])
    with pytest.raises(Unsupported):
        rebuild_tree(root, [(chain[1:], probe("a", "plain", []))])


def test_a_module_body_can_carry_a_probe_too():
    root = compile("x = 1\ny = x + 1\n", "<program>", "exec")
    seen = []

    def hit():
        seen.append(sys._getframe(1).f_globals["x"])

    new_root, _ = rebuild_tree(root, [((root,), Insertion("a", 2, None, (), hit, ()))])
    exec(new_root, {})
    assert seen == [1]


@pytest.fixture
def quick_switching():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("quick_switching")
def test_placing_and_removing_under_four_calling_threads_changes_no_result(program):
    stop, wrong, calls = threading.Event(), [], []
    rewriter = Rewriter(lambda codes: [program.plain, program.maker, program.numbers])

    def call():
        count = 0
        while not stop.is_set():
            count += 1
            results = (program.plain(1), program.maker(2)(3), list(program.numbers(2)))
            if results != (2, 5, [0, 1]):
                wrong.append(results)
        calls.append(count)

    originals = [f.__code__ for f in (program.plain, program.maker, program.numbers)]
    hits = []
    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(6):
            rewriter.place((originals[0],), probe("a", "plain", hits))
            rewriter.place(chain_to(program.maker, "inner"), probe("b", "inner", hits))
            rewriter.place((originals[2],), probe("c", "numbers", hits))
            for name in "abc":
                rewriter.remove(name)
    finally:
        stop.set()
        for thread in threads:
            thread.join(10)
    rewriter.sweep()
    assert wrong == []
    assert hits
    assert min(calls) > 0
    assert [f.__code__ for f in (program.plain, program.maker, program.numbers)] == originals
    assert program.plain.__code__ is originals[0]


def test_nothing_of_a_removed_probe_is_kept_alive(program, rewriter):
    import weakref

    class Hit:
        def __call__(self, *values):
            pass

    hit = Hit()
    gone = weakref.ref(hit)
    rewriter.place((program.plain.__code__,), Insertion("a", line_of("plain"), None, (), hit, ()))
    program.plain(1)
    rewriter.remove("a")
    del hit
    gc.collect()
    assert gone() is None


def test_holders_of_stale_code_are_looked_for_again_only_when_their_number_changes():
    looks = []

    def look(codes):
        looks.append(len(codes))
        return find_functions(codes)

    rewriter = Rewriter(look)
    namespace = {}
    exec("def slow():\n    yield 1\n    yield 2\n", namespace)
    slow = namespace["slow"]
    rewriter.place((slow.__code__,), Insertion("a", 2, None, (), lambda: None, ()))
    first, second = slow(), slow()
    next(first), next(second)
    rewriter.remove("a")
    before = len(looks)
    assert [rewriter.sweep() for _ in range(5)] == [1] * 5
    assert len(looks) == before
    second.close()
    del second
    assert rewriter.sweep() == 1
    assert len(looks) == before + 1
    first.close()
    del first
    assert rewriter.sweep() == 0
