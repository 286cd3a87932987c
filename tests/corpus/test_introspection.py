"""Each cause of `introspection.CAUSES`, reproduced in at most ten lines, under its own name."""

import dis
import gc
import inspect
import marshal
import sys

import pytest
from corpus.introspection import CAUSES
from corpus.probes import Captures, EveryLine

MOST_LINES = 10


@pytest.fixture
def probed():
    """Put a capturing probe on every line of a function."""

    def probe(function):
        function.__code__ = EveryLine(Captures()).instrument(function.__code__)
        return function

    return probe


def test_jumps_of_a_probe_have_no_line(probed):
    def double(number):
        return number * 2

    def jumps_without_line(function):
        instructions = dis.get_instructions(function)
        return [i for i in instructions if "JUMP" in i.opname and i.positions.lineno is None]

    assert not jumps_without_line(double)
    assert jumps_without_line(probed(double))


def test_a_tracer_sees_a_line_again_where_a_probe_meets_a_variable_without_a_value(probed):
    def choose(flag):
        if flag:
            value = 1
        return value if flag else 2

    assert traced(choose, 0) == [1, 3]
    assert traced(probed(choose), 0) == [1, 3, 3]


def test_the_collector_counts_what_a_hit_makes(probed):
    def objects_since_a_collection():
        gc.collect()
        return gc.get_count()[0]

    before = objects_since_a_collection()
    assert probed(objects_since_a_collection)() > before


def test_the_code_is_not_the_compilers(probed):
    def double(number):
        return number * 2

    made = double.__code__
    probed(double)
    assert double.__code__ != made
    assert double.__code__.co_code != made.co_code
    assert len(double.__code__.co_consts) > len(made.co_consts)


def test_getclosurevars_lists_what_inserted_code_reads(probed):
    def double(number):
        return number * 2

    lists_attributes = sys.version_info >= (3, 14)
    unbound = inspect.getclosurevars(probed(double)).unbound
    assert unbound == ({"None"} if lists_attributes else set())


def test_marshal_refuses_a_probe(probed):
    def double(number):
        return number * 2

    marshal.dumps(double.__code__)
    with pytest.raises(ValueError, match="unmarshallable"):
        marshal.dumps(probed(double).__code__)


def traced(function, *arguments):
    """Call under a tracer. Returns: the lines it is told of, counted from the `def`."""
    lines = []

    def tracer(frame, event, _):
        if frame.f_code is not function.__code__:
            return None
        lines.extend([frame.f_lineno - frame.f_code.co_firstlineno] if event == "line" else [])
        return tracer

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        function(*arguments)
    finally:
        sys.settrace(before)
    return lines


@pytest.mark.parametrize("cause", CAUSES)
def test_a_cause_is_reproduced_in_few_lines(cause):
    source, _ = inspect.getsourcelines(globals()[f"test_{cause}"])
    assert len([line for line in source[1:] if line.strip()]) <= MOST_LINES
