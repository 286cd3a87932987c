"""Rules on what is inserted, on what is proved of the result, and on live functions."""

from __future__ import annotations

from teeth.rule import Rule, on

_ASSEMBLY = "rewrite/assembly.py"
_INSERT = "rewrite/insert.py"
_REWRITER = "rewrite/rewriter.py"
_TAGGED = "test_rewrite_constructs.py::test_a_tagged_line_is_hit_when_a_tracer_comes_there_and_sees_the_same_values"
_TRACER = "test_rewrite_constructs.py::test_a_tracer_sees_the_same_with_and_without_insertions"
_NEEDS_NO_HEALING = "makes new versions by itself"
_REHEARSED = "a wrong place fails in the rehearsal too; this says why in better words"

BLOCK = (
    Rule(
        "a full stack in the block goes on at X",
        _ASSEMBLY,
        "self._row = self.row(RecursionError, place.before)",
        "self._row = place.before.row",
        ("test_rewrite_block.py::test_the_recursion_limit_is_where_it_was",),
    ),
    Rule(
        "only a RecursionError goes on at X",
        _ASSEMBLY,
        "self._row = self.row(RecursionError, place.before)",
        "self._row = self.row(Exception, place.before)",
        (
            "test_rewrite_block.py::test_an_exception_from_a_hit_has_the_line_and_the_traceback_of_the_line",
        ),
    ),
    Rule(
        "a variable without a value is passed as UNBOUND",
        _ASSEMBLY,
        "load.row, leave = self._catch(NameError, depth, (UNBOUND,))",
        "_, leave = self._catch(NameError, depth, (UNBOUND,))",
        (
            "test_rewrite_values.py::test_a_variable_without_a_value_is_passed_as_unbound",
            "test_rewrite_values.py::test_an_empty_cell_is_passed_as_unbound_and_a_filled_one_by_its_value",
        ),
    ),
    Rule(
        "a quick test leaves what has no value to the guard",
        "rewrite/deciding.py",
        "assembly.row(NameError, guard[0])",
        "assembly.row(RecursionError, guard[0])",
        ("test_rewrite_deciding.py::test_a_variable_without_a_value_is_for_the_guard",),
    ),
    Rule(
        "locals are loaded by LOAD_FAST_CHECK (3.12)",
        "rewrite/opcodes.py",
        '        load_local="LOAD_FAST_CHECK",\n        load_bound="LOAD_FAST",\n        attribute_shift=1,\n        after_for=("END_FOR",),',
        '        load_local="LOAD_FAST",\n        load_bound="LOAD_FAST",\n        attribute_shift=1,\n        after_for=("END_FOR",),',
        ("test_rewrite_values.py::test_a_variable_without_a_value_is_passed_as_unbound",),
        on("3.11", "3.13", "3.14", why="the text is 3.12's"),
    ),
    Rule(
        "locals are loaded by LOAD_FAST_CHECK (3.13)",
        "rewrite/opcodes.py",
        '        load_local="LOAD_FAST_CHECK",\n        load_bound="LOAD_FAST",\n        attribute_shift=1,\n        after_for=("END_FOR", "POP_TOP"),',
        '        load_local="LOAD_FAST",\n        load_bound="LOAD_FAST",\n        attribute_shift=1,\n        after_for=("END_FOR", "POP_TOP"),',
        ("test_rewrite_values.py::test_a_variable_without_a_value_is_passed_as_unbound",),
        on("3.11", "3.12", "3.14", why="the text is 3.13's"),
    ),
    Rule(
        "locals are loaded by LOAD_FAST_CHECK (3.14)",
        "rewrite/opcodes.py",
        '        load_local="LOAD_FAST_CHECK",\n        load_bound="LOAD_FAST_BORROW",',
        '        load_local="LOAD_FAST",\n        load_bound="LOAD_FAST_BORROW",',
        ("test_rewrite_values.py::test_a_variable_without_a_value_is_passed_as_unbound",),
        on("3.11", "3.12", "3.13", why="the text is 3.14's"),
    ),
    Rule(
        "a cell that changes its nature is loaded raw",
        "rewrite/variables.py",
        "is_shifting = is_cell and (number in taken_over or number not in made)",
        "is_shifting = False",
        (
            "test_rewrite_values.py::test_names_that_a_comprehension_shares_with_its_function_are_read_safely",
        ),
        on("3.11", why="comprehensions are functions of their own"),
    ),
    Rule(
        "the block's first unit has the row of X",
        _ASSEMBLY,
        "units[0].row = units[-1].row = self._place.before.row",
        "units[-1].row = self._place.before.row",
        ("test_teeth_block.py::test_what_a_tracer_raises_on_the_line_comes_out",),
    ),
    Rule(
        "the block's last unit has the row of X",
        _ASSEMBLY,
        "units[0].row = units[-1].row = self._place.before.row",
        "units[0].row = self._place.before.row",
        (
            "test_teeth_places.py::test_whatever_the_line_table_nothing_stands_where_the_interpreter_looks_at_neighbours[a full stack]",
            "test_rewrite_block.py::test_a_recursion_error_of_the_line_itself_is_not_taken_for_one_of_ours",
        ),
        on("3.11", "3.12", why="an exception is looked up at the calling unit itself"),
    ),
    Rule(
        "a load that may fail does not stand right before the call",
        _ASSEMBLY,
        "if DIALECT.blames_unit_before_call and units[-1].row is not self._row:",
        "if False:",
        (
            "test_rewrite_block.py::test_an_exception_from_a_hit_is_not_taken_for_a_variable_without_a_value",
        ),
        on("3.11", "3.12", why="an exception is looked up at the calling unit itself"),
    ),
    Rule(
        "stubs carry no line",
        _ASSEMBLY,
        "return make_unit(name, arg, location=None, row=self._place.before.row)",
        "return make_unit(name, arg, location=self._place.location, row=self._place.before.row)",
        (
            "test_teeth_proof.py::test_what_stands_behind_the_code_has_no_line",
            "test_teeth_block.py::test_a_debugger_can_go_from_any_line_to_any_other_as_before",
        ),
    ),
    Rule(
        "stubs are covered by the rows of X",
        _ASSEMBLY,
        "return make_unit(name, arg, location=None, row=self._place.before.row)",
        "return make_unit(name, arg, location=None, row=None)",
        ("test_rewrite_block.py", "test_teeth_block.py"),
    ),
    Rule(
        "a block out of line carries no line",
        _INSERT,
        "place = Place(unit, back, self._depth(at), self._bound[at], None)",
        "place = Place(unit, back, self._depth(at), self._bound[at], unit.location)",
        (_TRACER,),
    ),
    Rule(
        "a guard counts only if it gives exactly True",
        "rewrite/deciding.py",
        'return [*call, assembly.constant(value=True), assembly.unit("IS_OP", 0), leave]',
        'return [*call, assembly.constant(value=True), assembly.unit("COMPARE_OP", COMPARISONS["=="]), leave]',
        ("test_rewrite_block.py::test_a_guard_lets_the_hit_run_only_for_exactly_true",),
    ),
)

PROOF = (
    Rule(
        "code that does not encode to its own bytes is refused",
        "rewrite/units.py",
        "if again != Encoded(code.co_code, code.co_linetable, code.co_exceptiontable):",
        "if False:",
        (
            "test_rewrite_insert.py::test_code_that_is_not_laid_out_as_the_compiler_does_is_refused",
            "test_teeth_proof.py",
        ),
    ),
    Rule(
        "an interpreter that is not known is refused",
        "rewrite/units.py",
        "    require_supported()\n    units = decode(code)",
        "    units = decode(code)",
        ("test_rewrite_units.py::test_an_interpreter_that_we_do_not_know_is_refused",),
    ),
    Rule(
        "two ways to one unit leave the same height",
        "rewrite/flow.py",
        "            if known != depth:\n",
        "            if False:\n",
        (
            "test_rewrite_units.py::test_code_whose_stack_is_not_certain_is_refused",
            "test_teeth_proof.py",
        ),
    ),
    Rule(
        "no unit is lower than its row says",
        "rewrite/flow.py",
        "if unit.row is not None and depth < unit.row.depth:",
        "if False:",
        ("test_teeth_proof.py",),
    ),
    Rule(
        "no unit takes more than there is, and none falls out of the code",
        "rewrite/flow.py",
        "if depth < 0 or at == len(units):",
        "if False:",
        ("test_teeth_proof.py",),
    ),
    Rule(
        "each original unit runs at its old height",
        _INSERT,
        "if any(now[unit] != depth for unit, depth in was):",
        "if False:",
        ("test_teeth_proof.py::test_a_result_in_which_all_is_higher_by_one_is_refused",),
    ),
    Rule(
        "what was written is read again",
        _INSERT,
        "if _listing(decode(result)) != _listing(units):",
        "if False:",
        ("test_rewrite_insert.py::test_the_result_is_refused_if_its_bytes_say_something_else",),
    ),
    Rule(
        "a jump that would turn round is refused",
        "rewrite/units.py",
        "        if unit.arg < 0:\n",
        "        if False:\n",
        ("test_rewrite_units.py::test_a_jump_that_would_turn_round_is_refused",),
    ),
    Rule(
        "the stack is made as high as the block needs",
        _INSERT,
        "co_stacksize=max(self._code.co_stacksize, *(depth or 0 for depth in depths)),",
        "co_stacksize=self._code.co_stacksize,",
        ("test_teeth_proof.py::test_the_stack_has_room_for_what_is_inserted",),
    ),
)

LIVE = (
    Rule(
        "a probe that is removed leaves the original itself",
        _REWRITER,
        "fresh[id(code)] = (code, rebuild(code, on(code, placements), nested))",
        "fresh[id(code)] = (code, rebuild(code, on(code, placements), nested).replace())",
        ("test_rewrite_rewriter.py::test_a_removed_probe_leaves_the_original_code_object",),
    ),
    Rule(
        "a variant is known by identity",
        _REWRITER,
        "return variant.original if variant is not None and variant.code() is code else code",
        "return next((v.original for v in self._variants.values() if v.code() == code), code)",
        ("test_teeth_proof.py::test_an_equal_code_object_of_somebody_else_is_not_taken_for_ours",),
    ),
    Rule(
        "if one function cannot be set, all are as before",
        _REWRITER,
        "            for function, old in reversed(changed):\n                self._versions.set_code(function, old)\n            raise",
        "            raise",
        ("test_rewrite_rewriter.py::test_nothing_changes_if_one_function_cannot_be_set",),
    ),
    Rule(
        "a chain that is not nested is refused",
        "rewrite/tree.py",
        "if not chain or chain[0] is not root or not is_linked:",
        "if False:",
        ("test_rewrite_rewriter.py::test_a_chain_that_is_not_nested_is_refused",),
    ),
)

VERSIONS = (
    Rule(
        "versions are found in one place, or left alone",
        "rewrite/versions.py",
        "if len(offsets) != 1:",
        "if not offsets:",
        (),
        on("3.11", "3.12", why=_NEEDS_NO_HEALING) | on("3.13", "3.14", why=_REHEARSED),
    ),
    Rule(
        "versions of functions grow, or are left alone",
        "rewrite/versions.py",
        "if any(b <= a for a, b in pairwise((*_INVALID, *versions))):",
        "if False:",
        (),
        on("3.11", "3.12", why=_NEEDS_NO_HEALING) | on("3.13", "3.14", why=_REHEARSED),
    ),
    Rule(
        "the change is rehearsed",
        "rewrite/versions.py",
        "if not all(_is_proved(function, offsets[0]) for function in fresh):",
        "if False:",
        ("test_teeth_versions.py",),
        on("3.11", "3.12", why=_NEEDS_NO_HEALING),
    ),
    Rule(
        "a version is set only if the function held that of the old code",
        "rewrite/versions.py",
        "if version in _INVALID or of_old.value in _INVALID or of_function.value != of_old.value:",
        "if version in _INVALID or of_old.value in _INVALID:",
        ("test_teeth_versions.py",),
        on("3.11", "3.12", why=_NEEDS_NO_HEALING),
    ),
    Rule(
        "no version is set that is none",
        "rewrite/versions.py",
        "if version in _INVALID or of_old.value in _INVALID or of_function.value != of_old.value:",
        "if of_function.value != of_old.value:",
        ("test_teeth_versions.py",),
        on("3.11", "3.12", why=_NEEDS_NO_HEALING),
    ),
    Rule(
        "what another thread changes meanwhile clears the version",
        "rewrite/versions.py",
        "        of_function.value = _UNSET  #",
        "        pass  #",
        ("test_teeth_versions.py",),
        on("3.11", "3.12", why=_NEEDS_NO_HEALING),
    ),
)
