"""One code object with insertions: it does what it did, and the insertions run when a tracer says the line does."""

import contextlib
import gc
import signal
import sys
import textwrap
import types
from collections import Counter

import pytest
from bytecode import ConcreteBytecode

from probe_agent.errors import LineNotExecutable, Unsupported
from probe_agent.plain import UNBOUND
from probe_agent.rewrite import Insertion, block, insert, instrument, variables, verify_identity
from probe_agent.rewrite.flow import flow_of
from probe_agent.rewrite.opcodes import TAKES_ARGUMENT
from probe_agent.rewrite.points import body_start, entries
from probe_agent.rewrite.variables import first_value, slots_of

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
TRY = """
def f(x):
    seen = []
    try:
        try:
            seen.append(1 / x)
        except ZeroDivisionError as error:
            seen.append(type(error))
            raise KeyError(x)
        else:
            seen.append('else')
        finally:
            seen.append('finally')
    except KeyError:
        seen.append('key')
        return seen
    finally:
        seen.append('outer')
    return seen

def run():
    return f(0), f(2)
"""
RAISE_IN_HANDLER = """
def f():
    out = []
    for i in range(3):
        try:
            try:
                raise ValueError
            except ValueError:
                raise KeyError
        except KeyError:
            pass
        out.append(i)
    return out

def run():
    return f()
"""
WITH = """
class Room:
    def __enter__(self):
        return 5
    def __exit__(self, *error):
        return error[0] is KeyError

def f(fail):
    with Room() as room:
        with Room():
            value = room
            if fail:
                raise KeyError
        value += 1
    return value

def run():
    return f(False), f(True)
"""
MATCH = """
def f(x):
    match x:
        case 1 | 2:
            return 'small'
        case [a, *rest] if a:
            return rest
        case {'k': v}:
            result = v
        case str():
            result = 's'
        case _:
            result = None
    return result

def run():
    return [f(x) for x in (1, 2, [3, 4], [0], {'k': 9}, 'q', 4.5)]
"""
GENERATOR = """
def inner(n):
    got = yield n
    try:
        yield got
    finally:
        n = None
    return 'done'

def f(n):
    for i in range(n):
        result = yield from inner(i)  # a tracer sees resumptions too, from 3.13 on
        yield result

def run():
    out = []
    gen = f(3)
    out.append(next(gen))
    for i in range(6):
        try:
            out.append(gen.send(i))
        except StopIteration:
            break
    gen.close()
    thrower = f(1)
    next(thrower)
    try:
        thrower.throw(KeyError)
    except KeyError:
        out.append('thrown')
    return out
"""
ASYNC = """
class Room:
    async def __aenter__(self):
        await asyncio.sleep(0)
        return self
    async def __aexit__(self, *error):
        return True

async def numbers(n):
    for i in range(n):
        await asyncio.sleep(0)
        yield i

async def f(n):
    out = []
    async for i in numbers(n):
        out.append(i)
    async with Room() as room:
        out.append(type(room).__name__)
        raise KeyError
    try:
        await asyncio.wait_for(asyncio.sleep(5), 0)
    except TimeoutError:
        out.append('timeout')
    return out

def run():
    return asyncio.run(f(3))
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
UNBOUND_LOCALS = """
def f(x):
    if x:
        maybe = 1
    late = 0
    try:
        print(never)
        never = 1
    except UnboundLocalError as error:
        late = 2
    del late
    late = 3
    return late, x

def run():
    return f(0), f(1)
"""
EXCEPT_STAR = """
def f():
    out = []
    try:
        raise ExceptionGroup('g', [ValueError(1), KeyError(2), TypeError(3)])
    except* ValueError as group:
        out.append(len(group.exceptions))
    except* (KeyError, TypeError):
        out.append('rest')
    return out

def run():
    return f()
"""
ONE_LINERS = """
def f(x): return x + 1
g = lambda x: f(x) * 2

def run():
    return f(1), g(2)
"""
ALL = {
    name.lower(): source
    for name, source in list(globals().items())
    if name.isupper() and isinstance(source, str)
}
each_program = pytest.mark.parametrize("source", [pytest.param(s, id=n) for n, s in ALL.items()])


def load(source):
    namespace = {"__name__": "program"}
    exec(compile(textwrap.dedent(source), "<program>", "exec"), namespace)
    return namespace


def tagged(source, tag="# probe: here"):
    return next(n for n, text in enumerate(source.splitlines(), 1) if tag in text)


def functions_of(namespace):
    found = [f for f in namespace.values() if type(f) is types.FunctionType and f.__name__ != "run"]
    for kind in [c for c in namespace.values() if type(c) is type]:
        found += [f for f in vars(kind).values() if type(f) is types.FunctionType]
    return found


def nested(code):
    yield code
    for constant in code.co_consts:
        if type(constant) is types.CodeType:
            yield from nested(constant)


def lines_of(code):
    """List the lines of a code object at which something can be inserted."""
    flow = flow_of(verify_identity(code))
    found = []
    for line in sorted({unit.line for unit in flow.units if unit.line is not None}):
        try:
            entries(flow, line)
        except LineNotExecutable:
            continue
        found.append(line)
    return found


def with_insertions(code, make):
    """Instrument every line of a code object and of all nested ones; `make(code, line)` gives the insertion."""
    constants = tuple(
        with_insertions(c, make) if type(c) is types.CodeType else c for c in code.co_consts
    )
    outer = code.replace(co_consts=constants)
    return instrument(outer, [make(code, line) for line in lines_of(code)])


def outcome_of(run):
    try:
        return repr(run())
    except Exception as error:  # noqa: BLE001  whatever it is, it must be the same
        return repr(error)


@each_program
def test_a_program_with_every_line_instrumented_returns_the_same(source):
    expected = outcome_of(load(source)["run"])
    namespace = load(source)

    def guard(*values):
        return True

    def hit(*values):
        assert values is not None

    for function in functions_of(namespace):
        names = variables(function.__code__)

        def make(code, line):
            names = variables(code)
            return Insertion(
                "p", line, guard if line % 2 else None, names if line % 2 else (), hit, names
            )

        function.__code__ = with_insertions(function.__code__, make)
        assert variables(function.__code__) == names
    assert outcome_of(namespace["run"]) == expected


@each_program
def test_each_line_is_hit_as_often_as_a_tracer_sees_it(source):
    namespace = load(source)
    functions = functions_of(namespace)
    seen = Counter()
    wanted = {id(f.__code__): f.__qualname__ for f in functions}

    def tracer(frame, event, argument):
        name = wanted.get(id(frame.f_code))
        if name is None:
            return None
        if event == "line":
            seen[name, frame.f_lineno] += 1
        return tracer

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        outcome_of(namespace["run"])
    finally:
        sys.settrace(before)
    hits = Counter()
    for function in functions:
        code, name = function.__code__, function.__qualname__
        insertions = [
            Insertion(
                "p", line, None, (), lambda name=name, line=line: hits.update([(name, line)]), ()
            )
            for line in lines_of(code)
        ]
        function.__code__ = instrument(code, insertions)
    outcome_of(namespace["run"])
    resumed = {n for n, text in enumerate(source.splitlines(), 1) if "a tracer sees" in text}
    assert hits.keys() == seen.keys()
    assert {k: n for k, n in hits.items() if k[1] not in resumed} == {
        k: n for k, n in seen.items() if k[1] not in resumed
    }


@each_program
def test_a_tracer_sees_the_same_lines_with_and_without_insertions(source):
    def traced(run):
        events = []

        def tracer(frame, event, argument):
            if frame.f_code.co_filename != "<program>":
                return None
            events.append((frame.f_code.co_name, event, frame.f_lineno))
            return tracer

        before = sys.gettrace()
        sys.settrace(tracer)
        try:
            outcome_of(run)
        finally:
            sys.settrace(before)
        return events

    namespace = load(source)
    expected = traced(namespace["run"])
    for function in functions_of(namespace):
        function.__code__ = with_insertions(
            function.__code__, lambda _, line: Insertion("p", line, int, (), int, ())
        )
    assert traced(namespace["run"]) == expected


@each_program
def test_the_oracle_reads_the_result_as_we_meant_it(source):
    for function in functions_of(load(source)):
        code = function.__code__
        result = with_insertions(
            code, lambda c, line: Insertion("p", line, int, variables(c), int, variables(c))
        )
        for inner in nested(result):
            units = verify_identity(inner)
            theirs = [
                instruction
                for instruction in ConcreteBytecode.from_code(inner, extended_arg=False)
                if isinstance(instruction.opcode, int) and instruction.name != "CACHE"
            ]
            assert [(u.op, u.arg) for u in units if u.op in TAKES_ARGUMENT] == [
                (i.opcode, i.arg) for i in theirs if i.opcode in TAKES_ARGUMENT
            ]
            assert [u.op for u in units] == [i.opcode for i in theirs]


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
    source = """
def f(n):
    return [i * i for i in range(n)]  # probe: here
def run():
    f(5)
"""
    assert len(values_at(source)) == 1


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


def test_code_that_is_not_laid_out_as_the_compiler_does_is_refused():
    code = load(ONE_LINERS)["f"].__code__
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
        not in {"co_code", "co_consts", "co_linetable", "co_lnotab", "co_exceptiontable", "co_stacksize",
                "co_lines", "co_positions", "co_branches", "_co_code_adaptive"}
    ]  # fmt: skip
    assert {n: getattr(result, n) for n in kept} == {n: getattr(code, n) for n in kept}
    assert result.co_consts[: len(code.co_consts)] == code.co_consts


def test_jumps_and_constants_beyond_a_byte_are_widened():
    body = "\n".join(f"        x = x + {i}.5" for i in range(300))
    source = f"def f(x):\n    for i in range(3):\n{body}\n        if x < 0:\n            break\n    return x\n"
    namespace = load(source)
    expected = namespace["f"](1)
    code = namespace["f"].__code__
    hits = Counter()
    names = variables(code)
    namespace["f"].__code__ = instrument(
        code,
        [
            Insertion("p", n, lambda *a: True, names, lambda *a, n=n: hits.update([n]), names)
            for n in lines_of(code)
        ],
    )
    assert len(namespace["f"].__code__.co_consts) > 512
    assert namespace["f"](1) == expected
    assert hits[3] == 3


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
    assert len(hits) == 40  # a decorator's line runs before and after the definition


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


def test_the_result_is_refused_if_a_unit_would_run_at_another_height():
    code = load(LOOPS)["f"].__code__
    flow = flow_of(verify_identity(code))
    splice = insert._Splice(code, flow)
    splice._before[flow.units[9]] = [block.make_unit("PUSH_NULL", location=None, row=None)]
    with pytest.raises(Unsupported):
        splice.finish()


def test_the_result_is_refused_if_its_bytes_say_something_else():
    code = load(LOOPS)["f"].__code__
    flow = flow_of(verify_identity(code))
    splice = insert._Splice(code, flow)
    # A cache by itself reads as one of the unit before it.
    splice._before[flow.units[9]] = [block.make_unit("CACHE", 0, location=None, row=None)]
    with pytest.raises(Unsupported):
        splice.finish()
