"""Capture: what the plain values look like, that no code runs, and that every limit holds."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import datetime
import enum
import fractions
import functools
import gc
import pathlib
import sys
import threading
import time
import types
import uuid
import weakref
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe_agent import plain
from probe_agent.capture import (
    CaptureLimits,
    make_capture,
    make_capture_all,
    stack_of,
    task_name,
    thread_name,
)
from probe_agent.literal import render

LIMITS = CaptureLimits()
CAPTURE = make_capture(LIMITS)


def shown(value: object) -> str:
    return render(CAPTURE(value))


class Trade:
    currency = "EUR"

    def __init__(self) -> None:
        self.id = "T-1"
        self.amount = "15000"
        self._lines = [1, 2]

    @property
    def total(self) -> int:
        raise AssertionError("a property ran")


class Slots:
    __slots__ = ("a", "b", "empty")

    def __init__(self) -> None:
        self.a = 1
        self.b = "x"


class SlotsAndDict(Slots):
    def __init__(self) -> None:
        super().__init__()
        self.c = 3


@dataclass(frozen=True)
class Frozen:
    x: int
    y: str = "q"


class Cached:
    def __init__(self) -> None:
        self.n = 5

    @cached_property
    def twice(self) -> int:
        return self.n * 2


class Status(enum.Enum):
    PAID = 1


class Level(enum.IntFlag):
    LOW = 1
    HIGH = 2


class TextLike(str):
    __slots__ = ()


class DictLike(dict):
    pass


class ListLike(list):
    def __len__(self) -> int:
        raise AssertionError("__len__ ran")


class DequeLike(deque):
    pass


class IntLike(int):
    pass


Point = namedtuple("Point", "x y")


class AppError(Exception):
    pass


def price() -> None: ...


def after_use(value: Cached) -> Cached:
    assert value.twice
    return value


SHOWN = [
    (15000, "15000"),
    ("15000", "'15000'"),
    (True, "True"),
    (None, "None"),
    (1.5, "1.5"),
    (float("nan"), "nan"),
    (2j, "2j"),
    (b"ab", "b'ab'"),
    (bytearray(b"ab"), "bytearray(b'ab')"),
    ([1, "a", None], "[1, 'a', None]"),
    ([], "[]"),
    ((1,), "(1,)"),
    ((), "()"),
    ({1}, "{1}"),
    (set(), "set()"),
    (frozenset({1}), "frozenset({1})"),
    (deque([1, 2]), "deque([1, 2])"),
    ({"a": {"b": [1]}}, "{'a': {'b': [1]}}"),
    ({1: 2, (1, 2): 3, None: 4}, "{1: 2, (1, 2): 3, None: 4}"),
    (OrderedDict(a=1), "OrderedDict({'a': 1})"),
    (defaultdict(list, a=[1]), "defaultdict({'a': [1]})"),
    (Counter("aab"), "Counter({'a': 2, 'b': 1})"),
    (list(range(100)), f"[{', '.join(map(str, range(20)))}, ... +80]"),
    ("x" * 300, f"'{'x' * 200}' +100"),
    (b"x" * 300, f"b'{'x' * 200}' +100"),
    (["x" * 300], f"['{'x' * 200}' +100]"),
    (1 << 1000, "<int 0x8000000000000000... bits=1001>"),
    ([1 << 1000], "[<int 0x8000000000000000... bits=1001>]"),
    (-(1 << 1000), "<int -0x8000000000000000... bits=1001>"),
    ("\ud800", r"'\ud800'"),
    (Decimal("1.50"), "Decimal('1.50')"),
    (Decimal("NaN"), "Decimal('NaN')"),
    (fractions.Fraction(1, 3), "Fraction(1, 3)"),
    (datetime.date(2026, 11, 21), "date(2026, 11, 21)"),
    (datetime.datetime(2026, 11, 21, 9, 30), "datetime(2026, 11, 21, 9, 30)"),
    (
        datetime.datetime(2026, 11, 21, 9, 30, tzinfo=datetime.UTC),
        "datetime(2026, 11, 21, 9, 30, tzinfo=UTC)",
    ),
    (
        datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
        "datetime(2026, 1, 1, 0, 0, tzinfo=timezone(timedelta(seconds=7200)))",
    ),
    (datetime.time(9, 30), "time(9, 30)"),
    (datetime.timedelta(days=1), "timedelta(days=1)"),
    (uuid.UUID(int=5), "UUID('00000000-0000-0000-0000-000000000005')"),
    (pathlib.PurePosixPath("/a", "b"), "PurePosixPath('/a/b')"),
    (range(3), "range(0, 3)"),
    (..., "Ellipsis"),
    (price, "<function price>"),
    (len, "<function len>"),
    (Trade, "<class Trade>"),
    (Trade().__init__, "<method Trade.__init__>"),
    (sys, "<module sys>"),
    (ValueError("bad row"), "<ValueError('bad row')>"),
    (AppError("x", [1]), "<AppError('x', [1])>"),
    (Status.PAID, "Status.PAID"),
    (Level.LOW, "Level.LOW"),
    (Level.LOW | Level.HIGH, "Level.LOW|HIGH"),
    (Trade(), "Trade(id='T-1', amount='15000', _lines=[1, 2], total=<property total: not run>)"),
    (Slots(), "Slots(a=1, b='x')"),
    (SlotsAndDict(), "SlotsAndDict(a=1, b='x', c=3)"),
    (Frozen(1), "Frozen(x=1, y='q')"),
    (Cached(), "Cached(n=5, twice=<property twice: not run>)"),
    (after_use(Cached()), "Cached(n=5, twice=10)"),
    (Point(1, 2), "Point(x=1, y=2)"),
    (TextLike("abc"), "TextLike('abc')"),
    (DictLike(a=1), "DictLike({'a': 1})"),
    (ListLike([1, 2]), "ListLike([1, 2])"),
    (IntLike(5), "IntLike(5)"),
    (object(), "<object>"),
    (iter([]), "<list_iterator>"),
    ((n for n in []), "<generator>"),
    (threading.Lock(), "<lock>"),
    (plain.UNBOUND, "<unbound>"),
]


@pytest.mark.parametrize(
    ("value", "literal"), SHOWN, ids=lambda v: str(v)[:30] if isinstance(v, str) else ""
)
def test_a_value_is_shown_with_its_type_visible(value, literal):
    assert shown(value) == literal


def test_a_format_can_be_applied_to_an_exact_number_or_date():
    assert CAPTURE(Decimal("1.5"))[3] == Decimal("1.5")
    assert CAPTURE(datetime.date(2026, 1, 1))[3] == datetime.date(2026, 1, 1)


def test_fields_are_shown_however_they_were_stored():
    thing = Trade()
    thing.late = 1
    setattr(thing, "not a name", 2)
    thing.__dict__[5] = 6
    assert shown(thing).startswith("Trade(id='T-1', amount='15000', _lines=[1, 2], late=1, 'not a")
    plain_object = types.SimpleNamespace(a=1)
    assert shown(plain_object) == "SimpleNamespace(a=1)"
    dynamic = type("Dynamic", (), {})()
    for n in range(40):
        setattr(dynamic, f"f{n}", n)
    assert shown(dynamic).endswith("f19=19, ... +20)")
    assert shown(type("Empty", (), {})()) == "Empty()"


class DefaultsInClass:
    x = None
    y = None
    cache: dict[str, int]

    def __init__(self, *, stores: bool, more: dict[str, int]) -> None:
        if stores:
            self.x = None
        for name, value in more.items():
            setattr(self, name, value)


@pytest.mark.parametrize(
    ("stores", "more", "literal"),
    [
        (False, {}, "DefaultsInClass()"),
        (True, {}, "DefaultsInClass(x=None)"),
        (True, {"z": 1}, "DefaultsInClass(x=None, z=1)"),
        (False, {"cache": {"x": 1}}, "DefaultsInClass(cache={'x': 1})"),
        (False, {"cache": {}}, "DefaultsInClass(cache={})"),
        (False, {"z": {"x": 1}}, "DefaultsInClass(z={'x': 1})"),
        (False, {"z": {}}, "DefaultsInClass(z={})"),
        (True, {"z": {"x": None}}, "DefaultsInClass(x=None, z={'x': None})"),
    ],
)
@pytest.mark.parametrize("has_dict", [False, True])
def test_fields_are_complete_whether_or_not_the_instance_has_a_dict_yet(
    stores, more, literal, has_dict
):
    thing = DefaultsInClass(stores=stores, more=more)
    if has_dict:
        assert thing.__dict__ is not None
    for _ in range(2):
        assert shown(thing) == literal


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="__dict__ costs nothing from 3.13 on")
@pytest.mark.parametrize("make", [Trade, lambda: Frozen(1), Cached])
def test_no_dict_of_an_instance_is_made_that_was_not_there(make):
    thing = make()
    values = gc.get_referents(thing)
    shown(thing)
    assert gc.get_referents(thing) == values
    assert len(values) > 2 or dict not in map(type, values)


def test_cycles_and_depth_are_marked():
    loop: list[object] = [1]
    loop.append({"self": loop})
    assert shown(loop) == "[1, {'self': <cycle>}]"
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]
    assert shown(deep) == "[[[[<deeper>]]]]"
    trade = Trade()
    trade.me = trade
    assert "me=<cycle>" in shown(trade)
    same = [1]
    assert shown([same, same]) == "[[1], [1]]"


def test_an_ordered_dict_is_shown_in_its_own_order():
    ordered = OrderedDict(a=1, b=2)
    ordered.move_to_end("a")
    assert shown(ordered) == "OrderedDict({'b': 2, 'a': 1})"


def test_strings_with_half_a_surrogate_pair_survive_everywhere():
    text = "a\ud800b"
    assert CAPTURE({text: [text]}) == (
        plain.MAPPING, "dict", ((text, (plain.SEQUENCE, "list", (text,), 1)),), 1
    )  # fmt: skip


# ---- limits


def walk(value: object, depth: int = 0):
    """Yield (node, depth) for a plain value and everything in it, checking the shapes."""
    yield value, depth
    if type(value) is not tuple:
        assert type(value) in plain.ATOMS
        return
    match value:
        case (plain.SEQUENCE | plain.EXCEPTION, str(), tuple(items), int()):
            inside = items
        case (plain.MAPPING, str(), tuple(pairs), int()):
            inside = [x for pair in pairs for x in pair]
        case (plain.OBJECT, str(), tuple(fields), int()):
            assert all(type(n) is str for n, _ in fields)
            # What an instance of a builtin's subclass holds is the instance itself.
            for content in (v for n, v in fields if n == ""):
                yield from list(walk(content, depth))[1:]
            inside = [v for n, v in fields if n]
        case (plain.CUT_STR, str(), int()) | (plain.CUT_BYTES, bytes(), int()):
            return
        case (
            (plain.CUT_INT, str(), int()) | (plain.MARK, str()) | (plain.VERBATIM, str(), str(), *_)
        ):
            return
        case _:
            raise AssertionError(value)
    for item in inside:
        yield from walk(item, depth + 1)


def check_limits(value: object, limits: CaptureLimits) -> None:
    captured = make_capture(limits)(value)
    nodes = list(walk(captured))
    assert len(nodes) <= limits.nodes + 1
    assert max(depth for _, depth in nodes) <= limits.depth
    for node, _ in nodes:
        match node:
            case str() | bytes():
                assert len(node) <= limits.length
            case int():
                assert abs(node) < 1 << 640
            case (plain.CUT_STR | plain.CUT_BYTES, head, total):
                assert len(head) <= limits.length < total
            case (plain.SEQUENCE | plain.MAPPING | plain.EXCEPTION, _, items, total):
                assert len(items) <= min(limits.items, total)
            case (plain.OBJECT, _, fields, total):
                assert len(fields) <= min(limits.fields, total) or total == 1


ATOMS = st.one_of(
    st.integers(), st.text(max_size=40), st.binary(max_size=40), st.floats(), st.none(),
    st.booleans(), st.integers(10**250, 10**260), st.decimals(), st.datetimes(),
)  # fmt: skip
KEYS = st.one_of(st.text(max_size=10), st.integers(), st.tuples(st.integers(), st.text()))


def containers(inner):
    return st.one_of(
        st.lists(inner, max_size=8),
        st.dictionaries(KEYS, inner, max_size=8),
        st.lists(inner, max_size=5).map(tuple),
        st.lists(inner, max_size=5).map(deque),
        st.sets(st.integers(), max_size=8),
        inner.map(lambda v: types.SimpleNamespace(a=v, b=v)),
        inner.map(ValueError),
        st.lists(inner, max_size=5).map(DequeLike),
    )


SMALL_LIMITS = st.builds(
    CaptureLimits,
    depth=st.integers(1, 4),
    items=st.integers(1, 6),
    length=st.integers(1, 30),
    fields=st.integers(1, 4),
    nodes=st.integers(1, 30),
)


@settings(max_examples=200, deadline=None)
@given(st.recursive(ATOMS, containers, max_leaves=40), SMALL_LIMITS)
def test_every_limit_holds_for_any_value(value, limits):
    check_limits(value, limits)


def adversaries():
    wide = {f"k{n}": {f"j{m}": "x" * 1000 for m in range(100)} for n in range(100)}
    many = types.SimpleNamespace(**{f"f{n}": n for n in range(100_000)})
    deep: object = {}
    for _ in range(10_000):
        deep = {"a": deep, "b": [deep]}
    objects = [Trade() for _ in range(1000)]
    return {
        "a dict of 10**6 keys": dict.fromkeys(range(1_000_000)),
        "a list of 10**6": list(range(1_000_000)),
        "a set of 10**6": set(range(1_000_000)),
        "a str of 10**7": "x" * 10**7,
        "bytes of 10**7": b"x" * 10**7,
        "an int of 10**8 bits": 1 << 10**8,
        "a negative int of 10**8 bits": -(1 << 10**8),
        "a Decimal of 10**6 digits": Decimal("1" * 10**6),
        "wide": wide,
        "many fields": many,
        "deep": deep,
        "objects of objects": [[[o, objects] for o in objects] for _ in range(100)],
    }


def test_the_worst_values_are_copied_within_10_ms():
    for name, value in adversaries().items():
        check_limits(value, LIMITS)
        best = 1.0
        for _ in range(5):
            started = time.thread_time()
            CAPTURE(value)
            best = min(best, time.thread_time() - started)
        assert best < 0.01, name


def test_the_values_of_one_hit_share_the_nodes():
    capture_all = make_capture_all(CaptureLimits(nodes=50))
    captured = capture_all([list(range(20)) for _ in range(10)])
    assert sum(len(list(walk(value))) - 1 for value in captured) == 50
    assert all(total == 20 for _, _, _, total in captured)


# ---- nothing runs, nothing stays, nothing changes


SPECIAL = [
    "repr",
    "str",
    "bytes",
    "format",
    "lt",
    "le",
    "eq",
    "ne",
    "gt",
    "ge",
    "bool",
    "len",
    "iter",
    "next",
    "contains",
    "getitem",
    "setitem",
    "delitem",
    "call",
    "index",
    "int",
    "float",
    "complex",
    "round",
    "reversed",
    "missing",
    "length_hint",
    "sizeof",
    "reduce",
    "reduce_ex",
    "getstate",
    "dir",
    "instancecheck",
    "subclasscheck",
    "fspath",
    "class_getitem",
    "copy",
    "deepcopy",
    "getattr",
]


class Boom(Exception):
    pass


def booby_trapped(base: type, *, slots: bool = False) -> object:
    armed: list[bool] = []

    def trap(*_: object, **__: object) -> None:
        if armed:
            raise Boom

    meta_names = [n for n in SPECIAL if n not in ("call", "class_getitem")]
    meta_traps = {f"__{n}__": trap for n in meta_names} | {
        "__hash__": trap,
        "mro_trap": property(trap),
    }
    meta_traps["__name__"] = property(trap)
    meta = type("Meta", (type,), meta_traps)
    traps: dict[str, object] = {f"__{n}__": trap for n in SPECIAL}
    traps |= {"__class__": property(trap), "prop": property(trap), "__getattribute__": trap}
    traps |= {"__del__": lambda self: None, "__dict__": property(trap)} if slots else {}
    traps["_name_"] = property(trap)
    traps["_fields"] = property(trap)
    traps["args"] = property(trap)
    if slots and base in (object, list, dict, set, ValueError):
        traps["__slots__"] = ("stored",)
    made = meta("Trap", (base,), traps)
    instance = base.__new__(made)
    if slots or base is object:
        with contextlib.suppress(AttributeError):
            object.__setattr__(instance, "stored", 1)
    armed.append(True)
    return instance


@pytest.mark.parametrize("slots", [False, True])
@pytest.mark.parametrize(
    "base", [object, int, str, bytes, float, list, dict, tuple, set, frozenset, deque, ValueError,
             bytearray, complex, OrderedDict, defaultdict, threading.Thread],
)  # fmt: skip
def test_no_code_of_the_application_runs(base, slots):
    value = booby_trapped(base, slots=slots)
    for held in (value, [value], {"a": value}, (value, 1), deque([value]), ValueError(value)):
        assert CAPTURE(held) is not None
        assert isinstance(shown(held), str)
    assert shown(type(value)).startswith("<class ")


def test_keys_of_unknown_types_are_neither_hashed_nor_compared():
    calls = []

    class Key:
        def __hash__(self) -> int:
            calls.append("hash")
            return 5

        def __eq__(self, other: object) -> bool:
            calls.append("eq")
            return False

    values = [{Key(): 1, Key(): 2}, OrderedDict([(Key(), 1), (Key(), 2)]), {Key(), Key()}]
    odd = Trade()
    odd.__dict__[Key()] = 1
    calls.clear()
    for value in (*values, odd):
        shown(value)
    assert calls == []


def test_a_type_whose_name_is_no_exact_str_is_named_all_the_same():
    class Name(str):
        __slots__ = ()

        def __format__(self, spec: str) -> str:
            raise Boom

        __str__ = __repr__ = __getitem__ = __format__

    made = type(Name("Odd"), (), {})
    assert type(CAPTURE(made())[1]) is str
    assert shown(made()) == "Odd()"
    nameless = type("", (), {})
    assert shown(nameless()) == "''()"


def leaves(value: object):
    for node, _ in walk(value):
        yield node
        if type(node) is tuple:
            yield from (x for x in node if type(x) not in (tuple, int))


def test_no_reference_to_an_object_of_the_application_is_kept():
    class Thing:
        def __init__(self) -> None:
            self.inner = [{"k": (1, 2)}, {3}, deque([4]), Slots()]
            self.pair = ("a", "b")

    thing = Thing()
    gone = weakref.ref(thing)
    gone_class = weakref.ref(Thing)
    capture = make_capture(LIMITS)
    captured = capture(thing)
    theirs = {id(thing), id(thing.inner), id(thing.pair), *map(id, thing.inner)}
    reached, waiting = set(), [captured]
    while waiting:
        node = waiting.pop()
        if id(node) not in reached:
            reached.add(id(node))
            waiting += gc.get_referents(node)
    assert not reached & theirs
    del thing
    assert gone() is None
    del Thing
    gc.collect()
    assert gone_class() is None


def test_reference_counts_are_as_before():
    value = {"a": [object()], "b": Trade()}
    parts = [value, value["a"], value["a"][0], value["b"], Trade]
    CAPTURE(value)
    before = [sys.getrefcount(p) for p in parts]
    for _ in range(100):
        CAPTURE(value)
    assert [sys.getrefcount(p) for p in parts] == before


def test_capturing_changes_nothing():
    value = defaultdict(list, a=[1])
    path = pathlib.PurePosixPath("a", "b")
    iterator = iter([1, 2])
    before = copy.deepcopy(value)
    for each in (value, path, iterator):
        shown(each)
    assert value == before
    assert next(iterator) == 1


def test_a_dict_that_changes_while_it_is_copied_is_shown_or_marked():
    stop = threading.Event()
    shared: dict[int, int] = {}

    def change() -> None:
        n = 0
        while not stop.is_set():
            shared[n % 50] = n
            shared.pop((n * 7) % 50, None)
            n += 1

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(2000):
            assert shown(shared).startswith(("{", "<error RuntimeError"))
    finally:
        stop.set()
        thread.join(10)


# ---- surroundings


def test_the_stack_is_listed_from_the_frame_outwards():
    def inner() -> tuple[tuple[str, int, str], ...]:
        return stack_of(sys._getframe(), 2)

    stack = inner()
    assert [(file, name.split(".")[-1]) for file, _, name in stack] == [
        (__file__, "inner"),
        (__file__, "test_the_stack_is_listed_from_the_frame_outwards"),
    ]
    assert all(line > 0 for _, line, _ in stack)
    assert stack_of(sys._getframe(), 0) == ()
    assert len(stack_of(sys._getframe(), 10_000)) < 10_000


def named_by(run) -> str:
    names = []
    run(lambda: names.append(thread_name()))
    return names[0]


def test_a_thread_is_named_without_registering_it_or_asking_it():
    class Named(threading.Thread):
        @property
        def name(self) -> str:
            raise Boom

        @name.setter
        def name(self, value: str) -> None: ...

    def start(make, function) -> None:
        thread = make(function)
        thread.start()
        thread.join(10)

    assert thread_name() == threading.current_thread().name
    assert (
        named_by(lambda f: start(lambda g: threading.Thread(target=g, name="worker"), f))
        == "worker"
    )
    assert named_by(lambda f: start(lambda g: Named(target=g), f)).startswith("Thread-")

    import _thread

    done = threading.Event()
    found: list[object] = []

    def foreign() -> None:
        found.append(thread_name())
        found.append(_thread.get_ident() in threading._active)
        done.set()

    _thread.start_new_thread(foreign, ())
    assert done.wait(10)
    assert str(found[0]).startswith("thread-")
    assert found[1] is False


def test_a_task_is_named_if_one_runs():
    assert task_name() is None

    async def main() -> str | None:
        task = asyncio.create_task(inner(), name="checkout")
        return await task

    async def inner() -> str | None:
        return task_name()

    async def with_odd_loop() -> str | None:
        return task_name()

    class OddLoop(asyncio.SelectorEventLoop):
        def __hash__(self) -> int:
            calls.append(1)
            return 5

    calls: list[int] = []
    assert asyncio.run(main()) == "checkout"
    with asyncio.Runner(loop_factory=OddLoop) as runner:
        runner.run(inner_counting(calls))


async def inner_counting(calls: list[int]) -> None:
    calls.clear()
    assert task_name() is None
    assert calls == []


def test_no_dict_is_made_for_what_c_gave_room_for_one():
    for make in (lambda: functools.partial(int, "1"), lambda: ValueError("x")):
        thing = make()
        shown(thing)
        assert len(gc.get_referents(thing)) == len(gc.get_referents(make()))
    inner = functools.partial(int, "1")
    shown(inner)
    assert functools.partial(inner, base=2).func is int
    inner.note = "kept"
    assert "note='kept'" in shown(inner)
