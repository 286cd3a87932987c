"""Rules on quick tests, and on the boundary between our code and the application's."""

from __future__ import annotations

from teeth.rule import Rule

_DECIDING = "rewrite/deciding.py"
_QUICK = "expression/quick.py"
_ENTRY = "hit/entry.py"
_DECIDES = "test_rewrite_deciding.py::test_a_quick_test_decides_what_it_can_and_asks_otherwise[{}]"
_TRAPS = "test_teeth_quick.py::test_a_quick_test_leaves_what_it_cannot_decide_to_the_guard"

QUICK_TESTS = (
    Rule(
        "a variable is compared if its type is exact",
        _DECIDING,
        "        return [*self._typed(test.name, test.types, compare[0]), *compare]",
        "        return compare",
        (_DECIDES.format("a subclass of str"), _TRAPS),
    ),
    Rule(
        "the left one of a pair too",
        _DECIDING,
        "return [*self._typed(test.left, test.types, second[0]), *second, *compare]",
        "return [*second, *compare]",
        (_TRAPS,),
    ),
    Rule(
        "the right one of a pair too",
        _DECIDING,
        "return [*self._typed(test.left, test.types, second[0]), *second, *compare]",
        "return [*self._typed(test.left, test.types, compare[0]), *compare]",
        (_TRAPS,),
    ),
    Rule(
        "a flag is True, False or None",
        _DECIDING,
        "last = [*self._is(name, None), assembly.jump(DIALECT.jump_if_false, self._guard)]",
        "last = []",
        (_DECIDES.format("a number as a flag"), _TRAPS),
    ),
    Rule(
        "a type is told by identity",
        _DECIDING,
        'units += [self._assembly.constant(kind), self._assembly.unit("IS_OP", 0)]',
        'units += [self._assembly.constant(kind), self._assembly.unit("COMPARE_OP", COMPARISONS["=="])]',
        (
            _TRAPS,
            "test_teeth_quick.py::test_a_metaclass_is_not_asked_whether_a_type_is_the_wanted_one",
        ),
    ),
    Rule(
        "a variable that changes its nature is not tested",
        "rewrite/assembly.py",
        "        if len(slots) > 1 or slots[0].is_shifting:\n            return None\n",
        "",
        ("test_teeth_quick.py::test_a_name_that_a_comprehension_takes_over_is_for_the_guard",),
        {"3.11": "comprehensions are functions of their own"},
    ),
    Rule(
        "a number is compared with numbers",
        _QUICK,
        "    int: (int, float),\n",
        "    int: (int, float, str),\n",
        (_TRAPS, _DECIDES.format("a text against a number")),
    ),
    Rule(
        "a fraction is compared with numbers",
        _QUICK,
        "    float: (float, int),\n",
        "    float: (float, int, str),\n",
        (_TRAPS,),
    ),
    Rule(
        "a text is compared with texts",
        _QUICK,
        "    str: (str,),\n",
        "    str: (str, bytes, int),\n",
        (_TRAPS,),
    ),
    Rule(
        "bytes are compared with bytes",
        _QUICK,
        "    bytes: (bytes,),\n",
        "    bytes: (bytes, str),\n",
        (_TRAPS,),
    ),
    Rule(
        "a pair is compared if both are numbers",
        _QUICK,
        "_NUMBERS: Final = (int, float)",
        "_NUMBERS: Final = (int, float, str)",
        (_TRAPS,),
    ),
    Rule(
        "members are all of one type",
        _QUICK,
        "or not is_alike:",
        "or False:",
        ("test_teeth_quick.py::test_members_of_several_types_are_no_quick_test",),
    ),
    Rule(
        "members are few",
        _QUICK,
        " or len(items) > _MOST_ITEMS",
        "",
        ("test_teeth_quick.py::test_many_members_are_no_quick_test",),
    ),
    Rule(
        "tests are few",
        _QUICK,
        "return test if test is not None and _count(test) <= _MOST_TESTS else None",
        "return test",
        ("test_rewrite_deciding.py::test_what_needs_more_than_comparing_is_no_quick_test",),
    ),
)

BOUNDARY = (
    Rule(
        "an exception of a type that we do not raise passes",
        "hit/boundary.py",
        "    if id(type(error)) not in _OUR_TYPE_IDS:\n        return False\n",
        "",
        ("test_teeth_boundary.py::test_a_subclass_of_an_error_of_ours_is_the_applications",),
    ),
    Rule(
        "an exception raised in the application's code passes",
        "hit/boundary.py",
        'return file.startswith((_OUR_FOLDER, "<sonde"))',
        "return True",
        (
            "test_hit.py::test_an_exception_of_the_applications_signal_handler_comes_out",
            "test_teeth_boundary.py",
        ),
    ),
    Rule(
        "the innermost frame is looked at",
        "hit/boundary.py",
        "    while trace is not None and trace.tb_next is not None:\n        trace = trace.tb_next\n",
        "",
        (
            "test_hit.py::test_an_exception_of_the_applications_signal_handler_comes_out",
            "test_teeth_boundary.py",
        ),
    ),
    Rule(
        "a failure of ours is swallowed",
        "hit/boundary.py",
        'return file.startswith((_OUR_FOLDER, "<sonde"))',
        "return False",
        ("test_hit.py::test_a_failure_of_ours_is_swallowed_and_counted",),
    ),
    Rule(
        "a hit asks whose exception it is",
        _ENTRY,
        "            self._take(values, frame, started)\n        except Exception as error:\n            if not is_ours(error):\n                raise\n",
        "            self._take(values, frame, started)\n        except Exception:\n            pass\n",
        ("test_hit.py::test_an_exception_of_the_applications_signal_handler_comes_out",),
    ),
    Rule(
        "a guard asks whose exception it is",
        "hit/live.py",
        "        elif is_ours(error):\n",
        "        elif True:\n",
        (
            "test_teeth_boundary.py::test_an_exception_that_a_signal_handler_raises_in_a_guard_comes_out",
        ),
    ),
    Rule(
        "a hit for a running frame asks whose exception it is",
        _ENTRY,
        "            if not is_ours(error):\n                raise\n            live.dropped_capture_failed += 1\n",
        "            live.dropped_capture_failed += 1\n",
        (
            "test_teeth_boundary.py::test_an_exception_that_a_signal_handler_raises_while_a_running_frame_is_read_comes_out",
        ),
    ),
    Rule(
        "no hit inside of a hit",
        _ENTRY,
        "        if me in live.busy:\n",
        "        if False:\n",
        ("test_hit.py::test_a_hit_inside_a_hit_is_dropped_and_counted",),
    ),
    Rule(
        "no hit after the end",
        _ENTRY,
        "        live = self.live\n        if live.is_over:\n            return\n        me = get_ident()\n",
        "        live = self.live\n        me = get_ident()\n",
        ("test_hit.py::test_a_frame_that_still_runs_our_code_after_the_end_changes_nothing",),
    ),
    Rule(
        "max_hits is asked again after the rate",
        _ENTRY,
        "        elif live.captured >= live.probe.max_hits:\n            live.dropped_hit_limit += 1\n        else:",
        "        else:",
        (
            "test_hit.py::test_max_hits_is_never_exceeded_by_threads",
            "test_teeth_boundary.py::test_a_hit_that_another_thread_takes_meanwhile_counts",
        ),
    ),
    Rule(
        "the hit limit holds",
        _ENTRY,
        "        if live.captured >= live.probe.max_hits:\n            live.dropped_hit_limit += 1\n        elif live.intake",
        "        if live.intake",
        ("test_teeth_boundary.py::test_hits_beyond_the_limit_do_not_use_up_the_rate",),
    ),
    Rule(
        "a full intake takes no more",
        _ENTRY,
        "        elif live.intake.qsize() >= INTAKE_HITS:\n            live.dropped_outbox += 1\n",
        "",
        ("test_hit.py::test_a_full_intake_drops_and_counts",),
    ),
    Rule(
        "the rate holds",
        _ENTRY,
        "        elif not live.rate.take(now_ns):\n",
        "        elif False:\n",
        ("test_hit.py::test_hits_beyond_the_rate_are_dropped_and_counted",),
    ),
    Rule(
        "a condition may not read what is kept secret",
        "expression/condition.py",
        "    if Redactor().is_sensitive_expression(checked.words):\n",
        "    if False:\n",
        ("test_hit.py::test_a_condition_over_a_sensitive_name_is_refused",),
    ),
    Rule(
        "each word of a condition is looked at",
        "redaction.py",
        'return any(map(self.is_sensitive, words)) or self.is_sensitive("_".join(words))',
        'return self.is_sensitive("_".join(words))',
        ("test_teeth_boundary.py::test_one_secret_word_anywhere_makes_a_condition_refused",),
    ),
    Rule(
        "the words of a condition are looked at together",
        "redaction.py",
        'return any(map(self.is_sensitive, words)) or self.is_sensitive("_".join(words))',
        "return any(map(self.is_sensitive, words))",
        (
            "test_teeth_boundary.py::test_words_that_are_secret_only_together_make_a_condition_refused",
        ),
    ),
)
