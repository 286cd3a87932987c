"""What a hit is passed: each variable by its value, wherever the frame keeps it, and UNBOUND for none."""

import sys
import textwrap
import types

import pytest

from probe_agent.plain import UNBOUND
from probe_agent.rewrite import Insertion, instrument, variables, verify_identity
from probe_agent.rewrite.flow import flow_of
from probe_agent.rewrite.points import body_start, entered
from probe_agent.rewrite.variables import first_value, slots_of


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


def with_insertions(code, make):
    """Instrument every line of a code object and of all nested ones; `make(code, line)` gives the insertion."""
    constants = tuple(
        with_insertions(c, make) if type(c) is types.CodeType else c for c in code.co_consts
    )
    outer = code.replace(co_consts=constants)
    return instrument(outer, [make(code, line) for line in lines_of(code)])


def values_at(source, function_name="f", *, call=None, tag="# probe: here"):
    """Run a program with a hit that takes all variables at the tagged line; give what each hit got."""
    namespace = load(source)
    function = namespace[function_name]
    code = function.__code__
    names = variables(code)
    hits = []
    line = tagged(source, tag)
    insertion = Insertion(
        "p",
        line,
        None,
        (),
        lambda *values: hits.append(dict(zip(names, values, strict=True))),
        names,
    )
    function.__code__ = instrument(code, [insertion])
    (call or namespace["run"])()
    return hits


def test_a_variable_without_a_value_is_passed_as_unbound():
    source = """
def f(x):
    if x:
        maybe = 1
    del x
    done = True  # probe: here
    return done
def run():
    f(0), f(1)
"""
    assert values_at(source) == [
        {"x": UNBOUND, "maybe": UNBOUND, "done": UNBOUND},
        {"x": UNBOUND, "maybe": 1, "done": UNBOUND},
    ]


def test_an_empty_cell_is_passed_as_unbound_and_a_filled_one_by_its_value():
    source = """
def f(x):
    def g():
        return x, y
    for i in range(2):
        y = i  # probe: here
    return g
def run():
    f(5)
"""
    assert [(h["x"], h["y"], h["i"]) for h in values_at(source)] == [(5, UNBOUND, 0), (5, 0, 1)]


def test_free_variables_are_passed_by_value():
    source = """
def outer():
    a = 1
    def f():
        b = a  # probe: here
        return b, late
    f_was = f
    globals()['f'] = f
    late = 2
outer()
def run():
    f()
"""
    assert values_at(source) == [{"b": UNBOUND, "a": 1, "late": 2}]


SHARED_NAMES = [
    pytest.param(
        """
def f():
    x = 1
    fs = [
        (lambda: x,
         seen())  # probe: here
        for x in range(3)]
    done = x  # probe: after
    return [g() for g, _ in fs]
""",
        id="cell in both",
    ),
    pytest.param(
        """
def f():
    x = 1
    def g():
        return x
    a = [
        (x,
         seen())  # probe: here
        for x in range(3)]
    done = x  # probe: after
    return g(), a
""",
        id="cell outside, local inside",
    ),
    pytest.param(
        """
def f():
    x = 1
    def g():
        a = [
            (x,
             seen())  # probe: here
            for x in range(3)]
        done = x  # probe: after
        return a, done
    return g()
""",
        id="free outside, local inside",
    ),
    pytest.param(
        """
def f():
    x = 1
    def g():
        a = [
            (lambda: x,
             seen())  # probe: here
            for x in range(3)]
        done = x  # probe: after
        return [h() for h, _ in a], done
    return g()
""",
        id="free outside, cell inside",
    ),
    pytest.param(
        """
def f(x=1):
    a = [
        (x,
         seen())  # probe: here
        for x in range(3)]
    done = x  # probe: after
    return a, done
""",
        id="argument",
    ),
]


@pytest.mark.parametrize("source", SHARED_NAMES)
def test_names_that_a_comprehension_shares_with_its_function_are_read_safely(source):
    """PEP 709 puts bare values into slots of cells: reading them as cells would crash."""
    namespace = load(source)
    namespace["seen"] = lambda: None
    expected = repr(namespace["f"]())
    got = []

    def make(code, line):
        names = variables(code)
        return Insertion(
            "p",
            line,
            None,
            (),
            lambda *v: got.append((line, dict(zip(names, v, strict=True)))),
            names,
        )

    namespace["f"].__code__ = with_insertions(namespace["f"].__code__, make)
    assert repr(namespace["f"]()) == expected
    after = [v for line, v in got if line == tagged(source, "# probe: after") + 1 and "x" in v]
    assert [values["x"] for values in after] == [values["done"] for values in after] != []


def test_inside_a_comprehension_its_own_variable_is_seen():
    code = load(SHARED_NAMES[1].values[0])["f"].__code__
    units = verify_identity(code)
    slots = slots_of(code, units, body_start(units)).by_name["x"]
    assert slots[0].is_shifting is (sys.version_info >= (3, 12))
    full, empty = types.CellType(7), types.CellType()
    assert first_value(UNBOUND, empty, full) == 7
    assert first_value(3, full) == 3
    assert first_value(empty) is UNBOUND


def test_variables_come_in_order_of_definition_without_the_compilers_own():
    source = """
def f(a, b, *c, d, **e):
    g = 1
    h = 2
    return lambda: (a, h)
"""
    assert variables(load(source)["f"].__code__) == ("a", "b", "d", "c", "e", "g", "h")
    assert variables(compile("x = 1", "<m>", "exec")) == ()
    generator = next(
        c for c in compile("(i for i in [])", "<m>", "exec").co_consts if type(c) is types.CodeType
    )
    assert variables(generator) == ("i",)
