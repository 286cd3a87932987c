"""How often a line is hit that shares its statement with others, and which lines are none."""

import contextlib
import textwrap
import types
from collections import Counter

import pytest

from probe_agent.errors import LineNotExecutable
from probe_agent.plain import UNBOUND
from probe_agent.rewrite import Insertion, instrument, verify_identity
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


MULTI_LINE = """
def f(a, b):
    x = max(
        a,
        min(
            b,
            a),
    )
    y = [
        a,
        b,
    ]
    if (a and
            b):
        x += 1
    z = (a
         .bit_length()
         .bit_length())
    with open(
            '/dev/null') as fh:
        x += 1
        x += 1
    for i in range(
            a):
        x += i
    d = {
        'k': a,
        'l': b,
    }
    (p,
     q) = a, b
    assert isinstance(
        d, dict), 'message'
    return dict(
        x=x,
        y=y)
def run():
    f(3, 2)
"""


@pytest.mark.parametrize("first", ["x = max(", "y = [", "d = {", "(p,", "z = (a", "return dict("])
def test_a_statement_over_several_lines_is_hit_once_on_any_of_them(first):
    namespace = load(MULTI_LINE)
    lines = MULTI_LINE.splitlines()
    start = next(n for n, text in enumerate(lines, 1) if text.strip().startswith(first))
    hits = Counter()
    code = namespace["f"].__code__
    wanted = [line for line in range(start, start + 3) if line in lines_of(code)]
    if first == "(p,":
        wanted = [start, start + 1]
    insertions = [Insertion("p", n, None, (), lambda n=n: hits.update([n]), ()) for n in wanted]
    namespace["f"].__code__ = instrument(code, insertions)
    namespace["run"]()
    assert hits == dict.fromkeys(wanted, 1)


def test_a_loop_over_several_lines_is_hit_once_for_each_iteration():
    namespace = load(MULTI_LINE)
    hits = []
    line = tagged(MULTI_LINE, "for i in range(")
    code = namespace["f"].__code__
    namespace["f"].__code__ = instrument(
        code, [Insertion("p", line, None, (), lambda i: hits.append(i), ("i",))]
    )
    namespace["run"]()
    assert hits == [UNBOUND, 0, 1, 2]


def test_a_comprehension_on_one_line_is_hit_once():
    hits = []
    code = load("def f(n):\n    return [i * i for i in range(n)]\n")["f"].__code__
    function = types.FunctionType(
        instrument(code, [Insertion("p", 2, None, (), lambda: hits.append(1), ())]), {}
    )
    assert function(5) == [0, 1, 4, 9, 16]
    assert len(hits) == 1


def test_storing_what_a_manager_gives_is_no_second_entry_of_its_line():
    source = "def f(open_it):\n    with (\n        open_it(),\n        open_it() as a,\n    ):\n        return a\n"
    code, hits = load(source)["f"].__code__, []
    function = types.FunctionType(
        instrument(code, [Insertion("p", 4, None, (), lambda a: hits.append(a), ("a",))]), {}
    )
    assert function(lambda: contextlib.nullcontext(5)) == 5
    assert hits[0] is UNBOUND
    assert hits[1:] in ([], [5])  # from 3.13 on a tracer sees the line on leaving too


def test_a_line_without_code_is_refused_with_the_nearest_lines():
    source = """
def f(x):
    # probe: here
    y = x

    return y
"""
    code = load(source)["f"].__code__
    insertion = Insertion("p", tagged(source), None, (), int, ())
    with pytest.raises(LineNotExecutable) as caught:
        instrument(code, [insertion])
    assert "4" in caught.value.next_step
    with pytest.raises(LineNotExecutable):
        instrument(code, [Insertion("p", tagged(source, "def f"), None, (), int, ())])
