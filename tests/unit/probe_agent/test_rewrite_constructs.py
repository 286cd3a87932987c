"""Every construct of the language: a probe on a tagged line is hit when a tracer comes there, and sees what it sees.

The programs are in `constructs/`; each tag (`# probe: position`) is one case.
"""

import ast
import re
import sys
import types
from functools import cache
from pathlib import Path

import pytest
from bytecode import ConcreteBytecode

from probe_agent.errors import LineNotExecutable
from probe_agent.plain import UNBOUND
from probe_agent.probe import Where
from probe_agent.rewrite import Insertion, rebuild_tree, variables, verify_identity
from probe_agent.rewrite.opcodes import TAKES_ARGUMENT
from probe_agent.source.lines import line_map, tree
from probe_agent.source.places import locate_in
from probe_agent.source.text import Text

# 3.14 warns of it.
pytestmark = pytest.mark.filterwarnings("ignore:'return' in a 'finally' block:SyntaxWarning")

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_HEAD = re.compile(r"(?P<name>.*?)(?: \[3\.(?P<minor>\d+)\])?\n")


def _programs():
    """Yield name and text of each program that this Python can compile."""
    for path in sorted((Path(__file__).parent / "constructs").glob("*.txt")):
        for part in path.read_text().split("=== ")[1:]:
            head = _HEAD.match(part)
            if sys.version_info[1] >= int(head["minor"] or 0):
                yield head["name"], part[head.end() :]


def _large():
    """More than 256 constants and names, and jumps over all of them."""
    body = "".join(
        f"        x = n{i} or m{i} if i > 9 else x + {i}.5 - {i}.25\n" for i in range(130)
    )
    return (
        "def f(n):\n"
        "    x = 0\n"
        "    for i in range(n):  # probe: for\n"
        f"{body}"
        "        if x < 0:  # probe: test behind the long body\n"
        "            break\n"
        "        x += 1  # probe: last of body\n"
        "    return x  # probe: after\n"
        "f(2)\n"
    )


PROGRAMS = {**dict(_programs()), "large": _large()}
SMALL = [pytest.param(text, id=name.replace(" ", "-")) for name, text in _programs()]
each_program = pytest.mark.parametrize("source", [*SMALL, pytest.param(_large(), id="large")])


def tagged(source, word):
    """Find the lines that carry a tag. Returns: line by tag."""
    found = [(code.partition(f"# {word}: ")[2], n) for n, code in enumerate(source.split("\n"), 1)]
    return {tag: line for tag, line in found if tag}


@types.coroutine
def pause():
    yield


def drive(coroutine):
    """Run a coroutine that waits for nothing."""
    try:
        while True:
            coroutine.send(None)
    except StopIteration as end:
        return end.value


@cache
def compiled(source):
    return compile(source, "<program>", "exec", dont_inherit=True)


def run(code, **names):
    """Execute a program. Returns: what it raised, as text."""
    try:
        exec(code, {"__name__": "program", "pause": pause, "drive": drive, **names})
    except Exception as error:  # noqa: BLE001  whatever it is, it must be the same
        return repr(error)
    return None


def plain(value):
    """Show a value as it is now, without addresses."""
    if type(value) in (list, tuple):
        return [plain(item) for item in value]
    return value if type(value) in (int, str, bool, type(None)) else type(value).__name__


def probed(root, chains, line):
    """Run with a probe on a line. Returns: function and values at each hit, and the outcome."""
    hits, placements = [], []
    for chain in chains:
        names, function = variables(chain[-1]), chain[-1].co_qualname

        def hit(*values, names=names, function=function):
            pairs = zip(names, values, strict=True)
            hits.append((function, {n: plain(v) for n, v in pairs if v is not UNBOUND}))

        placements.append((chain, Insertion("p", line, None, (), hit, names)))
    return hits, run(rebuild_tree(root, placements)[0])


def traced(root, codes):
    """Run under a tracer. Returns: (frame, line, instruction, function, values) of each line event
    in these code objects, and the outcome.
    """
    events = []

    def tracer(frame, event, argument):
        code = frame.f_code
        if not any(code is wanted for wanted in codes):
            return None
        if event == "line":
            found = frame.f_locals
            values = {n: plain(found[n]) for n in variables(code) if n in found}
            events.append((frame, frame.f_lineno, frame.f_lasti, code.co_qualname, values))
        return tracer

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        return events, run(root)
    finally:
        sys.settrace(before)


def merged(events, first, last):
    """Keep the events with which control enters these lines: from another line, or by beginning
    them anew.
    """
    kept, known = [], {}
    for frame, line, instruction, function, values in events:
        was_inside, begun_at = known.get(frame, (False, None))
        is_inside = first <= line <= last
        if is_inside and (not was_inside or instruction == begun_at):
            kept.append((function, values))
            begun_at = instruction
        known[frame] = (is_inside, begun_at)
    return kept


def merged_lines(module, line):
    """Find the lines that count as one with `line`: a statement's, or a part's that may be passed
    over or repeated.
    """
    wholes = [lines for node in ast.walk(module) for lines in _heads(node)]
    parts = [(p.lineno, p.end_lineno) for node in ast.walk(module) for p in _parts(node)]
    around = min((r for r in wholes if r[0] <= line <= r[1]), key=_length, default=(line, line))
    own = [r for r in parts if around[0] < r[0] <= line <= r[1]]
    return min([around, *own], key=_length)


def _length(lines):
    return lines[1] - lines[0]


def _heads(node):
    """Yield the lines of a statement or clause, without those of a body."""
    if isinstance(node, ast.match_case):
        yield node.pattern.lineno, (node.guard or node.pattern).end_lineno
    if not isinstance(node, ast.stmt | ast.ExceptHandler):
        return
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    inner = [getattr(b, "pattern", b).lineno for b in _body(node)]
    yield first, max(min(inner) - 1, node.lineno) if inner else node.end_lineno


def _body(node):
    found = [*getattr(node, "body", []), *getattr(node, "cases", [])]
    return found + [d for b in found for d in getattr(b, "decorator_list", [])]


def _parts(node):
    """Yield what counts by itself where it has lines of its own."""
    match node:
        case ast.With(items=items) | ast.AsyncWith(items=items):
            yield from (item.context_expr for item in items)
        case ast.If(test=value) | ast.While(test=value) | ast.Assert(test=value):
            yield from _operands(value)
        case ast.Assign(value=value) | ast.Return(value=value) | ast.match_case(guard=value):
            yield from _operands(value)
        case ast.Lambda():
            yield node.body
        case value if isinstance(value, _COMPREHENSIONS):
            yield from _rounds(node)


def _rounds(comprehension):
    """Yield the expressions on a comprehension's later lines; what another one begins there goes
    with that.
    """
    inner = [n for n in ast.walk(comprehension) if isinstance(n, ast.expr) and n.lineno]
    loops = [n for n in inner if isinstance(n, _COMPREHENSIONS)]
    hidden = {n for d in loops for n in ast.walk(d) if getattr(n, "lineno", 0) == d.lineno} - {
        *loops
    }
    yield from (n for n in inner if comprehension.lineno < n.lineno and n not in hidden)


def _operands(value):
    """Yield what `and`, `or`, `not` and `if` choose between."""
    match value:
        case ast.BoolOp(values=values):
            pass
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            values = [operand]
        case ast.IfExp():
            values = [value.test, value.body, value.orelse]
        case _:
            return
    for operand in values:
        yield operand
        yield from _operands(operand)


@each_program
def test_a_tagged_line_is_hit_when_a_tracer_comes_there_and_sees_the_same_values(source):
    root, module = compiled(source), ast.parse(source)
    text = Text(tuple(source.split("\n")), "")
    for tag, line in tagged(source, "probe").items():
        _, chains = locate_in(root, text, Where("program", line))
        events, expected = traced(root, [chain[-1] for chain in chains])
        hits, outcome = probed(root, chains, line)
        assert (tag, outcome) == (tag, expected)
        assert (tag, hits) == (tag, merged(events, *merged_lines(module, line)))
        assert hits, f"{tag} is never reached"


def test_a_line_without_code_is_refused_with_lines_that_have_it():
    for source in PROGRAMS.values():
        text = Text(tuple(source.split("\n")), "")
        for line in tagged(source, "no code").values():
            with pytest.raises(LineNotExecutable) as refused:
                locate_in(compiled(source), text, Where("program", line))
            lines = line_map((compiled(source),))
            assert all(int(n) in lines for n in re.findall(r"\d+", refused.value.next_step))


def everywhere(root, make):
    """Rebuild a program with an insertion on each line that a place can resolve to."""
    return rebuild_tree(
        root,
        [
            (chain, make(variables(chain[-1]), line))
            for line, chains in line_map((root,)).items()
            for chain in chains
        ],
    )[0]


@each_program
def test_a_program_with_every_line_instrumented_gives_the_same(source):
    """Each expression that stands alone at the top level is kept, as it is then."""
    module = ast.parse(source)
    for statement in module.body:
        if isinstance(statement, ast.Expr):
            value = statement.value
            keep = ast.copy_location(ast.Name("keep", ast.Load()), value)
            statement.value = ast.copy_location(ast.Call(keep, [value], []), value)
    root = compile(module, "<program>", "exec", dont_inherit=True)

    def guarded(names, line):
        hit = names if line % 3 else ()
        guard = (lambda *values: True) if line % 2 else None
        return Insertion("p", line, guard, names if line % 2 else (), lambda *values: None, hit)

    kept = [], []
    assert run(root, keep=lambda v: kept[0].append(plain(v))) == run(
        everywhere(root, guarded), keep=lambda v: kept[1].append(plain(v))
    )
    assert kept[0] == kept[1]


@each_program
def test_a_tracer_sees_the_same_with_and_without_insertions(source):
    def seen(code):
        events = []

        def tracer(frame, event, argument):
            if frame.f_code.co_filename != "<program>":
                return None
            shown = plain(argument) if event == "return" else None
            events.append((frame.f_code.co_name, event, frame.f_lineno, shown))
            return tracer

        before = sys.gettrace()
        sys.settrace(tracer)
        try:
            return run(code), events
        finally:
            sys.settrace(before)

    root = compiled(source)
    assert seen(everywhere(root, lambda _, n: Insertion("p", n, int, (), int, ()))) == seen(root)


# What is checked is how code is laid out, not where insertions stand: not every program is needed.
@pytest.mark.parametrize("source", SMALL[::3])
def test_the_oracle_reads_the_result_as_we_meant_it(source):
    rebuilt = everywhere(compiled(source), lambda v, n: Insertion("p", n, int, v, int, v))
    for chain in tree(rebuilt):
        units = verify_identity(chain[-1])
        theirs = [
            instruction
            for instruction in ConcreteBytecode.from_code(chain[-1], extended_arg=False)
            if isinstance(instruction.opcode, int) and instruction.name != "CACHE"
        ]
        assert [(u.op, u.arg) for u in units if u.op in TAKES_ARGUMENT] == [
            (i.opcode, i.arg) for i in theirs if i.opcode in TAKES_ARGUMENT
        ]
        assert [u.op for u in units] == [i.opcode for i in theirs]
