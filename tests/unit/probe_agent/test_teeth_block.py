"""What a debugger and a tracer may do on a line that carries a probe: as on one that carries none."""

import sys

import pytest

from probe_agent.rewrite import Insertion, instrument, variables, verify_identity
from probe_agent.rewrite.flow import flow_of
from probe_agent.rewrite.points import entered

PROGRAM = """
def f(log):
    log.append(1)
    try:
        x = log
        y = 1 // len(x[1:])
    except ZeroDivisionError:
        log.append(2)
    finally:
        log.append(3)
    for z in (4, 5):
        with room:
            log.append(z)
    return log
"""


class Room:
    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False


def made(is_probed):
    namespace = {"room": Room()}
    exec(compile(PROGRAM, "<program>", "exec"), namespace)
    function = namespace["f"]
    if is_probed:
        function.__code__ = instrument(function.__code__, list(everywhere(function.__code__)))
    return function


def everywhere(code):
    flow, names = flow_of(verify_identity(code)), variables(code)
    for line in entered(flow, sorted({u.line for u in flow.units if u.line is not None})):
        yield Insertion("p", line, lambda *v: True, names, lambda *v: None, names)


def jumped(function, start, to):
    """Run, and let a debugger go from one line on at another. Returns: what became of it."""
    went = []

    def tracer(frame, event, argument):
        if frame.f_code.co_name != "f":
            return None
        if event == "line" and frame.f_lineno == start and not went:
            went.append(1)
            frame.f_lineno = to
        return tracer

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        return function([])
    except Exception as error:  # noqa: BLE001  whatever it is, it must be the same
        return type(error), str(error)
    finally:
        sys.settrace(before)


@pytest.mark.filterwarnings("ignore:assigning None to:RuntimeWarning")
def test_a_debugger_can_go_from_any_line_to_any_other_as_before():
    plain, probed = made(is_probed=False), made(is_probed=True)
    lines = range(3, len(PROGRAM.splitlines()) + 1)
    for start in lines:
        for to in lines:
            assert (start, to, jumped(probed, start, to)) == (start, to, jumped(plain, start, to))


def test_what_a_tracer_raises_on_the_line_comes_out():
    function = made(is_probed=True)

    def tracer(frame, event, argument):
        if frame.f_code.co_name != "f":
            return None
        if event == "line":
            raise RecursionError("the tracer's")
        return tracer

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        with pytest.raises(RecursionError, match="the tracer's"):
            function([])
    finally:
        sys.settrace(before)


def test_what_a_hit_lets_through_is_caught_by_the_line_s_own_handlers():
    namespace = {}
    source = (
        "def f(x):\n try:\n  x = 1\n except KeyError:\n  x = 2\n finally:\n  x += 1\n return x\n"
    )
    exec(compile(source, "<program>", "exec"), namespace)
    function = namespace["f"]

    def interrupted(*values):
        raise KeyError

    insertion = Insertion("p", 3, None, (), interrupted, ("x",))
    function.__code__ = instrument(function.__code__, [insertion])
    assert function(0) == 3
