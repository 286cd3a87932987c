"""Whatever the function, whichever the lines: with insertions it returns, raises, yields and writes the same."""

import itertools
import types
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from probe_agent.rewrite import Insertion, Rewriter, instrument, variables, verify_identity
from probe_agent.rewrite.flow import flow_of
from probe_agent.rewrite.points import entered

NAMES = "abc"
SIMPLE = [
    "{n} = {m} + 1",
    "{n} += {m}",
    "{n} = [{m} for {m} in range(2)]",
    "{n} = [(lambda: {m}) for {m} in range(2)][0]()",
    "log.append(({k}, '{n}', {n}))",
    "del {n}",
    "raise KeyError({k})",
    "raise ValueError({n})",
    "return {n}",
    "{n} = 1 / ({m} - {k})",
    "{n} = inner({m})",
    "{n} = (log.append(\n{i}    {k}),\n{i}    {m})",
    "{n} = {m} if {n} else \\\n{i}    {k}",
    "assert {n} != {k}, 'assertion'",
    "pass",
]
IN_LOOP = ["break", "continue"]
EXTRA = {
    "": [],
    "yield": ["{n} = yield {m}", "{n} = yield from pair({m})"],
    "await": ["{n} = await later({m})", "{n} = [{m} async for {m} in items({k})]"],
    "await and yield": ["yield {m}", "{n} = await later({m})"],
}
COMPOUND = [
    ["if {n}:", None],
    ["if {n} == {m}:", None, "else:", None],
    ["for {n} in range(2):", "loop"],
    ["for {n} in (1, 2):", "loop", "else:", None],
    ["count = 2", "while count:", "count", "count = 0"],
    ["try:", None, "except KeyError as {n}:", None],
    ["try:", None, "except (ValueError, TypeError):", None, "else:", None],
    ["try:", None, "finally:", None],
    ["try:", None, "except Exception as error:", None, "finally:", None],
    ["with Room({k}) as {n}:", None],
    ["match {n}:", "case"],
    ["def inner({m}):", "def"],
]
ASYNC_COMPOUND = [
    ["async for {n} in items({k}):", "loop"],
    ["async with Room({k}) as {n}:", None],
]


@st.composite
def blocks(draw, level, indent, *, in_loop, extra):
    """Draw a list of source lines, all indented by `indent` spaces."""
    lines = []
    for _ in range(draw(st.integers(1, 3))):
        lines += draw(statements(level, indent, in_loop=in_loop, extra=extra))
    return lines


@st.composite
def statements(draw, level, indent, *, in_loop, extra):
    space = " " * indent
    words = {
        "n": draw(st.sampled_from(NAMES)),
        "m": draw(st.sampled_from(NAMES)),
        "k": draw(st.integers(0, 3)),
        "i": space,
    }
    if level == 0 or draw(st.booleans()):
        choices = [*SIMPLE, *(IN_LOOP if in_loop else []), *(EXTRA[extra] * 3)]
        return [space + draw(st.sampled_from(choices)).format(**words)]
    lines = []
    compound = COMPOUND + (ASYNC_COMPOUND if "await" in extra else [])
    for part in draw(st.sampled_from(compound)):
        inner = {"in_loop": in_loop or part == "loop", "extra": extra}
        if part is None or part == "loop":
            lines += draw(blocks(level - 1, indent + 2, **inner))
        elif part == "count":
            lines += [f"{space}  count -= 1"]
            lines += draw(blocks(level - 1, indent + 2, in_loop=True, extra=extra))
        elif part == "case":
            for pattern in ("0 | 1", f"[{words['m']}, *_]", "_"):
                lines += [f"{space}  case {pattern}:"]
                lines += draw(blocks(level - 1, indent + 4, **inner))
        elif part == "def":
            lines += [
                f"{space}  {'nonlocal ' + words['n'] if words['n'] != words['m'] else 'pass'}"
            ]
            lines += draw(blocks(0, indent + 2, in_loop=False, extra=""))
        else:
            lines += [space + part.format(**words)]
    return lines


@st.composite
def functions(draw):
    extra = draw(st.sampled_from(list(EXTRA)))
    word = "async def" if "await" in extra else "def"
    body = draw(blocks(2, 2, in_loop=False, extra=extra))
    last = "return a, b, c" if extra != "await and yield" else "yield a, b, c"
    return "\n".join([f"{word} f(a, b=2, *, log):", "  c = a", *body, f"  {last}"])


class Room:
    def __init__(self, kept):
        self.kept = kept

    def __enter__(self):
        return self.kept

    def __exit__(self, kind, error, trace):
        return self.kept == 1 and kind is KeyError

    async def __aenter__(self):
        return await later(self.kept)

    async def __aexit__(self, *error):
        return await later(self.__exit__(*error))


@types.coroutine
def later(value):
    yield
    return value


async def items(count):
    for item in range(count):
        yield await later(item)


async def listed(generator):
    """Send numbers into an async generator until it ends, or is closed after 8."""
    got = [await anext(generator)]
    try:
        got += [await generator.asend(number) for number in range(8)]
    except StopAsyncIteration:
        return got, "ended"
    await generator.aclose()
    return got, "closed"


def driven(coroutine):
    """Run a coroutine to its end; count how often it waited."""
    for waited in itertools.count():
        try:
            coroutine.send(None)
        except StopIteration as end:
            return end.value, waited
    return None


def pair(value):
    got = yield value
    return got


def outcome(function):
    """Run a function and tell all that can be seen of it from outside."""
    log = []
    try:
        result = function(1, log=log)
        if type(result) is types.GeneratorType:
            result = drain(result)
        elif type(result) is types.AsyncGeneratorType:
            result = driven(listed(result))
        elif type(result) is types.CoroutineType:
            result = driven(result)
    except Exception as error:  # noqa: BLE001  whatever it is, it must be the same
        result = (type(error).__name__, str(error), type(error.__context__).__name__)
    return plain(result), plain(log)


def drain(generator):
    """Send numbers into a generator until it ends, or is closed after 8."""
    got = [next(generator)]
    try:
        got += [generator.send(number) for number in range(8)]
    except StopIteration as end:
        return got, "returned", end.value
    generator.close()
    return got, "closed", None


def plain(value):
    """Show a value without addresses."""
    if type(value) in (list, tuple):
        return [plain(item) for item in value]
    return value if type(value) in (int, str, float, bool, type(None)) else type(value).__name__


def load(source):
    namespace = {"Room": Room, "pair": pair, "later": later, "items": items}
    namespace["inner"] = lambda value: value
    exec(compile(source, "<generated>", "exec"), namespace)
    return namespace["f"]


def lines_of(code):
    """List the lines of a code object at which something can be inserted."""
    flow = flow_of(verify_identity(code))
    return list(entered(flow, sorted({unit.line for unit in flow.units if unit.line is not None})))


def insertions(code, chosen):
    lines = lines_of(code)
    names = variables(code)
    for line in itertools.compress(lines, itertools.cycle(chosen)):
        yield Insertion("p", line, lambda *v: True, names, lambda *v: None, names)


def everywhere(code, chosen):
    constants = tuple(
        everywhere(c, chosen) if type(c) is types.CodeType else c for c in code.co_consts
    )
    return instrument(code.replace(co_consts=constants), list(insertions(code, chosen)))


def is_valid(source):
    try:
        compile(source, "<generated>", "exec")
    except SyntaxError:
        return False
    return True


def tables_of(code):
    return code.co_code, code.co_linetable, code.co_exceptiontable


@settings(max_examples=50, deadline=None)
@given(functions().filter(is_valid), st.lists(st.booleans(), min_size=1, max_size=5))
def test_a_generated_function_does_the_same_with_insertions(source, chosen):
    expected = outcome(load(source))
    function = load(source)
    function.__code__ = everywhere(function.__code__, chosen)
    assert outcome(function) == expected


@settings(max_examples=15, deadline=None)
@given(functions().filter(is_valid), st.lists(st.booleans(), min_size=1, max_size=5))
def test_placing_and_removing_is_identity(source, chosen):
    function = load(source)
    original = function.__code__
    expected, tables = outcome(function), tables_of(original)
    rewriter = Rewriter(lambda codes: [function])
    first, *others = [
        replace(insertion, probe_id=str(at))
        for at, insertion in enumerate(insertions(original, (True, *chosen)))
    ][:4]
    rewriter.place((original,), first)
    alone = tables_of(function.__code__)
    for insertion in others:
        rewriter.place((original,), insertion)
    assert outcome(function) == expected
    for insertion in others:
        rewriter.remove(insertion.probe_id)
    assert tables_of(function.__code__) == alone
    rewriter.remove(first.probe_id)
    assert function.__code__ is original
    assert tables_of(original) == tables
    assert outcome(function) == expected
