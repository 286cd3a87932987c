"""Rules on where something may be inserted.

Control enters a line where it comes from another one, and most places where nothing may stand are
in the middle of what the compiler gives one line. Tests give each instruction a line of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

from teeth.rule import Rule, everywhere, on

_OPCODES = "rewrite/opcodes.py"
_EACH_PROGRAM = (
    "test_teeth_places.py::"
    "test_whatever_the_line_table_nothing_stands_where_the_interpreter_looks_at_neighbours"
)


def _tests(*programs: str) -> tuple[str, ...]:
    return tuple(f"{_EACH_PROGRAM}[{program}]" for program in programs)


def _never_before(
    opcode: str, before: str, tests: tuple[str, ...], redundant: Mapping[str, str]
) -> Rule:
    """Take an opcode out of NEVER_BEFORE. Args: before: what stands before it there."""
    text, instead = f'    "{before}",\n    "{opcode}",\n', f'    "{before}",\n'
    return Rule(f"never before {opcode}", _OPCODES, text, instead, tests, redundant)


def _inseparable(
    pair: str, text: str, tests: tuple[str, ...], redundant: Mapping[str, str]
) -> Rule:
    return Rule(f"never between {pair}", _OPCODES, text, "", tests, redundant)


_HANDLER = "only an exception leads there, and that is no entry"
_STEPPED = "a line that begins there is entered behind it before this is asked"
_PROLOGUE = "stands in the prologue, where no line begins (the rule on the prologue)"
_HARMLESS = "nothing of the interpreter looks there (measured: results, throw, close, tracer)"


def _unknown(*versions: str) -> dict[str, str]:
    return on(*versions, why="this Python has no such instruction, or not that pair")


PLACES = (
    Rule(
        "never before RESUME",
        _OPCODES,
        '    "RESUME",\n    "SEND",',
        '    "SEND",',
        _tests("yield from", "await", "yield"),
        on("3.14", why="the yield itself says whether something is waited for"),
    ),
    _never_before("SEND", "RESUME", (), everywhere(_HARMLESS)),
    _never_before("END_SEND", "SEND", _tests("yield from", "await"), _unknown("3.11")),
    _never_before("END_FOR", "END_SEND", _tests("for", "comprehension"), _unknown("3.11")),
    _never_before("END_ASYNC_FOR", "END_FOR", (), everywhere(_HANDLER)),
    _never_before("CLEANUP_THROW", "END_ASYNC_FOR", (), everywhere(_HANDLER)),
    _never_before("NOT_TAKEN", "CLEANUP_THROW", (), everywhere(_STEPPED)),
    _never_before("PUSH_EXC_INFO", "NOT_TAKEN", (), everywhere(_STEPPED)),
    _never_before("RETURN_GENERATOR", "PUSH_EXC_INFO", (), everywhere(_PROLOGUE)),
    _never_before("COPY_FREE_VARS", "RETURN_GENERATOR", (), everywhere(_PROLOGUE)),
    _never_before(
        "MAKE_CELL", "COPY_FREE_VARS", (), everywhere(f"{_PROLOGUE}; in a comprehension harmless")
    ),
    Rule(
        "nothing in the prologue",
        "rewrite/points.py",
        "for at in range(body_start(flow.units), len(flow.units)):",
        "for at in range(len(flow.units)):",
        (
            "test_teeth_places.py::"
            "test_no_line_begins_before_the_generator_is_made_and_its_cells_are",
        ),
    ),
    _inseparable(
        "END_FOR and what is skipped with it",
        '        ("END_FOR", DIALECT.after_end_for),\n',
        _tests("for"),
        _unknown("3.11", "3.12") | on("3.14", why="the loop's exit skips END_FOR alone"),
    ),
    _inseparable(
        "KW_NAMES and PRECALL",
        '        ("KW_NAMES", "PRECALL"),  # 3.11: a hidden register is between them\n',
        _tests("keywords"),
        _unknown("3.12", "3.13", "3.14"),
    ),
    _inseparable(
        "KW_NAMES and CALL",
        '        ("KW_NAMES", "CALL"),  # 3.12: same\n',
        _tests("keywords"),
        _unknown("3.11", "3.13", "3.14"),
    ),
    _inseparable(
        "PRECALL and CALL",
        '        ("PRECALL", "CALL"),\n',
        _tests("keywords"),
        _unknown("3.12", "3.13", "3.14"),
    ),
    _inseparable(
        "SEND and YIELD_VALUE",
        '        ("SEND", "YIELD_VALUE"),\n',
        _tests("yield from", "thrown into await", "await"),
        on("3.12", "3.13", "3.14", why=_HARMLESS),
    ),
    _inseparable(
        "RESUME and the jump to SEND",
        '        ("RESUME", "JUMP_BACKWARD_NO_INTERRUPT"),  # the loop of await and yield from\n',
        (),
        everywhere(_HARMLESS),
    ),
    Rule(
        "a line that begins at NOT_TAKEN is entered behind it",
        _OPCODES,
        'STEPPED_OVER: Final = _numbers("NOT_TAKEN", "PUSH_EXC_INFO")',
        'STEPPED_OVER: Final = _numbers("PUSH_EXC_INFO")',
        (),
        everywhere("the compiler gives it the line of the jump before it"),
    ),
    Rule(
        "a line that begins at PUSH_EXC_INFO is entered behind it",
        _OPCODES,
        'STEPPED_OVER: Final = _numbers("NOT_TAKEN", "PUSH_EXC_INFO")',
        'STEPPED_OVER: Final = _numbers("NOT_TAKEN")',
        (
            "test_rewrite_constructs.py::"
            "test_a_tagged_line_is_hit_when_a_tracer_comes_there_and_sees_the_same_values",
        ),
    ),
    Rule(
        "only these jumps may be led elsewhere: not SEND",
        _OPCODES,
        'REDIRECTABLE: Final = JUMPS - _numbers("SEND")',
        "REDIRECTABLE: Final = JUMPS",
        (),
        on("3.11", why="it alone leads there, so the block stands in line, as far away")
        | on("3.12", "3.13", "3.14", why="it leads to END_SEND, before which nothing stands"),
    ),
)
