"""What is refused because it is not proved: one case for each part of the proof."""

import types

import pytest

from probe_agent.errors import Unsupported
from probe_agent.rewrite import Insertion, Rewriter, assembly, insert, instrument, verify_identity
from probe_agent.rewrite.flow import depths_of, flow_of
from probe_agent.rewrite.opcodes import DIALECT, number
from probe_agent.rewrite.points import body_start
from probe_agent.rewrite.tables import write_locations
from probe_agent.rewrite.units import decode


def careful(x):
    try:
        return [x, int(x)]
    except ValueError:
        return len(str(x)) or max(x, 1, 2)


def test_a_line_table_that_says_the_same_in_another_form_is_refused():
    code = careful.__code__
    sizes = [(unit.width + unit.caches, unit.location) for unit in decode(code)]
    merge = not DIALECT.merges_locations
    table = write_locations(sizes, code.co_firstlineno, merge=merge)
    other = code.replace(co_linetable=table)
    assert table != code.co_linetable
    assert [*other.co_positions()] == [*code.co_positions()]
    with pytest.raises(Unsupported):
        verify_identity(other)


def test_code_that_is_reached_at_two_heights_is_refused():
    units = decode(careful.__code__)
    jump = next(unit for unit in units if unit.target is not None)
    at = units.index(jump)
    jump.target = next(
        u for u in units[at + 2 :] if u.op == number("LOAD_FAST") or u.op == units[at + 3].op
    )
    with pytest.raises(Unsupported):
        depths_of(units)


def test_code_that_is_lower_than_its_handler_says_is_refused():
    units = decode(careful.__code__)
    row = next(unit.row for unit in units if unit.row is not None)
    row.depth += 9
    with pytest.raises(Unsupported):
        depths_of(units)


def test_code_that_takes_more_than_there_is_is_refused():
    units = decode(careful.__code__)
    units[1].op, units[1].arg = number("POP_TOP"), 0
    with pytest.raises(Unsupported):
        depths_of(units[:2] + units[-1:])


def test_code_that_does_not_end_is_refused():
    units = decode((lambda: 1).__code__)
    with pytest.raises(Unsupported):
        depths_of(units[:1])


def test_a_result_in_which_all_is_higher_by_one_is_refused():
    """No two ways contradict each other, and the bytes say what was meant."""
    code = (lambda x: x).__code__
    flow = flow_of(verify_identity(code))
    splice = insert._Splice(code, flow)
    push = assembly.make_unit("PUSH_NULL", location=None, row=None)
    splice._before[flow.units[body_start(flow.units)]] = [push]
    with pytest.raises(Unsupported):
        splice.finish()


def plain(x):
    y = x
    return y


def test_what_stands_behind_the_code_has_no_line():
    """A debugger may go on at any code of a line, and a tracer is told of it."""
    code = plain.__code__
    last = decode(code)[-1]
    insertion = Insertion("p", code.co_firstlineno + 1, int, ("x",), int, ("x",))
    units = decode(instrument(code, [insertion]))
    stubs = units[1 + next(at for at, u in enumerate(units) if u.op == last.op) :]
    assert len(stubs) > 10
    assert {stub.location for stub in stubs} == {None}


def test_the_stack_has_room_for_what_is_inserted():
    code = careful.__code__
    names = ("x",) * 50
    line = code.co_firstlineno + 2
    result = instrument(code, [Insertion("p", line, None, (), lambda *v: None, names)])
    assert result.co_stacksize > len(names)


def test_an_equal_code_object_of_somebody_else_is_not_taken_for_ours():
    function = types.FunctionType(careful.__code__, globals())
    rewriter = Rewriter(lambda codes: [function])
    line = careful.__code__.co_firstlineno + 2
    rewriter.place((careful.__code__,), Insertion("p", line, None, (), int, ()))
    twin = function.__code__.replace()
    assert twin == function.__code__
    assert rewriter.original(twin) is twin
    assert rewriter.original(function.__code__) is careful.__code__
    rewriter.remove("p")
