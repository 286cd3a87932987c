"""Places where nothing may stand, whatever the line table says.

The compiler's own line tables never lead there; those of other tools do, and of programs made as
trees. Here each instruction has a line of its own, which is the most that a table can do.
"""

import dis
import sys
import types

import pytest

from probe_agent.rewrite import Insertion, instrument, verify_identity
from probe_agent.rewrite.flow import flow_of
from probe_agent.rewrite.points import body_start, entered
from probe_agent.rewrite.units import encode

PROGRAMS = {
    "for": """
def f(log):
    for a in (1, 2):
        for b in pair(a):
            log.append((a, b))
    return log
""",
    "comprehension": """
def f(log):
    made = [(lambda: a + b) for a in (1, 2) for b in pair(a)]
    return [call() for call in made]
""",
    "keywords": """
def f(log):
    log.append(dict(a=1, b=max(2, 3, key=int)))
    log.sort(key=repr, reverse=True)
    return log
""",
    "branches": """
def f(log):
    for a in (0, 1, None):
        if a:
            log.append(a)
        elif a is None:
            log.append("none")
        while a and len(log) < 4:
            log.append(a)
    return log
""",
    "exceptions": """
def f(log):
    for a in (0, 1, 2):
        try:
            with Room(log):
                log.append(1 // a)
                raise KeyError(a)
        except KeyError as error:
            log.append((repr(error), type(error.__context__)))
        except ZeroDivisionError:
            log.append("zero")
        finally:
            log.append(sys.exc_info()[0])
    return log
""",
    "a full stack": """
def f(log):
    def deep(number):
        log.append(number)
        raise RecursionError
    try:
        deep(1)
    except RecursionError:
        log.append("once")
    return log
""",
    "yield": """
def f(log):
    def made():
        for a in (1, 2):
            got = yield a
            log.append(got)
        return "end"
    going = made()
    log.append([next(going), going.send(5), going.gi_yieldfrom])
    going.close()
    return log
""",
    "yield from": """
def f(log):
    def inner():
        try:
            log.append((yield 1))
            yield 2
        except KeyError:
            log.append("thrown in")
            yield 3
        return 4
    def outer():
        log.append((yield from inner()))
        yield from iter((5, 6))
    for how in ("next", "throw", "close"):
        going = outer()
        log.append(next(going))
        log.append(type(going.gi_yieldfrom).__name__)
        if how == "throw":
            log.append(going.throw(KeyError))
        elif how == "close":
            going.close()
        log.append(list(going))
    return log
""",
    "await": """
def f(log):
    async def numbers():
        for a in (1, 2):
            await pause()
            yield a
    async def task():
        async for a in numbers():
            log.append(a)
        log.append([a async for a in numbers()])
        async with AsyncRoom(log):
            log.append(await pause())
        return "done"
    going = task()
    try:
        while True:
            log.append(going.send(None))
            log.append(type(going.cr_await).__name__)
    except StopIteration as end:
        return log, end.value
""",
    "thrown into await": """
def f(log):
    async def task():
        for a in (1, 2):
            try:
                log.append(await pause())
            except KeyError as error:
                log.append(repr(error))
        return "done"
    going = task()
    log.append(going.send(None))
    log.append(going.throw(KeyError("in")))
    try:
        going.throw(LookupError("out"))
    except LookupError as error:
        return log, repr(error)
""",
}


class Room:
    def __init__(self, log):
        self.log = log

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.log.append(error[0])
        return error[0] is ZeroDivisionError


class AsyncRoom(Room):
    async def __aenter__(self):
        await pause()

    async def __aexit__(self, *error):
        await pause()


@types.coroutine
def pause():
    return (yield "paused")


def pair(value):
    yield value
    yield -value


def with_a_line_for_each_unit(code, first):
    """Give each instruction a line of its own, in nested code too. Returns: the
    code object and the next free line.
    """
    constants = []
    for constant in code.co_consts:
        if type(constant) is types.CodeType:
            constant, first = with_a_line_for_each_unit(constant, first)
        constants.append(constant)
    code = code.replace(co_consts=tuple(constants))
    units = verify_identity(code)
    for unit in units:
        unit.location = (first, first, -1, -1)
        first += 1
    return code.replace(co_linetable=encode(units, code.co_firstlineno).lines), first


def everywhere(code):
    """Insert wherever it is allowed."""
    constants = tuple(everywhere(c) if type(c) is types.CodeType else c for c in code.co_consts)
    code = code.replace(co_consts=constants)
    units = verify_identity(code)
    lines = [unit.line for unit in units]
    made = [Insertion("p", line, int, (), int, ()) for line in entered(flow_of(units), lines)]
    return instrument(code, made) if made else code


def function_of(source):
    namespace = {"pair": pair, "pause": pause, "Room": Room, "AsyncRoom": AsyncRoom, "sys": sys}
    exec(compile(source, "<places>", "exec"), namespace)
    function = namespace["f"]
    function.__code__, _ = with_a_line_for_each_unit(function.__code__, 100)
    return function


def unsteady_lines(code):
    """Find the lines at the end of loops: whether CPython tells a tracer of them depends on what it
    has specialised.
    """
    found = {
        line for c in code.co_consts if type(c) is types.CodeType for line in unsteady_lines(c)
    }
    units = verify_identity(code)
    for at, unit in enumerate(units):
        if dis.opname[unit.op] in ("END_FOR", "END_ASYNC_FOR"):
            found |= {unit.line, units[at + 1].line if dis.opname[unit.op] == "END_FOR" else None}
    return found


def traced(function, unsteady):
    """Run under a tracer. Returns: what became of it, and the lines seen in each function."""
    events = []

    def tracer(frame, event, argument):
        if frame.f_code.co_filename != "<places>":
            return None
        if event != "exception" and not (event == "line" and frame.f_lineno in unsteady):
            events.append((frame.f_code.co_name, event, frame.f_lineno))
        return tracer

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        return repr(function([])), events
    finally:
        sys.settrace(before)


@pytest.mark.parametrize("name", PROGRAMS)
def test_whatever_the_line_table_nothing_stands_where_the_interpreter_looks_at_neighbours(name):
    function = function_of(PROGRAMS[name])
    unsteady = unsteady_lines(function.__code__)
    expected = traced(function, unsteady)
    function.__code__ = everywhere(function.__code__)
    assert repr(function([])) == expected[0]
    assert traced(function, unsteady) == expected


def test_no_line_begins_before_the_generator_is_made_and_its_cells_are():
    """Whatever is read there is not yet what it will be."""

    def generator(x):
        yield lambda: x

    code, _ = with_a_line_for_each_unit(generator.__code__, 100)
    units = verify_identity(code)
    first = body_start(units)
    assert first > 2
    assert list(entered(flow_of(units), [unit.line for unit in units[:first]])) == []
