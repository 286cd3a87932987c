"""Function versions: what was fast to call is fast again when the original is back."""

import dis
import subprocess
import sys
import types

import pytest

from probe_agent.rewrite import Insertion, Rewriter
from probe_agent.rewrite.versions import FunctionVersions

STAYS_CLEARED = sys.version_info >= (3, 13)
only_where_it_is_needed = pytest.mark.skipif(
    not STAYS_CLEARED, reason="this Python makes new versions by itself"
)
PROGRAM = """
def plain(x):
    return x  # probe: plain

class Account:
    def check(self, x):
        return x  # probe: check

    @property
    def balance(self):
        return 1  # probe: balance

    def __getitem__(self, key):
        return key  # probe: item

def call_plain(n):
    for i in range(n):
        plain(i)

account = Account()

def call_check(n):
    for i in range(n):
        account.check(i)

def call_balance(n):
    for i in range(n):
        account.balance

def call_item(n):
    for i in range(n):
        account[i]
"""
# What `call_...` calls.
CALLED = {
    "plain": lambda p: p.plain,
    "check": lambda p: p.Account.check,
    "balance": lambda p: vars(p.Account)["balance"].fget,
    "item": lambda p: p.Account.__getitem__,
}
NEVER_SPECIALISED = () if sys.version_info >= (3, 12) else ("balance",)
ENOUGH_CALLS = 2000  # for the interpreter to specialise, also after it has tried in vain before


@pytest.fixture
def program():
    namespace = {"__name__": "program"}
    exec(compile(PROGRAM, "<program>", "exec"), namespace)
    return types.SimpleNamespace(**namespace)


def rewriter_of(*functions):
    return Rewriter(lambda codes: list(functions))


def line_of(tag):
    return next(n for n, text in enumerate(PROGRAM.splitlines(), 1) if f"# probe: {tag}" in text)


def probe(probe_id, tag):
    return Insertion(probe_id, line_of(tag), None, (), int, ())


def specialised(caller):
    """Name what the interpreter has made of the instruction that makes a caller's calls."""
    caller(ENOUGH_CALLS)
    names = [i.opname for i in dis.get_instructions(caller, adaptive=True)]
    return [name for name in names if name.startswith(("CALL", "LOAD_ATTR", "BINARY_"))][-1]


@pytest.mark.parametrize("name", CALLED)
def test_calls_are_specialised_as_before_while_a_probe_is_there_and_after_it(program, name):
    function, caller = CALLED[name](program), getattr(program, f"call_{name}")
    before = specialised(caller)
    assert before.endswith(("PY_EXACT_ARGS", "PROPERTY", "GETITEM")) or name in NEVER_SPECIALISED
    rewriter = rewriter_of(function)
    rewriter.place((function.__code__,), probe("a", name))
    rewriter.place((function.__code__,), probe("b", name))
    assert specialised(caller) == before
    rewriter.remove("a")
    rewriter.remove("b")
    assert specialised(caller) == before


@pytest.mark.parametrize("name", CALLED)
def test_callers_met_for_the_first_time_after_a_removal_are_specialised_too(program, name):
    twin = types.SimpleNamespace()
    exec(compile(PROGRAM, "<program>", "exec"), twin.__dict__)
    expected = specialised(getattr(twin, f"call_{name}"))
    function = CALLED[name](program)
    rewriter = rewriter_of(function)
    rewriter.place((function.__code__,), probe("a", name))
    rewriter.remove("a")
    assert specialised(getattr(program, f"call_{name}")) == expected


@only_where_it_is_needed
def test_without_healing_the_calls_would_stay_slow(program):
    """What this is about; if it turns red, the interpreter has changed and `versions` can go."""
    program.plain.__code__ = program.plain.__code__.replace()
    assert specialised(program.call_plain) == "CALL"


@only_where_it_is_needed
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda f: setattr(f, "__defaults__", (1,)), id="defaults"),
        pytest.param(lambda f: setattr(f, "__kwdefaults__", {}), id="keyword defaults"),
        pytest.param(lambda f: setattr(f, "__code__", f.__code__.replace()), id="code"),
    ],
)
def test_a_version_that_the_application_has_cleared_stays_cleared(program, change):
    change(program.plain)
    expected = specialised(program.call_plain)
    rewriter = rewriter_of(program.plain)
    rewriter.place((program.plain.__code__,), probe("a", "plain"))
    rewriter.remove("a")
    assert specialised(program.call_plain) == expected


@only_where_it_is_needed
def test_a_change_by_the_application_while_a_probe_is_there_counts(program):
    rewriter = rewriter_of(program.plain)
    rewriter.place((program.plain.__code__,), probe("a", "plain"))
    program.plain.__defaults__ = (7,)
    rewriter.remove("a")
    assert specialised(program.call_plain) == "CALL"
    assert program.plain() == 7


def test_a_specialised_call_runs_what_the_function_holds_now(program):
    hits = []
    original = program.plain.__code__
    rewriter = rewriter_of(program.plain)
    insertion = Insertion("a", line_of("plain"), None, (), lambda: hits.append(1), ())
    program.call_plain(ENOUGH_CALLS)
    for _ in range(3):
        rewriter.place((original,), insertion)
        program.call_plain(ENOUGH_CALLS)
        rewriter.remove("a")
        program.call_plain(ENOUGH_CALLS)
    assert len(hits) == 3 * ENOUGH_CALLS


def test_it_says_where_versions_are_kept_and_why_not_elsewhere():
    assert bool(FunctionVersions().why_not) is not STAYS_CLEARED
    assert bool(FunctionVersions().in_code) is STAYS_CLEARED


def test_where_the_place_is_not_certain_code_is_set_as_anybody_would(program):
    versions = FunctionVersions(lambda: "no such thing here")
    assert versions.why_not
    original = program.plain.__code__
    other = original.replace(co_consts=(*original.co_consts, "more"))
    for code in (other, original):
        versions.set_code(program.plain, code)
        assert program.plain.__code__ is code
        program.call_plain(ENOUGH_CALLS)


def test_without_ctypes_probes_come_and_go_and_the_reason_is_said():
    program = """
import sys
sys.modules["ctypes"] = None
from probe_agent.rewrite import Insertion, Rewriter
from probe_agent.rewrite.versions import FunctionVersions
assert FunctionVersions().why_not
def function():
    yield 1
original, hits = function.__code__, []
rewriter = Rewriter(lambda codes: [function])
begun = function()
line = original.co_firstlineno + 1
insertion = Insertion("a", line, None, (), lambda: hits.append(1), (), run=lambda f, r: None)
reach = rewriter.place((original,), insertion)
assert list(function()) == hits == [1]
assert reach.frames_missed == (0 if sys.version_info >= (3, 13) else 1), reach
rewriter.remove("a")
assert function.__code__ is original
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_code_object_that_does_not_fit_is_refused_and_changes_nothing(program):
    versions = FunctionVersions()
    original = program.plain.__code__
    specialised_before = specialised(program.call_plain)
    cell = 1
    with pytest.raises(ValueError, match="free vars"):
        versions.set_code(program.plain, (lambda: cell).__code__)
    assert program.plain.__code__ is original
    assert specialised(program.call_plain) == specialised_before
