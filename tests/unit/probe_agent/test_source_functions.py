from __future__ import annotations

import functools
import gc
import sys
import threading
import time
from types import ModuleType

import pytest

from probe_agent.probe import Where
from probe_agent.source.functions import SMALL_HEAP_BLOCKS
from probe_agent.source.live import find_functions
from probe_agent.source.program import Program

KINDS = """
import functools, dataclasses, abc, enum

registry = []

def plain():
    return 1  # probe: module function

def wraps(f):
    @functools.wraps(f)
    def wrapper(*a):
        return f(*a)
    return wrapper

def opaque(f):
    def wrapper(*a):
        return f(*a)
    return wrapper

class Wrapper:
    __slots__ = ("inner",)
    def __init__(self, inner):
        self.inner = inner
    def __call__(self, *a):
        return self.inner(*a)

class Descriptor:
    def __init__(self, f):
        self._f = f
    def __get__(self, owner, kind=None):
        raise RuntimeError("user code ran")

@wraps
def wrapped():
    return 1  # probe: decorator with wraps

@opaque
@opaque
def twice_wrapped():
    return 1  # probe: two decorators without wraps

@Wrapper
def instance_wrapped():
    return 1  # probe: decorator that makes an instance with slots

@functools.lru_cache
def cached():
    return 1  # probe: lru_cache

def partly(a):
    return 1  # probe: partial
half = functools.partial(partly, 1)
del partly

@functools.singledispatch
def dispatched(x):
    return 1
@dispatched.register
def _(x: int):
    return 1  # probe: singledispatch
del _

class Meta(type):
    def meta(cls):
        return 1  # probe: metaclass
    def __getattribute__(cls, name):
        raise RuntimeError("user code ran")

class Owner(metaclass=Meta):
    def method(self):
        return 1  # probe: method
    @staticmethod
    def static():
        return 1  # probe: staticmethod
    @classmethod
    def of_class(cls):
        return 1  # probe: classmethod
    @property
    def prop(self):
        return 1  # probe: property
    @functools.cached_property
    def cached_prop(self):
        return 1  # probe: cached_property
    @Descriptor
    def described(self):
        return 1  # probe: custom descriptor
    @functools.singledispatchmethod
    def m(self, x):
        return 1  # probe: singledispatchmethod
    @functools.wraps(static)
    @opaque
    def deep(self):
        return 1  # probe: wrapped method
    class Nested:
        def method(self):
            return 1  # probe: nested class

def register(f):
    registry.append({"call": f})

@register
def registered():
    return 1  # probe: registry only

def with_default(key=lambda x: (
        x)):  # probe: lambda in default
    return key

def make():
    class Local:
        def method(self):
            return 1  # probe: local class behind a bound method
    def inner():
        return 1  # probe: closure in a cell
    def outer():
        return inner
    return Local().method, outer
bound, closure = make()

@dataclasses.dataclass
class Record:
    made: list = dataclasses.field(default_factory=lambda: (
        []))  # probe: default factory

class Odd:
    def __getattribute__(self, name):
        raise RuntimeError("user code ran")
    def __len__(self):
        raise RuntimeError("user code ran")
    def __eq__(self, other):
        raise RuntimeError("user code ran")
    __hash__ = None
odd = Odd()
class OddList(list):
    def __len__(self):
        raise RuntimeError("user code ran")
odd_list = OddList([odd])

async def coroutine():
    return 1  # probe: coroutine

def generator():
    yield 1  # probe: generator

async def async_generator():
    yield 1  # probe: async generator

comprehended = (i for i in (
    1, 2)
    if i)  # probe: suspended generator expression of the module

class Colour(enum.Enum):
    RED = 1
    def shade(self):
        return 1  # probe: enum method
"""
TAGS = [line.rsplit("# probe: ", 1)[1] for line in KINDS.split("\n") if "# probe: " in line]


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    path = tmp_path_factory.mktemp("kinds") / "sf_kinds.py"
    path.write_text(KINDS)
    module = ModuleType("sf_kinds")
    module.__file__ = str(path)
    sys.modules["sf_kinds"] = module
    exec(compile(KINDS, str(path), "exec", dont_inherit=True), vars(module))
    yield module
    del sys.modules["sf_kinds"]


def line_of(tag):
    return next(
        n for n, line in enumerate(KINDS.split("\n"), 1) if line.endswith(f"# probe: {tag}")
    )


@pytest.fixture
def program():
    return Program(lambda code: code)


@pytest.mark.parametrize("tag", [pytest.param(tag, id=tag.replace(" ", "-")) for tag in TAGS])
def test_a_function_is_found_however_it_is_kept_running_no_user_code(kinds, program, tag):
    location = program.locate(Where("sf_kinds.py", line_of(tag)))
    ((*_, target),) = program.chains(location)
    functions = program.functions_using([target])
    assert functions
    assert all(f.__code__ is target for f in functions)
    referrers = {id(f) for f in gc.get_referrers(target) if getattr(f, "__code__", None) is target}
    assert {id(f) for f in functions} == referrers


def test_every_closure_of_one_definition_is_found(kinds, program):
    made = [kinds.make() for _ in range(5)]
    kinds.registry.extend(made)
    chains = program.chains(program.locate(Where("sf_kinds.py", line_of("closure in a cell"))))
    assert len(program.functions_using([chains[0][-1]])) == 6
    del kinds.registry[-5:]


def test_a_function_that_another_module_alone_keeps_is_found(kinds, program):
    elsewhere = ModuleType("sf_elsewhere")
    sys.modules["sf_elsewhere"] = elsewhere
    try:
        vars(kinds)["opaque_made"] = kinds.opaque(None)
        elsewhere.kept = {"f": kinds.opaque(len)}
        code = kinds.opaque_made.__code__
        line = code.co_firstlineno + 1
        chains = program.chains(program.locate(Where("sf_kinds.py", line)))
        functions = program.functions_using([chains[0][-1]])
        assert id(elsewhere.kept["f"]) in map(id, functions)
    finally:
        del sys.modules["sf_elsewhere"], kinds.opaque_made


def test_the_rest_of_the_program_is_walked_into_its_classes(kinds):
    elsewhere = ModuleType("sf_classes")
    kept = kinds.opaque(len)
    elsewhere.Holder = type("Holder", (), {"__module__": "sf_classes", "call": property(kept)})
    sys.modules["sf_classes"] = elsewhere
    try:
        found = find_functions(
            frozenset({kinds.__file__}), lambda code: code is kept.__code__, everywhere=True
        )
        assert id(kept) in map(id, found)
    finally:
        del sys.modules["sf_classes"]


def test_a_closure_in_a_running_frame_alone_is_found(kinds, program):
    started, end = threading.Event(), threading.Event()

    def run():
        hidden = kinds.opaque(len)
        started.set()
        end.wait(10)
        return hidden

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert started.wait(10)
        code = kinds.opaque(None).__code__
        chain = program.chains(program.locate(Where("sf_kinds.py", code.co_firstlineno + 1)))[0]
        users = program.functions_using([chain[-1]])
        held = {id(f) for f in gc.get_referrers(code) if getattr(f, "__code__", None) is code}
        is_small = sys.getallocatedblocks() < SMALL_HEAP_BLOCKS
        assert {id(f) for f in users} == held if is_small else {id(f) for f in users} <= held
    finally:
        end.set()
        thread.join(10)


def test_equal_code_of_another_module_is_not_taken(kinds, program):
    twin = ModuleType("sf_twin")
    head = KINDS[: KINDS.index("def wraps")]
    exec(compile(head, kinds.__file__, "exec", dont_inherit=True), vars(twin))
    kinds.twin_function = twin.plain
    try:
        assert twin.plain.__code__ == kinds.plain.__code__
        assert program.functions_using([kinds.plain.__code__]) == [kinds.plain]
    finally:
        del kinds.twin_function


def test_large_containers_are_not_entered(kinds, program):
    kinds.rows = [[i] for i in range(200_000)]
    try:
        before = time.thread_time()
        chains = program.chains(program.locate(Where("sf_kinds.py", line_of("module function"))))
        program.functions_using(chains[0])
        assert time.thread_time() - before < 1  # entering takes seconds
    finally:
        del kinds.rows


def test_lazy_and_odd_modules_are_not_woken(kinds, program):
    class Lazy(ModuleType):
        def __getattribute__(self, name):
            raise RuntimeError("user code ran")

    class NoModule:
        def __getattribute__(self, name):
            raise RuntimeError("user code ran")

    sys.modules["sf_lazy"], sys.modules["sf_none"] = Lazy("sf_lazy"), NoModule()
    try:
        chains = program.chains(program.locate(Where("sf_kinds.py", line_of("method"))))
        assert program.functions_using(chains[0])
    finally:
        del sys.modules["sf_lazy"], sys.modules["sf_none"]


def test_a_suspended_coroutine_does_not_hide_its_function(kinds, program):
    waiting = kinds.coroutine()
    chains = program.chains(program.locate(Where("sf_kinds.py", line_of("coroutine"))))
    assert program.functions_using(chains[0]) == [kinds.coroutine]
    waiting.close()


def test_partial_results_hold_nothing_after_the_walk(kinds, program):
    class Marked:
        pass

    marked = Marked()
    kinds.marked = functools.partial(print, marked)
    before = sys.getrefcount(marked)
    program.functions_using([kinds.plain.__code__])
    assert sys.getrefcount(marked) == before
    del kinds.marked
