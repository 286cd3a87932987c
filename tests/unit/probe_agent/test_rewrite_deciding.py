"""The first rung of the ladder: conditions that the inserted code decides by itself."""

import dis
import gc
import math
import pickle
import sys
import textwrap
import threading
from _queue import SimpleQueue

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe_agent.capture import CaptureLimits
from probe_agent.carrier import CARRIED, Carrier
from probe_agent.expression import check, compile_condition, quick_test
from probe_agent.hit import Entry, LiveProbe
from probe_agent.plain import UNBOUND
from probe_agent.probe import Kind, Probe, Where
from probe_agent.quick import Quick, Tally
from probe_agent.reading import EvaluationError
from probe_agent.rewrite import Insertion, instrument, variables

TRAPPED = []


class Trap:
    """Reports whatever is done to it."""

    def trapped(self, *args):
        TRAPPED.append(args)
        return True

    __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = __bool__ = __len__ = trapped
    __contains__ = __iter__ = __getattr__ = trapped
    __hash__ = None

    @property
    def __class__(self):
        TRAPPED.append("__class__")
        return int


class TrappedInt(int):
    __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = __bool__ = Trap.trapped
    __hash__ = int.__hash__


class TrappedStr(str):
    __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = Trap.trapped
    __hash__ = str.__hash__


ATOMS = [
    *(0, 1, -1, 1000, 1001, 2**70, True, False, None, 0.0, 1.5, math.inf, math.nan),
    *("", "a", "PAID", b"a", (), (1,), [1], {}, {"a": 1}, 1j),
]
ODD = [Trap(), TrappedInt(5), TrappedStr("a"), object(), int, UNBOUND]
SIDES = ["a", "b"]
CONSTANTS = ["0", "1", "-1", "1000", "1.5", "'a'", "'PAID'", "b'a'", "None", "True"]
MEMBERS = ["(0, 1, 2.5)", "('a', 'PAID')", "[b'a']", "('a', 1)", "()"]


@st.composite
def conditions(draw, level=2):
    if level and draw(st.booleans()):
        parts = [draw(conditions(level - 1)) for _ in range(draw(st.integers(2, 3)))]
        joined = f" {draw(st.sampled_from(['and', 'or']))} ".join(f"({part})" for part in parts)
        return f"not ({joined})" if draw(st.booleans()) else joined
    shape = draw(st.sampled_from(["flag", "is", "in", "compare", "chain"]))
    name, other = draw(st.sampled_from(SIDES)), draw(st.sampled_from(SIDES + CONSTANTS))
    symbol = draw(st.sampled_from(["==", "!=", "<", "<=", ">", ">="]))
    match shape:
        case "flag":
            return name
        case "is":
            word = draw(st.sampled_from(["is", "is not"]))
            return f"{name} {word} {draw(st.sampled_from(['None', 'True', 'False']))}"
        case "in":
            word = draw(st.sampled_from(["in", "not in"]))
            return f"{name} {word} {draw(st.sampled_from(MEMBERS))}"
        case "chain":
            return f"0 < {name} {symbol} 1000"
        case _:
            sides = [name, other] if draw(st.booleans()) else [other, name]
            return f" {symbol} ".join(sides)


class Decided:
    """A function with a quick test on its one line, and what became of each call."""

    def __init__(self, test, names=("a", "b"), source="def f(a, b):\n    return a"):
        self.asked, self.hits, self.answer = [], [], False
        self.tally = Tally()
        self.tally.go_on()
        namespace = {}
        exec(compile(textwrap.dedent(source), "decided", "exec"), namespace)
        self.function = namespace["f"]
        tags = ("return a", "# probe")
        line = next(
            n for n, text in enumerate(source.splitlines(), 1) if any(tag in text for tag in tags)
        )
        insertion = Insertion(
            *("p", line, self.guard, names, self.hit, names), Quick(test, self.tally)
        )
        self.function.__code__ = instrument(self.function.__code__, [insertion])

    def guard(self, *values):
        self.asked.append(values)
        return self.answer

    def hit(self, *values):
        self.hits.append(values)

    def call(self, *values):
        """Returns: True or False if the inserted code decided, "asked" if the guard had to."""
        asked, hits, count = len(self.asked), len(self.hits), self.tally.count
        self.function(*values)
        if len(self.asked) > asked:
            assert (len(self.hits), self.tally.count) == (hits, count)
            return "asked"
        was_hit = len(self.hits) > hits
        assert self.tally.count == count + (not was_hit)
        return was_hit


@settings(max_examples=150, deadline=None)
@given(conditions(), st.data())
def test_what_the_inserted_code_decides_is_what_the_guard_would_say(condition, data):
    test = quick_test(check(condition))
    if test is None:
        return
    evaluate = compile_condition(check(f"(a, b) is None or ({condition})"))
    decided = Decided(test)
    for _ in range(3):
        values = [data.draw(st.sampled_from(ATOMS)) for _ in SIDES]
        try:
            wanted = evaluate(*values)
        except EvaluationError:
            wanted = "asked"
        assert decided.call(*values) in (wanted, "asked")


@settings(max_examples=60, deadline=None)
@given(conditions(), st.integers(0, len(ODD) - 1), st.integers(0, len(ODD) - 1))
def test_no_code_of_the_application_runs_in_a_quick_test(condition, a, b):
    test = quick_test(check(condition))
    if test is None:
        return
    decided = Decided(test)
    TRAPPED.clear()  # hypothesis looks at what it draws
    decided.function(ODD[a], ODD[b])
    assert not TRAPPED


@pytest.mark.parametrize(
    ("condition", "value", "expected"),
    [
        pytest.param("a > 1000", 1001, True, id="an int against an int"),
        pytest.param("a > 1000", 1000.5, True, id="a float against an int"),
        pytest.param("1000 < a", 999, False, id="the constant on the left"),
        pytest.param("0 < a < 10", 10, False, id="a chain"),
        pytest.param("a == 'PAID'", "PAID", True, id="a text"),
        pytest.param("a != 'PAID'", "x" * 100_000, True, id="a long text"),
        pytest.param("a in ('NEW', 'PAID')", "PAID", True, id="one of several"),
        pytest.param("a not in (1, 2.5)", 2.5, False, id="none of several"),
        pytest.param("a is None", None, True, id="None"),
        pytest.param("a is not None", 0, True, id="not None"),
        pytest.param("a", True, True, id="a flag"),
        pytest.param("not a", None, True, id="None as a flag"),
        pytest.param("a", 5, "asked", id="a number as a flag"),
        pytest.param("a > 1000", "5", "asked", id="a text against a number"),
        pytest.param("a > 1000", True, "asked", id="a bool against a number"),
        pytest.param("a == 'PAID'", TrappedStr("PAID"), "asked", id="a subclass of str"),
        pytest.param("a > 1000 or a < 0", "5", "asked", id="a type that one part cannot take"),
        pytest.param("a is None or a > 1000", None, True, id="a part that settles it first"),
    ],
)
def test_a_quick_test_decides_what_it_can_and_asks_otherwise(condition, value, expected):
    decided = Decided(quick_test(check(condition)), ("a",))
    assert [decided.call(value, None) for _ in range(3)] == [expected] * 3


@pytest.mark.parametrize(
    "condition",
    [
        "a.b > 1",
        "a['x'] == 1",
        "a + 1 > 2",
        "a == None",
        "a == [1]",
        "a in b",
        "len > a.b",
        "a == 1j",
        " or ".join(f"a == {n}" for n in range(9)),
    ],
)
def test_what_needs_more_than_comparing_is_no_quick_test(condition):
    assert quick_test(check(condition)) is None


def test_where_the_guard_is_asked_its_answer_counts():
    decided = Decided(quick_test(check("a > 1000")), ("a",))
    decided.answer = True
    decided.function("5", None)
    decided.answer = 1
    decided.function("5", None)
    assert (decided.asked, decided.hits) == ([("5",), ("5",)], [("5",)])


def test_a_tally_that_asks_has_the_guard_decide_what_is_false():
    decided = Decided(quick_test(check("a > 1000")), ("a",))
    decided.tally.ask()
    decided.function(1, None)
    assert decided.asked == [(1,)]
    decided.function(1001, None)
    assert (decided.hits, decided.tally.count) == ([(1001,)], 0)
    decided.tally.go_on()
    assert [decided.call(1, None) for _ in range(3)] == [False] * 3


DELETED = """
def f(a, b):
    {cell}
    if b:
        del a
    return b  # probe: here
"""


@pytest.mark.parametrize(
    "condition", ["a > 1000", "a is None", "not a", "a is not None and a > 1", "a == 'x' or a"]
)
@pytest.mark.parametrize(
    "cell", [pytest.param("0", id="local"), pytest.param("lambda: a", id="cell")]
)
def test_a_variable_without_a_value_is_for_the_guard(cell, condition):
    decided = Decided(quick_test(check(condition)), ("a",), DELETED.format(cell=cell).lstrip())
    decided.function(True, False)
    decided.asked.clear()
    decided.function(5, True)
    assert decided.asked == [(UNBOUND,)]


def test_a_cell_and_a_free_variable_are_compared_too():
    source = """
    def f(a, b):
        def g():
            return a
        return g()
    """
    source = textwrap.dedent(source).strip()
    decided = Decided(quick_test(check("a > 1000")), ("a",), source)
    assert isinstance(decided.function(5, None), int)
    namespace = {}
    exec(compile(source, "free", "exec"), namespace)
    outer = namespace["f"].__code__
    (inner,) = (c for c in outer.co_consts if hasattr(c, "co_code"))
    tally, hits = Tally(), []
    tally.go_on()
    insertion = Insertion(
        *("p", 3, lambda a: False, ("a",), hits.append, ("a",)),
        Quick(quick_test(check("a > 1000")), tally),
    )
    probed = instrument(inner, [insertion])
    namespace["f"].__code__ = outer.replace(
        co_consts=tuple(probed if c is inner else c for c in outer.co_consts)
    )
    assert [namespace["f"](5, 0), namespace["f"](5000, 0)] == [5, 5000]
    assert (tally.count, hits) == (1, [5000])


def test_quick_tests_of_several_probes_on_one_line_each_count_their_own():
    tallies = [Tally(), Tally()]
    hits = []
    conditions_of = ["a > 10", "a > 20"]
    for tally in tallies:
        tally.go_on()

    def f(a):
        return a

    insertions = [
        Insertion(
            f"p{n}",
            f.__code__.co_firstlineno + 1,
            lambda a: False,
            ("a",),
            lambda a, n=n: hits.append((n, a)),
            ("a",),
            Quick(quick_test(check(conditions_of[n])), tallies[n]),
        )
        for n in range(2)
    ]
    f.__code__ = instrument(f.__code__, insertions)
    assert [f(value) for value in (5, 15, 25)] == [5, 15, 25]
    assert [tally.count for tally in tallies] == [1, 2]
    assert hits == [(0, 15), (0, 25), (1, 25)]


def test_every_false_evaluation_of_eight_threads_is_counted_once():
    live = live_probe("a > 1000")
    function = probed(live)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [
            threading.Thread(target=lambda: [function(1) for _ in range(3000)]) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            live.refresh(live.sampled_ns + 2_000_000_000)
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    counts = live.counts()
    assert (counts.condition_false, counts.line_hits, counts.captured) == (24_000, 24_000, 0)


def test_samples_stay_fresh_though_the_inserted_code_decides():
    live = live_probe("a > 1000")
    function = probed(live)
    for value in range(10):
        function(value)
    assert live.samples == ((0,), (1,), (2,))
    assert live.tallies[0].count == 7
    live.refresh(live.sampled_ns + 100)  # too early
    function(50)
    assert live.samples[-1] == (2,)
    live.sampled_ns -= 2_000_000_000
    live.refresh(live.sampled_ns + 2_000_000_000)
    function(60)
    function(61)
    assert live.samples == ((1,), (2,), (60,))
    assert live.counts().condition_false == 13


def test_after_the_end_the_counts_stand_still_though_a_frame_still_runs():
    live = live_probe("a > 1000")
    function = probed(live)
    for _ in range(10):
        function(1)
    live.end()
    for _ in range(10):
        function(1)
        function("odd")
    assert live.counts().line_hits == 10
    asked = live.false
    live.refresh(live.sampled_ns + 2_000_000_000)
    function(1)
    assert live.false == asked  # samples of a probe that is over are nobody's business


def test_the_compiler_of_this_python_specialises_what_is_inserted():
    live = live_probe("a > 1000")
    function = probed(live)
    for _ in range(5000):
        function(5)
    names = {i.opname for i in dis.get_instructions(function, adaptive=True)}
    compared = {"COMPARE_OP_INT", "COMPARE_OP_INT_JUMP"}
    assert names & compared
    assert any(name.endswith("TYPE_1") for name in names)


def test_a_probed_code_object_can_be_hashed_compared_and_pickled():
    live = live_probe("a > 1000")
    code = probed(live).__code__
    assert hash(code) == hash(code)
    assert code == code.replace()
    carriers = [constant for constant in code.co_consts if type(constant) is Carrier]
    assert len(carriers) == 3
    for carrier in carriers:
        shipped = pickle.loads(pickle.dumps(carrier))
        assert hash(shipped)
        carried = getattr(shipped, CARRIED)
        assert carried(1, 2, 3) == "" if callable(carried) else list(carried) == []


def test_a_quick_test_keeps_no_reference_to_what_it_compares():
    decided = Decided(quick_test(check("a > 1000 or b == 'x'")))
    thing, number = object(), 10**30
    before = [sys.getrefcount(thing), sys.getrefcount(number)]
    for _ in range(20):
        decided.function(number, thing)
        decided.function(thing, number)
    decided.asked.clear()
    decided.hits.clear()
    gc.collect()
    assert [sys.getrefcount(thing), sys.getrefcount(number)] == before


def reference(a):
    return a


def live_probe(condition):
    probe = Probe(
        "p-aaaaaa",
        Kind.SNAPSHOT,
        Where("x.py", 1),
        condition=condition,
        max_hits=5,
        max_hits_per_second=100,
    )
    return LiveProbe(probe, SimpleQueue(), CaptureLimits())


def entry_of(live, code):
    return Entry(live, code, variables(code))


def probed(live):
    namespace = {}
    exec("def f(a):\n    return a\n", namespace)
    code = namespace["f"].__code__
    entry = entry_of(live, code)
    insertion = Insertion(
        *("p", 2, entry.guard, entry.guard_names, entry.hit, entry.hit_names), entry.quick
    )
    namespace["f"].__code__ = instrument(code, [insertion])
    return namespace["f"]
