"""What runs at a hit: the guard, the hits in their order, and what they raise or meet, which stays apart from what the line raises."""

import contextlib
import gc
import signal
import sys
import textwrap

import pytest

from probe_agent.rewrite import Insertion, instrument, variables, verify_identity
from probe_agent.rewrite.flow import flow_of
from probe_agent.rewrite.points import entered


def load(source):
    namespace = {"__name__": "program"}
    exec(compile(textwrap.dedent(source), "<program>", "exec"), namespace)
    return namespace


def tagged(source, tag="# probe: here"):
    return next(n for n, text in enumerate(source.splitlines(), 1) if tag in text)


def lines_of(code):
    """List the lines of a code object at which something can be inserted."""
    flow = flow_of(verify_identity(code))
    return list(entered(flow, sorted({unit.line for unit in flow.units if unit.line is not None})))


def test_a_guard_lets_the_hit_run_only_for_exactly_true():
    source = """
def f(x):
    return x  # probe: here
"""
    function = load(source)["f"]
    hits = []
    insertion = Insertion("p", tagged(source), lambda x: x, ("x",), hits.append, ("x",))
    function.__code__ = instrument(function.__code__, [insertion])
    values = [True, False, 1, "yes", None, [1], object()]
    assert [function(value) for value in values] == values
    assert hits == [True]


def test_several_insertions_run_in_placing_order():
    source = """
def f(x):
    for i in range(2):  # probe: loop
        x += i  # probe: here
    return x
"""
    function = load(source)["f"]
    order = []
    insertions = [
        Insertion(name, tagged(source, tag), guard, (), lambda name=name: order.append(name), ())
        for name, tag, guard in [
            ("b", "here", None),
            ("a", "here", lambda: True),
            ("never", "here", lambda: False),
            ("loop", "loop", None),
            ("c", "here", None),
        ]
    ]
    function.__code__ = instrument(function.__code__, insertions)
    assert function(1) == 2
    assert order == ["loop", "b", "a", "c", "loop", "b", "a", "c", "loop"]


def test_the_recursion_limit_is_where_it_was():
    source = """
def f(n):
    deepest[0] = n  # probe: here
    return f(n + 1)
"""

    def depth(function):
        with contextlib.suppress(RecursionError):
            function(0)
        return function.__globals__["deepest"][0]

    namespace = load(source)
    namespace["deepest"] = [0]
    before = depth(namespace["f"])
    hits = []

    def hit(n):
        if n % 100 == 0:
            hits.append(n)

    insertions = [
        Insertion("p", n, lambda x: True, ("n",), hit, ("n",))
        for n in lines_of(namespace["f"].__code__)
    ]
    namespace["f"].__code__ = instrument(namespace["f"].__code__, insertions)
    assert depth(namespace["f"]) == before
    assert len(hits) > 5


def test_what_a_signal_raises_inside_a_hit_goes_through_as_if_the_line_had_raised_it():
    source = """
def f(deadline):
    caught = 0
    while caught < 20:
        try:
            while True:
                caught += 0  # probe: here
        except Alarm:
            caught += 1
    return caught
"""

    class Alarm(Exception):
        pass

    def ring(number, frame):
        raise Alarm

    namespace = load(source) | {}
    namespace["f"].__globals__["Alarm"] = Alarm
    code = namespace["f"].__code__

    def guard(*values):
        return sum(range(20)) > 0

    function = namespace["f"]
    insertion = Insertion("p", tagged(source), guard, variables(code), guard, variables(code))
    function.__code__ = instrument(code, [insertion])
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
    try:
        assert function(0) == 20
    except Alarm:  # it rang outside of the inner loop: nothing of ours
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_an_exception_from_a_hit_has_the_line_and_the_traceback_of_the_line():
    source = """
def f(x):
    try:
        y = x  # probe: here
    except KeyError as error:
        return error, error.__context__
    return y
"""

    def hit():
        raise KeyError("from a signal")

    namespace = load(source)
    namespace["f"].__code__ = instrument(
        namespace["f"].__code__, [Insertion("p", tagged(source), None, (), hit, ())]
    )
    error, context = namespace["f"](1)
    assert error.args == ("from a signal",)
    assert context is None
    trace = error.__traceback__
    assert (trace.tb_lineno, trace.tb_frame.f_code.co_name) == (tagged(source), "f")
    assert trace.tb_next.tb_frame.f_code.co_name == "hit"
    assert trace.tb_next.tb_next is None


def test_an_exception_from_a_hit_is_not_taken_for_a_variable_without_a_value():
    """From 3.13 on CPython looks a callee's exception up one code unit too early."""
    source = """
def f(x):
    return x  # probe: here
"""
    calls = []

    def hit(*values):
        calls.append(values)
        raise NameError("from a signal")

    namespace = load(source)
    names = ("x",)
    namespace["f"].__code__ = instrument(
        namespace["f"].__code__, [Insertion("p", tagged(source), None, (), hit, names)]
    )
    with pytest.raises(NameError, match="from a signal"):
        namespace["f"](1)
    assert calls == [(1,)]


def test_a_recursion_error_of_the_line_itself_is_not_taken_for_one_of_ours():
    source = """
def deep(x):
    return deep(x)

def f():
    @deep  # probe: here
    def g():
        pass
    return g
"""
    hits = []
    namespace = load(source)
    function = namespace["f"]
    function.__code__ = instrument(
        function.__code__, [Insertion("p", tagged(source), None, (), lambda: hits.append(1), ())]
    )
    for _ in range(20):
        with pytest.raises(RecursionError):
            function()
    assert len(hits) == 20


def test_an_insertion_keeps_no_reference_to_what_it_passed():
    source = """
def f(x):
    y = [x]
    return None  # probe: here
"""
    namespace = load(source)
    code = namespace["f"].__code__
    names = variables(code)
    namespace["f"].__code__ = instrument(
        code, [Insertion("p", tagged(source), lambda *a: True, names, lambda *a: None, names)]
    )
    thing = object()
    before = sys.getrefcount(thing)
    for _ in range(50):
        namespace["f"](thing)
    gc.collect()
    assert sys.getrefcount(thing) == before
