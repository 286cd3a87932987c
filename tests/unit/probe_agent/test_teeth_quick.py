"""What the inserted code leaves to the guard, because to decide it could run code or be wrong."""

import sys

import pytest

from probe_agent.expression import check, quick_test
from probe_agent.quick import Quick, Tally
from probe_agent.rewrite import Insertion, instrument


class Boom(Exception):
    pass


def trap(*arguments):
    raise Boom


def trapped(base, value):
    names = ["eq", "ne", "lt", "gt", "le", "ge", "bool"]
    traps = {f"__{name}__": trap for name in names} | {"__hash__": base.__hash__}
    return type("Trapped", (base,), traps)(value)


FIVE, HALF, TEXT = trapped(int, 5), trapped(float, 0.5), trapped(str, "x")
LEFT_TO_THE_GUARD = [
    *(("a > 1", value, 0) for value in (FIVE, HALF, "5", True, None)),
    *(("a > 1.5", value, 0) for value in (FIVE, HALF, "5", b"5")),
    *(("a == 'x'", value, 0) for value in (TEXT, b"x", 5)),
    *(("a == b'x'", value, 0) for value in (TEXT, "x", 5)),
    *(("a in (1, 2)", value, 0) for value in (FIVE, "1")),
    *(("a < b", *values) for values in ((FIVE, 1), (1, FIVE), ("a", "b"), ("a", 1), (1, "a"))),
    *(("a", value, 0) for value in (5, "", FIVE, [])),
    *(("not a", value, 0) for value in (5, "", FIVE, [])),
]


def probed(source, condition, names, asked):
    namespace = {}
    exec(compile(source, "<quick>", "exec"), namespace)
    line = next(n for n, text in enumerate(source.splitlines(), 1) if "# probe: here" in text)
    tally = Tally()
    tally.go_on()
    quick = Quick(quick_test(check(condition)), tally)
    guard = lambda *values: asked.append(values)  # noqa: E731
    insertion = Insertion("p", line, guard, names, lambda: None, (), quick)
    function = namespace["f"]
    function.__code__ = instrument(function.__code__, [insertion])
    return function, tally


def test_a_quick_test_leaves_what_it_cannot_decide_to_the_guard():
    source = "def f(a, b):\n    return a  # probe: here\n"
    for condition, *values in LEFT_TO_THE_GUARD:
        asked = []
        names = ("a", "b") if "b" in condition.split() else ("a",)
        function, tally = probed(source, condition, names, asked)
        function(*values)
        assert (condition, len(asked), tally.count) == (condition, 1, 0)


def test_a_metaclass_is_not_asked_whether_a_type_is_the_wanted_one():
    meta = type("Meta", (type,), {"__eq__": trap, "__hash__": type.__hash__})
    asked = []
    function, _ = probed("def f(a):\n    return a  # probe: here\n", "a > 1", ("a",), asked)
    odd = meta("Odd", (), {})()
    assert function(odd) is odd
    assert len(asked) == 1


SHARED = """
def f():
    x = 1
    def g():
        return x
    return [
        (x,
         seen(g))  # probe: here
        for x in range(3)]

def seen(g):
    return g()
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="a comprehension has names of its own")
def test_a_name_that_a_comprehension_takes_over_is_for_the_guard():
    function, tally = probed(SHARED, "x > 1", ("x",), asked := [])
    assert function() == [(0, 1), (1, 1), (2, 1)]
    assert (asked, tally.count) == ([(0,), (1,), (2,)], 0)


@pytest.mark.parametrize("members", ["(1, 'a')", "(1, b'a')", "('a', b'a')"])
def test_members_of_several_types_are_no_quick_test(members):
    assert quick_test(check(f"a in {members}")) is None


def test_many_members_are_no_quick_test():
    assert quick_test(check(f"a in {tuple(range(17))}")) is None
    assert quick_test(check(f"a in {tuple(range(16))}")) is not None
