"""Code taken apart and put together: tables, widths, jumps."""

import dis
import sys
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe_agent.errors import Unsupported
from probe_agent.rewrite import verify_identity
from probe_agent.rewrite.flow import flow_of
from probe_agent.rewrite.opcodes import BACKWARD, require_supported
from probe_agent.rewrite.points import body_start, may_stand_before
from probe_agent.rewrite.tables import (
    read_locations,
    read_regions,
    write_locations,
    write_regions,
)
from probe_agent.rewrite.units import decode, encode, width_of

columns = st.one_of(st.just((-1, -1)), st.tuples(st.integers(0, 3000), st.integers(0, 3000)))
locations = st.one_of(
    st.none(),
    st.tuples(st.integers(1, 100_000), st.integers(0, 300), columns).map(
        lambda raw: (raw[0], raw[0] + raw[1], *raw[2])
    ),
)
regions = st.lists(
    st.tuples(
        st.integers(0, 10_000),
        st.integers(1, 10_000),
        st.integers(0, 10_000),
        st.integers(0, 500),
        st.booleans(),
    )
)


@given(st.lists(st.tuples(st.integers(1, 8), locations)), st.integers(1, 1000))
def test_locations_read_as_they_were_written(entries, first_line):
    table = write_locations(entries, first_line, merge=False)
    assert list(read_locations(table, first_line)) == entries


@given(st.lists(st.tuples(st.integers(1, 40), locations), max_size=20))
def test_merged_locations_cover_the_same_units(entries):
    table = write_locations(entries, 1, merge=True)
    covered = [location for size, location in read_locations(table, 1) for _ in range(size)]
    assert covered == [location for size, location in entries for _ in range(size)]


@given(regions)
def test_regions_read_as_they_were_written(rows):
    assert read_regions(write_regions(rows)) == rows


@pytest.mark.parametrize(
    ("arg", "width"), [(0, 1), (255, 1), (256, 2), (65_535, 2), (65_536, 3), (2**24, 4)]
)
def test_an_argument_is_as_wide_as_its_bytes(arg, width):
    assert width_of(arg) == width


def test_an_executed_function_still_reads_byte_for_byte():
    def busy(n):
        total = 0
        for i in range(n):
            total += len(str(i)) if i % 2 else i
        return total

    for _ in range(3):
        busy(1000)
    assert len(verify_identity(busy.__code__)) > 10


def test_a_code_object_under_a_monitor_still_reads_byte_for_byte():
    if sys.version_info < (3, 12):
        pytest.skip("sys.monitoring came with 3.12")
    monitoring = sys.monitoring

    def watched(n):
        return sum(i for i in range(n))

    monitoring.use_tool_id(3, "test")
    try:
        monitoring.set_local_events(3, watched.__code__, monitoring.events.LINE)
        watched(3)
        assert verify_identity(watched.__code__)
    finally:
        monitoring.set_local_events(3, watched.__code__, 0)
        monitoring.free_tool_id(3)


def loop(n):
    total = 0
    while n:
        total += n
        n -= 1
    return total


def test_a_jump_that_would_turn_round_is_refused():
    units = decode(loop.__code__)
    jump = next(unit for unit in units if unit.target is not None and unit.op in BACKWARD)
    jump.target = units[-1]
    with pytest.raises(Unsupported):
        encode(units, 1)


def test_code_whose_stack_is_not_certain_is_refused():
    units = decode(loop.__code__)
    del units[3]
    with pytest.raises(Unsupported):
        flow_of(units)


def test_this_interpreter_is_supported():
    require_supported()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("version_info", (3, 99), id="unknown version"),
        pytest.param("implementation", types.SimpleNamespace(name="pypy"), id="not CPython"),
        pytest.param("_is_gil_enabled", lambda: False, id="no GIL"),
    ],
)
def test_an_interpreter_that_we_do_not_know_is_refused(monkeypatch, name, value):
    monkeypatch.setattr(sys, name, value, raising=False)
    with pytest.raises(Unsupported):
        verify_identity(loop.__code__)


async def awaits(things, f):
    async for thing in things:
        f(await thing, key=thing)
    for thing in things:
        if thing:
            yield thing


# agent-core.md 1b: what CPython finds by its neighbours.
NEVER_SPLIT = {
    ("FOR_ITER", "END_FOR"),
    ("END_FOR", "POP_TOP" if sys.version_info >= (3, 13) else ""),
    ("END_FOR", "POP_ITER"),
    ("YIELD_VALUE", "RESUME"),
    ("SEND", "YIELD_VALUE"),
    ("RESUME", "JUMP_BACKWARD_NO_INTERRUPT"),
    ("KW_NAMES", "PRECALL"),
    ("KW_NAMES", "CALL"),
    ("PRECALL", "CALL"),
    ("RETURN_GENERATOR", "POP_TOP"),
}
NEVER_BEFORE = {"END_FOR", "END_SEND", "END_ASYNC_FOR", "CLEANUP_THROW", "PUSH_EXC_INFO", "RESUME"}


def test_nothing_may_stand_where_the_interpreter_looks_at_neighbours():
    units = decode(awaits.__code__)
    names = [dis.opname[unit.op] for unit in units]
    open_places = {
        (names[at - 1], names[at])
        for at in range(body_start(units), len(units))
        if may_stand_before(units, at)
    }
    assert open_places
    assert not open_places & NEVER_SPLIT
    assert not {after for _, after in open_places} & NEVER_BEFORE
