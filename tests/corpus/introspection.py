"""The tests that are known to come out otherwise with probes in place: they look at the code itself.

By test id; nothing is excused by module or by pattern. `test_introspection.py` reproduces each
cause in a few lines, under the name that it has here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cause:
    """Why, and the ids of the tests that show it, on any Python and with either kind of probe."""

    why: str
    tests: frozenset[str]


def _ids(module: str, names: str) -> list[str]:
    return [f"{module}.{name}" for name in names.split()]


CAUSES = {
    "jumps_of_a_probe_have_no_line": Cause(
        "A test asserts that every jump has a line. The out-of-line code of a probe has none, so "
        "that no debugger can choose it as the target of a jump.",
        frozenset({"test.test_patma.TestSourceLocations.test_jump_threading"}),
    ),
    "a_tracer_sees_a_line_again_where_a_probe_meets_a_variable_without_a_value": Cause(
        "Events of a tracer are compared one by one. That a variable has no value is found out by "
        "an exception, which a tracer is told of, and the line after it.",
        frozenset(
            {
                "test.test_patma.TestTracing.test_default_capture",
                "test.test_patma.TestTracing.test_default_wildcard",
                "test.test_patma.TestTracing.test_no_default",
                "test.test_patma.TestTracing.test_only_default_capture",
                "test.test_patma.TestTracing.test_only_default_wildcard",
                "test.test_patma.TestTracing.test_unreachable_code",
            }
        ),
    ),
    "the_collector_counts_what_a_hit_makes": Cause(
        "A test asserts how many objects were made since the last collection, that none came in "
        "between, or how many there are. A hit makes some, and on 3.11 and 3.12 the dict of an "
        "object whose attributes were set from outside of its class.",
        frozenset(
            {
                "test.test_descr.ClassPropertiesAndMethods.test_slots",
                "test.test_gc.GCTests.test_boom",
                "test.test_gc.GCTests.test_boom2",
                "test.test_gc.GCTests.test_get_count",
                "test.test_gc.GCTogglingTests.test_bug1055820d",
            }
        ),
    ),
    "the_code_is_not_the_compilers": Cause(
        "A test compares bytecode, its listing or its constants with what the compiler makes.",
        frozenset(
            (
                # Its subtests are named after the code.
                "test.test_code.CodeTest.test_replace",
                *_ids(
                    "test.test_compile",
                    """
TestSourcePositions.test_weird_attribute_position_regressions
TestSpecifics.test_32_63_bit_values TestSpecifics.test_consts_in_conditionals
TestSpecifics.test_dead_blocks_do_not_generate_bytecode TestSpecifics.test_false_while_loop
TestSpecifics.test_line_number_synthetic_jump_multiple_predecessors
TestSpecifics.test_line_number_synthetic_jump_multiple_predecessors_more_nested
TestSpecifics.test_line_number_synthetic_jump_multiple_predecessors_nested
TestSpecifics.test_lineno_after_no_code
TestSpecifics.test_lineno_of_backward_jump_conditional_in_loop
TestSpecifics.test_merge_code_attrs TestSpecifics.test_merge_constants
TestSpecifics.test_peephole_opt_unreachable_code_array_access_in_bounds
TestSpecifics.test_remove_unused_consts TestSpecifics.test_remove_unused_consts_no_docstring
TestSpecifics.test_strip_unused_None
                """,
                ),
                *_ids(
                    "test.test_dis",
                    """
BytecodeTests.test_disassembled BytecodeTests.test_explicit_first_line
BytecodeTests.test_from_traceback_dis BytecodeTests.test_info BytecodeTests.test_iteration
CodeInfoTests.test_code_info CodeInfoTests.test_show_code DisTests.test_big_linenos
DisTests.test_bug_1333982 DisTests.test_bug_42562 DisTests.test_bug_708901 DisTests.test_dis
DisTests.test_dis_with_offsets DisTests.test_disassemble_asyncwith
DisTests.test_disassemble_bytes DisTests.test_disassemble_class
DisTests.test_disassemble_class_method DisTests.test_disassemble_fstring
DisTests.test_disassemble_instance_method DisTests.test_disassemble_instance_method_bytes
DisTests.test_disassemble_recursive DisTests.test_disassemble_static_method
DisTests.test_disassemble_try_finally DisTests.test_disassemble_with
DisTests.test_extended_arg_quick DisTests.test_kw_names DisTests.test_loop_quicken
DisTests.test_show_caches DisTests.test_super_instructions DisWithFileTests.test_big_linenos
DisWithFileTests.test_bug_1333982 DisWithFileTests.test_bug_42562
DisWithFileTests.test_bug_708901 DisWithFileTests.test_dis
DisWithFileTests.test_dis_with_offsets DisWithFileTests.test_disassemble_asyncwith
DisWithFileTests.test_disassemble_bytes DisWithFileTests.test_disassemble_class
DisWithFileTests.test_disassemble_class_method DisWithFileTests.test_disassemble_fstring
DisWithFileTests.test_disassemble_instance_method
DisWithFileTests.test_disassemble_instance_method_bytes
DisWithFileTests.test_disassemble_recursive DisWithFileTests.test_disassemble_static_method
DisWithFileTests.test_disassemble_try_finally DisWithFileTests.test_disassemble_with
DisWithFileTests.test_extended_arg_quick DisWithFileTests.test_kw_names
DisWithFileTests.test_loop_quicken DisWithFileTests.test_show_caches
DisWithFileTests.test_super_instructions InstructionTests.test_cache_offset_and_end_offset
InstructionTests.test_default_first_line InstructionTests.test_doubly_nested
InstructionTests.test_first_line_set_to_None InstructionTests.test_jumpy
InstructionTests.test_nested InstructionTests.test_outer
TestDisTraceback.test_distb_explicit_arg TestDisTraceback.test_distb_last_traceback
TestDisTracebackWithFile.test_distb_explicit_arg
TestDisTracebackWithFile.test_distb_last_traceback TestFinderMethods.test_findlabels
TestFinderMethods.test_findlinestarts
                """,
                ),
                *_ids(
                    "test.test_peepholer",
                    """
TestMarkingVariablesAsUnKnown.test_load_fast_known_because_parameter
TestMarkingVariablesAsUnKnown.test_load_fast_known_multiple_branches
TestMarkingVariablesAsUnKnown.test_load_fast_too_many_locals
TestMarkingVariablesAsUnKnown.test_setting_lineno_one_undefined
TestMarkingVariablesAsUnKnown.test_setting_lineno_two_undefined
TestTranforms.test_elim_jump_to_uncond_jump3 TestTranforms.test_elim_jump_to_uncond_jump4
TestTranforms.test_unot TestTranforms.test_while_one
                """,
                ),
            )
        ),
    ),
    "getclosurevars_lists_what_inserted_code_reads": Cause(
        "From 3.14 on `inspect.getclosurevars` lists the names of attributes among those that are "
        "unbound. Inserted code reads one.",
        frozenset(
            _ids(
                "test.test_inspect.test_inspect",
                """
TestGetClosureVars.test_attribute_same_name_as_global_var
TestGetClosureVars.test_generator_closure TestGetClosureVars.test_getclosurevars_empty
TestGetClosureVars.test_method_closure TestGetClosureVars.test_name_resolution
                """,
            )
        ),
    ),
    "marshal_refuses_a_probe": Cause(
        "A test marshals the code of a function that carries a probe: among the constants are the "
        "objects that run at a hit, and marshal takes only what a compiler can make.",
        frozenset(
            (
                *_ids(
                    "test.test_marshal",
                    """
CodeTestCase.test_code CodeTestCase.test_many_codeobjects
CodeTestCase.test_minimal_linetable_with_no_debug_ranges CodeTestCase.test_no_allow_code
                """,
                ),
            )
        ),
    ),
}


def cause_of(test_id: str) -> str | None:
    """Name the cause under which a test is listed; a subtest counts under its test."""
    for name, cause in CAUSES.items():
        if test_id in cause.tests or test_id.partition(" ")[0] in cause.tests:
            return name
    return None
