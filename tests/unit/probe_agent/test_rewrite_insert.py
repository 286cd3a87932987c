"""One code object made from another: what stays, what grows, and what is refused because it cannot be proved."""

import textwrap

import pytest

from probe_agent.errors import Unsupported
from probe_agent.rewrite import Insertion, assembly, insert, instrument, verify_identity
from probe_agent.rewrite.flow import flow_of
from probe_agent.rewrite.points import entered

LOOPS = """
def f(n):
    total = 0
    for i in range(n):
        if i == 3:
            continue
        total += i
    else:
        total += 100
    while total > 90:
        total -= 7
    while True:
        total -= 1
        if total < 80:
            break
    for i in range(n):
        if i == 1:
            break
    else:
        total = None
    return total

def run():
    return f(5), f(0)
"""


CLOSURES = """
def f(a, *args, b=2, **kwargs):
    total = a
    def add(x):
        nonlocal total
        total += x
        return total
    def unset():
        return later
    add(b)
    fs = []
    for k in args:
        fs.append(lambda k=k: k + total)
    later = 5
    del a
    a = unset()
    return total, list(map(call, fs)), a, kwargs

def call(g):
    return g()

def run():
    return f(1, 2, 3, z=4)
"""


def load(source):
    namespace = {"__name__": "program"}
    exec(compile(textwrap.dedent(source), "<program>", "exec"), namespace)
    return namespace


def lines_of(code):
    """List the lines of a code object at which something can be inserted."""
    flow = flow_of(verify_identity(code))
    return list(entered(flow, sorted({unit.line for unit in flow.units if unit.line is not None})))


def test_code_that_is_not_laid_out_as_the_compiler_does_is_refused():
    code = load("def f(x): return x + 1")["f"].__code__
    for broken in (
        code.replace(co_linetable=b""),
        code.replace(co_linetable=code.co_linetable[:-1]),
        code.replace(co_exceptiontable=b"\x80\x7f\x01\x01"),
        code.replace(co_exceptiontable=b"\x81"),
    ):
        with pytest.raises(Unsupported):
            instrument(broken, [Insertion("p", code.co_firstlineno, None, (), int, ())])


def test_names_variables_flags_and_first_line_stay_as_they_are():
    code = load(CLOSURES)["f"].__code__
    result = instrument(code, [Insertion("p", n, int, (), int, ()) for n in lines_of(code)])
    kept = [
        n
        for n in dir(code)
        if n.startswith("co_")
        and n
        not in {"co_code", "co_consts", "co_names", "co_linetable", "co_lnotab", "co_exceptiontable", "co_stacksize",
                "co_lines", "co_positions", "co_branches", "_co_code_adaptive"}
    ]  # fmt: skip
    assert {n: getattr(result, n) for n in kept} == {n: getattr(code, n) for n in kept}
    assert result.co_consts[: len(code.co_consts)] == code.co_consts
    assert result.co_names == (*code.co_names, "None")


def test_a_short_jump_that_an_insertion_makes_long_is_widened():
    source = (
        "def f(x):\n"
        + "".join(f"    if x:\n        x = x + {i}\n" for i in range(4))
        + "    return x\n"
    )
    function = load(source)["f"]
    names = ("x",) * 200
    insertion = Insertion("p", 3, None, (), lambda *a: None, names)
    widths = {u.width for u in verify_identity(function.__code__)}
    function.__code__ = instrument(function.__code__, [insertion])
    assert {u.width for u in verify_identity(function.__code__)} > widths
    assert [function(0), function(1)] == [0, 7]


def test_the_result_is_refused_if_a_unit_would_run_at_another_height():
    code = load(LOOPS)["f"].__code__
    flow = flow_of(verify_identity(code))
    splice = insert._Splice(code, flow)
    splice._before[flow.units[9]] = [assembly.make_unit("PUSH_NULL", location=None, row=None)]
    with pytest.raises(Unsupported):
        splice.finish()


def test_the_result_is_refused_if_its_bytes_say_something_else():
    code = load(LOOPS)["f"].__code__
    flow = flow_of(verify_identity(code))
    splice = insert._Splice(code, flow)
    # A cache by itself reads as one of the unit before it.
    splice._before[flow.units[9]] = [assembly.make_unit("CACHE", 0, location=None, row=None)]
    with pytest.raises(Unsupported):
        splice.finish()
