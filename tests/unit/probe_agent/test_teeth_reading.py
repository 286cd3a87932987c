"""One case for each thing that the reading of values refuses: without that rule, code of the
application's would run, or a value be told that Python would not give.

`tests/teeth` switches the rules off one by one, and looks that the case turns red.
"""

import gc
import re
import subprocess
import sys
import tracemalloc
import types
from collections import OrderedDict, UserDict, defaultdict, deque, namedtuple

import pytest

from probe_agent.expression import check, compile_expression
from probe_agent.reading import (
    EvaluationError,
    attributes,
    keys,
    make_attribute,
    make_item,
    readers,
)
from probe_agent.reading.attributes import instance_dict
from probe_agent.reading.kinds import DICT_IS_FREE


class Boom(Exception):
    pass


class Armed:
    """Raises Boom from whatever it is put in place of, once it is armed."""

    def __init__(self):
        self.is_armed = False

    def __call__(self, *arguments, **names):
        if self.is_armed:
            raise Boom


TRAP = Armed()
COMPARED = dict.fromkeys(["__eq__", "__ne__", "__lt__", "__gt__", "__le__", "__ge__"])


def trapped(base, value=(), **more):
    """An instance of a subclass of a builtin whose operators are traps."""
    names = [
        "add",
        "radd",
        "mul",
        "rmul",
        "neg",
        "pos",
        "pow",
        "contains",
        "getitem",
        "len",
        "iter",
        "index",
    ]
    traps = {f"__{name}__": lambda *a: TRAP() for name in names}
    traps |= {name: lambda *a: TRAP() for name in COMPARED} | {"__hash__": base.__hash__}
    return type("Trapped", (base,), traps | more)(*value)


class Key:
    """A key that a lookup of 'a' would compare with."""

    def __hash__(self):
        return hash("a")

    def __eq__(self, other):
        return TRAP()


class TextKey(str):
    """The same, that can be a name in a class too."""

    __hash__ = str.__hash__

    def __eq__(self, other):
        return TRAP()


def odd_class(*bases, name="a"):
    """A class with a key that a lookup would run code of."""
    made = type("Odd", bases, {TextKey(name): 1})
    assert any(type(key) is TextKey for key in vars(made))
    return made


def reads_nothing(text, **values):
    """Evaluate three times; each must be refused, and no trap may go off."""
    checked = check(text)
    evaluate = compile_expression(checked)
    arguments = [values[name] for name in checked.names]
    for _ in range(3):
        TRAP.is_armed = True
        try:
            with pytest.raises(EvaluationError):
                evaluate(*arguments)
        finally:
            TRAP.is_armed = False


BIG_TEXT, BIG_INT = "x" * 2_000_000, 1 << 2_000_000
DEEP = [[[1]]]
FIVE = trapped(int, (5,))
TEXT = trapped(str, ("a",))

OPERATIONS = {
    "comparing a left subclass of str": ("x == y", {"x": TEXT, "y": "b"}),
    "comparing a right subclass of str": ("x == y", {"x": "b", "y": TEXT}),
    "comparing long texts": ("x < y", {"x": BIG_TEXT, "y": BIG_TEXT}),
    "comparing a huge left number": ("x == y", {"x": BIG_INT, "y": 1.5}),
    "comparing a huge right number": ("x == y", {"x": 1.5, "y": BIG_INT}),
    "comparing a left subclass of int": ("x == y", {"x": FIVE, "y": 5}),
    "comparing a right subclass of int": ("x == y", {"x": 5, "y": FIVE}),
    "comparing a left list of traps": ("x == y", {"x": [FIVE], "y": [5]}),
    "comparing a right list of traps": ("x == y", {"x": [5], "y": [FIVE]}),
    "comparing deep lists": ("x == y", {"x": DEEP, "y": DEEP}),
    "comparing a list of huge numbers": ("x == y", {"x": [BIG_INT], "y": [BIG_INT]}),
    "comparing many long texts": ("x == y", {"x": ["x" * 900_000] * 9, "y": ["y"]}),
    "comparing dicts with traps for keys": ("x == y", {"x": {Key(): 1}, "y": {"a": 1}}),
    "searching a text for another type": ("x in y", {"x": trapped(str, ("a",)), "y": "abc"}),
    "searching a long text": ("x in y", {"x": "ab" * 5000, "y": "ab" * 50_000}),
    "searching a list for a trap": ("x in y", {"x": FIVE, "y": [5]}),
    "searching a list of traps": ("x in y", {"x": 5, "y": [FIVE]}),
    "searching a set for a trap": ("x in y", {"x": FIVE, "y": {5}}),
    "searching a set for a huge text": ("x in y", {"x": BIG_TEXT, "y": {5}}),
    "searching a set of traps": ("x in y", {"x": "a", "y": {Key()}}),
    "searching a large set": ("x in y", {"x": "a", "y": set(range(5000))}),
    "searching a range for a float": ("x in y", {"x": 1.5, "y": range(10)}),
    "searching a dict with traps for keys": ("x in y", {"x": "a", "y": {Key(): 1}}),
    "searching an unknown container": ("x in y", {"x": 1, "y": trapped(list)}),
    "negating a trap": ("-x", {"x": FIVE}),
    "the plus sign of a trap": ("+x", {"x": FIVE}),
    "adding a left trap": ("x + y", {"x": FIVE, "y": 1}),
    "adding a right trap": ("x + y", {"x": 1, "y": FIVE}),
    "a large power": ("x ** y", {"x": 7, "y": 4000}),
    "a power of a large number": ("x ** y", {"x": 1 << 100, "y": 60}),
    "calculating with a huge number": ("x + y", {"x": 1 << 5000, "y": 1}),
    "joining a trap": ("x + y", {"x": TEXT, "y": TEXT}),
    "joining long texts": ("x + y", {"x": "x" * 40_000, "y": "x" * 40_000}),
    "repeating a trap": ("x * y", {"x": 2, "y": TEXT}),
    "repeating by a trap": ("x * y", {"x": "a", "y": FIVE}),
    "repeating often": ("x * y", {"x": "a" * 1000, "y": 1000}),
    "filling a text": ("x % y", {"x": "%s", "y": FIVE}),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_that_could_run_code_or_take_long_is_refused(name):
    text, values = OPERATIONS[name]
    reads_nothing(text, **values)


def test_a_list_that_is_too_long_to_compare_is_not_even_copied():
    long = [0] * 1_000_000
    tracemalloc.start()
    try:
        reads_nothing("x == y", x=long, y=long)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_text_and_bytes_are_not_compared_by_python_which_might_warn():
    program = """
from probe_agent.expression import check, compile_expression
for text, expected in (("x == y", False), ("x != y", True)):
    assert compile_expression(check(text))("a", b"a") is expected
"""
    subprocess.run([sys.executable, "-bb", "-c", program], check=True, timeout=60)


# ---- attributes


def instance(**members):
    return type("Made", (), members)()


def with_dict(made, **stored):
    object.__setattr__(made, "__dict__", stored)
    return made


def with_key(made):
    made.__dict__[Key()] = 1
    return made


class Slots:
    __slots__ = ("__dict__", "b", "c")

    def __init__(self):
        self.b, self.c = [1], [2]


class LongerTuple(tuple):
    """Has a dict, and items of variable number."""


class Metaclass(type):
    @property
    def a(cls):
        return TRAP()


class PlainMetaclass(type):
    pass


class GetOnly:
    """Python asks it only where the instance has nothing of that name."""

    def __get__(self, instance, owner=None):
        return TRAP() or 1


class GetAndSet(GetOnly):
    def __set__(self, instance, value):
        TRAP()


class GetAndDelete(GetOnly):
    def __delete__(self, instance):
        TRAP()


class OwnDict:
    """Puts something else where its `__dict__` should be."""

    @property
    def __dict__(self):
        return TRAP()


def module_with_trap():
    module = types.ModuleType("m")
    module.__dict__[Key()] = 1
    return module


def slot_of_another_class():
    """A member descriptor that is found in a class it does not belong to."""

    class Owner:
        __slots__ = ("a",)

    class Stranger:
        pass

    Stranger.a = Owner.__dict__["a"]
    return Stranger()


def computed_by_all(base=object):
    return type("All", (base,), {"__getattribute__": lambda self, name: TRAP() or 7})


ATTRIBUTES = {
    "a property": lambda: instance(a=property(lambda self: TRAP())),
    "a method": lambda: instance(a=lambda self: TRAP()),
    "a descriptor": lambda: instance(a=GetOnly()),
    "a property before a stored value": lambda: with_dict(instance(a=property(TRAP)), a=1),
    "a descriptor that sets before a stored value": lambda: with_dict(instance(a=GetAndSet()), a=1),
    "a descriptor that deletes before a stored value": lambda: with_dict(
        instance(a=GetAndDelete()), a=1
    ),
    "a class that computes all attributes": lambda: with_dict(computed_by_all()(), a=1),
    "an instance with a trap for a key": lambda: with_key(instance()),
    "an instance with slots and a trap for a key": lambda: with_key(Slots()),
    "a tuple with a dict with a trap for a key": lambda: with_key(LongerTuple((1, 2, 3))),
    "a class with a trap for a key": lambda: odd_class(object)(),
    "a base with a trap for a key": lambda: type("Inner", (odd_class(object),), {})(),
    "a module with a trap for a key": module_with_trap,
    "a class object with a trap for a key": lambda: odd_class(object),
    "a property of a metaclass": lambda: Metaclass("Made", (), {"a": 1}),
    "a property of a class object": lambda: type("Made", (), {"a": property(TRAP)}),
    "a descriptor of a class object": lambda: type("Made", (), {"a": GetOnly()}),
    "a metaclass with a trap for a key": lambda: odd_class(type)("Made", (), {}),
    "a metaclass that computes all attributes": lambda: computed_by_all(type)("Made", (), {"a": 1}),
    "a field of another class's": slot_of_another_class,
    "a namedtuple's field in another class": lambda: instance(
        a=vars(namedtuple("Pair", "a b"))["a"]
    ),
    "a dictionary that a class puts in its place": lambda: type(
        "Cached", (OwnDict,), {"a": GetOnly()}
    )(),
}


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_an_attribute_that_is_not_stored_plainly_is_refused(name):
    reads_nothing("x.a", x=ATTRIBUTES[name]())


def test_a_field_that_the_interpreter_computes_is_no_stored_field():
    def function():
        yield 1

    reads_nothing("x.gi_frame", x=function())
    try:
        raise KeyError
    except KeyError as error:
        reads_nothing("x.tb_frame", x=error.__traceback__)


def test_a_dictionary_is_not_read_where_a_class_has_a_say_in_it():
    own, odd = OwnDict(), odd_class(object, name="__dict__")()
    TRAP.is_armed = True
    try:
        assert instance_dict(own) is None
        assert instance_dict(odd) is None
        assert instance_dict(5) is None
    finally:
        TRAP.is_armed = False

    class NotADict:
        pass

    class Odd:
        pass

    class Held(dict):
        pass

    odd = Odd()
    odd.__dict__ = Held(a=1)
    assert instance_dict(odd) is None


def test_what_getattr_would_compute_is_not_computed():
    computing = type("Computing", (), {"__getattr__": lambda self, name: TRAP() or 7})
    reads_nothing("x.missing", x=computing())
    stored = with_dict(computing(), a=1)
    read = make_attribute("a")
    assert [read(stored) for _ in range(3)] == [1, 1, 1]
    del stored.a
    TRAP.is_armed = True
    try:
        with pytest.raises(EvaluationError):
            read(stored)
    finally:
        TRAP.is_armed = False


def test_a_reader_that_knows_a_class_still_looks_at_each_instance():
    class Known:
        def __init__(self):
            self.a, self.b, self.c = 1, 2, 3

    read = make_attribute("a")
    assert [read(Known()) for _ in range(3)] == [1, 1, 1]
    odd = Known()
    vars(odd).clear()
    vars(odd)[Key()] = 1
    TRAP.is_armed = True
    try:
        with pytest.raises(EvaluationError):
            read(odd)
    finally:
        TRAP.is_armed = False


class Interrupted(AttributeError):
    """What a signal handler could raise just then."""


def test_an_exception_like_ours_that_a_signal_handler_raises_passes_through_a_read():
    class Interrupting:
        def __get__(self, instance, owner):
            raise Interrupted

    odd = instance(a=Interrupting())
    with pytest.raises(Interrupted):
        attributes._get(odd, "a")


# ---- items, slices, truth

ITEMS = {
    "of a subclass of dict": ("x[k]", {"x": trapped(dict), "k": "a"}),
    "of a subclass of list": ("x[k]", {"x": trapped(list, ([1],)), "k": 0}),
    "of what only looks like a dict": ("x[k]", {"x": UserDict(a=1), "k": "a"}),
    "by a subclass of int": ("x[k]", {"x": [1, 2], "k": trapped(int, (0,))}),
    "by a subclass of str": ("x[k]", {"x": {"a": 1}, "k": TEXT}),
    "by a tuple of traps": ("x[k]", {"x": {"a": 1}, "k": (Key(),)}),
    "by a huge key": ("x[k]", {"x": {BIG_TEXT: 1}, "k": BIG_TEXT}),
    "of a dict with a trap for a key": ("x[k]", {"x": {Key(): 1}, "k": "a"}),
    "of a dict with a trap for a key, by a constant": ("x['a']", {"x": {Key(): 1}}),
    "of an ordered dict with a trap for a key": ("x['a']", {"x": OrderedDict({Key(): 1})}),
    "of a dict with thousands of keys": ("x[k]", {"x": dict.fromkeys(range(5000)), "k": 1}),
    "behind the end": ("x[k]", {"x": [1], "k": 1}),
    "before the beginning": ("x[k]", {"x": [1], "k": -2}),
    "that a defaultdict would make": ("x[k]", {"x": defaultdict(TRAP), "k": "a"}),
    "a slice of a subclass": ("x[0:1]", {"x": trapped(list, ([1],))}),
    "a slice of a deque": ("x[0:1]", {"x": deque([1])}),
    "a slice from a trap": ("x[k:]", {"x": [1], "k": FIVE}),
    "a slice without a step": ("x[::k]", {"x": [1], "k": 0}),
    "a slice of many items": ("x[:]", {"x": [0] * 2000}),
    "a slice of many characters": ("x[:]", {"x": "x" * 100_000}),
}


@pytest.mark.parametrize("name", ITEMS)
def test_an_item_that_cannot_be_read_without_running_code_is_refused(name):
    text, values = ITEMS[name]
    reads_nothing(text, **values)


def test_a_reader_of_a_constant_key_does_not_take_a_subclass_for_a_dict():
    TRAP.is_armed = True
    try:
        with pytest.raises(EvaluationError):
            make_item("a")(trapped(dict, ({"a": 1},), get=TRAP, __slots__=()))
    finally:
        TRAP.is_armed = False


TRUTHS = {
    "of its own": lambda: instance(__bool__=lambda self: TRAP() or True),
    "by a length of its own": lambda: instance(__len__=lambda self: TRAP() or 0),
    "of a class with a trap for a key": lambda: odd_class(object, name="__bool__")(),
    "of a subclass of list": lambda: trapped(list),
}


@pytest.mark.parametrize("name", TRUTHS)
def test_a_truth_in_which_a_class_has_a_say_is_refused(name):
    reads_nothing("not x", x=TRUTHS[name]())


# ---- more of the same, where a case is more than one value


def test_a_getter_made_in_c_is_not_read():
    reads_nothing("x.groupindex", x=re.compile("(?P<a>b)"))


def test_a_module_that_has_no_names_yet_is_told_so():
    reads_nothing("x.a", x=types.ModuleType.__new__(types.ModuleType))


def test_a_reader_does_not_ask_an_own_getattribute_of_a_known_class():
    class Alias(types.GenericAlias):
        """Its own `__getattribute__`, in C, asks the origin, which is anybody's."""

    alias = Alias(instance(a=property(lambda self: TRAP())), int)
    object.__setattr__(alias, "a", 1)
    read = make_attribute("a")
    TRAP.is_armed = True
    try:
        assert [read(alias) for _ in range(3)] == [1, 1, 1]
    finally:
        TRAP.is_armed = False


@pytest.mark.skipif(DICT_IS_FREE, reason="a dict that is made later shares the values")
def test_looking_behind_a_method_makes_no_dict():
    class Account:
        def __init__(self):
            self.b, self.c = 1, 2

        def a(self):
            pass

    account = Account()
    reads_nothing("x.a", x=account)
    assert dict not in map(type, gc.get_referents(account))


def test_an_item_of_a_subclass_of_dict_is_not_what_its_class_says():
    reads_nothing("x[k]", x=trapped(dict, ({"a": 1},)), k="a")


def test_a_dict_that_lies_about_its_size_is_looked_at():
    class Held(dict):
        def __sizeof__(self):
            return TRAP() or {"a": 1}.__sizeof__()

    class Odd:
        pass

    odd = Odd()
    odd.__dict__ = Held({Key(): 1})
    reads_nothing("x.a", x=odd)


def test_where_sizes_do_not_fit_the_formula_none_counts(monkeypatch):
    assert keys._text_keyed_sizes()
    monkeypatch.setattr(keys, "_WORD", keys._WORD * 2)
    assert not keys._text_keyed_sizes()


def test_an_exception_like_ours_passes_through_a_reader():
    class Known:
        def __init__(self):
            self.a = 1

    def interrupted(self):
        raise Interrupted

    read = make_attribute("a")
    known = Known()
    assert read(known) == 1
    Known.a = property(interrupted)  # stands for a signal handler, in the second before it is seen
    with pytest.raises(Interrupted):
        read(known)


def test_a_reader_keeps_no_verdict_on_what_is_computed_beside_a_stored_value():
    class Cached:
        a = GetOnly()

    stored, not_stored = Cached(), Cached()
    stored.__dict__ = {"a": 1}
    read = make_attribute("a")
    assert [read(stored) for _ in range(3)] == [1, 1, 1]
    TRAP.is_armed = True
    try:
        with pytest.raises(EvaluationError):
            read(not_stored)
    finally:
        TRAP.is_armed = False


def test_nothing_is_known_of_a_class_that_has_ended():
    verdicts = readers._Verdicts()
    verdicts.keep(short := type("Short", (), {}), verdict=True)
    assert list(verdicts.by_id) == [id(short)]
    del short
    gc.collect()
    assert verdicts.by_id == {}
