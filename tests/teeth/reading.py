"""Rules on what may be read and computed on the application's thread."""

from __future__ import annotations

from teeth.rule import Rule, everywhere

_OPERATIONS = "expression/operations.py"
_ATTRIBUTES = "reading/attributes.py"
_ITEMS = "reading/items.py"
_KINDS = "reading/kinds.py"
_READERS = "reading/readers.py"
_READING = "test_teeth_reading.py::"


def _refused(test: str) -> tuple[str, ...]:
    kinds = {
        "operation": "test_an_operation_that_could_run_code_or_take_long_is_refused",
        "attribute": "test_an_attribute_that_is_not_stored_plainly_is_refused",
        "item": "test_an_item_that_cannot_be_read_without_running_code_is_refused",
        "truth": "test_a_truth_in_which_a_class_has_a_say_is_refused",
    }
    kind, _, name = test.partition(": ")
    return (f"{_READING}{kinds[kind]}[{name}]",)


def _operation(text: str, instead: str, case: str) -> Rule:
    return Rule(case, _OPERATIONS, text, instead, _refused(f"operation: {case}"))


def _attribute(text: str, instead: str, *cases: str) -> Rule:
    tests = tuple(test for case in cases for test in _refused(f"attribute: {case}"))
    return Rule(f"attribute: {cases[0]}", _ATTRIBUTES, text, instead, tests)


def _item(text: str, instead: str, case: str) -> Rule:
    return Rule(f"item {case}", _ITEMS, text, instead, _refused(f"item: {case}"))


OPERATIONS = (
    _operation(
        "if type(left) is str and type(right)",
        "if isinstance(left, str) and type(right)",
        "comparing a left subclass of str",
    ),
    _operation(
        "is str and type(right) is str and len",
        "is str and isinstance(right, str) and len",
        "comparing a right subclass of str",
    ),
    _operation(
        "type(right) is str and len(left) <= MOST_CHARACTERS",
        "type(right) is str",
        "comparing long texts",
    ),
    _operation(
        "(is_small(left) if left_id in ATOM_IDS",
        "(True if left_id in ATOM_IDS",
        "comparing a huge left number",
    ),
    _operation(
        "(is_small(right) if right_id in ATOM_IDS",
        "(True if right_id in ATOM_IDS",
        "comparing a huge right number",
    ),
    _operation(
        "left_id in ATOM_IDS else _left_over(left) >= 0)",
        "left_id in ATOM_IDS else True)",
        "comparing a left subclass of int",
    ),
    _operation(
        "right_id in ATOM_IDS else _left_over(right) >= 0)",
        "right_id in ATOM_IDS else True)",
        "comparing a right subclass of int",
    ),
    _operation("    if levels == 0 or _WARNS", "    if _WARNS", "comparing deep lists"),
    _operation(
        "_WARNS_OF_BYTES or kind not in _COLLECTIONS or len",
        "_WARNS_OF_BYTES or len",
        "comparing a left list of traps",
    ),
    Rule(
        "a list that is too long to compare is not copied",
        _OPERATIONS,
        " or len(of) * _ELEMENT_COST > room:",
        ":",
        (f"{_READING}test_a_list_that_is_too_long_to_compare_is_not_even_copied",),
    ),
    _operation(
        "    if type(of) is dict and not has_plain_keys(of):\n        return -1\n",
        "",
        "comparing dicts with traps for keys",
    ),
    _operation(" if is_small(of) else -1\n", "\n", "comparing a list of huge numbers"),
    _operation(
        "room - _ELEMENT_COST - (len(of) if kind in _TEXTS else 0)",
        "room - _ELEMENT_COST",
        "comparing many long texts",
    ),
    Rule(
        "a text and bytes are told apart without a warning",
        _OPERATIONS,
        "        if is_equality and left_id",
        "        if False and left_id",
        (f"{_READING}test_a_text_and_bytes_are_not_compared_by_python_which_might_warn",),
    ),
    Rule(
        "texts and bytes inside of collections are not compared where Python warns",
        _OPERATIONS,
        "_WARNS_OF_BYTES: Final = bool(sys.flags.bytes_warning)",
        "_WARNS_OF_BYTES: Final = False",
        ("test_expression.py::test_no_text_is_compared_with_bytes_where_python_would_raise",),
    ),
    _operation(
        "return kind == item_kind and len", "return len", "searching a text for another type"
    ),
    _operation(" and len(item) * len(container) <= _MOST_SEARCHED", "", "searching a long text"),
    _operation(
        "return _left_over(item) >= 0 and _left_over(container) >= 0",
        "return _left_over(container) >= 0",
        "searching a list for a trap",
    ),
    _operation(
        "return _left_over(item) >= 0 and _left_over(container) >= 0",
        "return _left_over(item) >= 0",
        "searching a list of traps",
    ),
    _operation(
        "    if item_kind not in ATOM_IDS or not is_small(item)",
        "    if not is_small(item)",
        "searching a set for a trap",
    ),
    _operation(
        "    if item_kind not in ATOM_IDS or not is_small(item)",
        "    if item_kind not in ATOM_IDS",
        "searching a set for a huge text",
    ),
    _operation(
        "return len(container) <= MOST_KEYS and are_atoms(container)",
        "return len(container) <= MOST_KEYS",
        "searching a set of traps",
    ),
    _operation(
        "return len(container) <= MOST_KEYS and are_atoms(container)",
        "return are_atoms(container)",
        "searching a large set",
    ),
    _operation("return item_kind == id(int)", "return True", "searching a range for a float"),
    _operation(
        "return kind in DICT_IDS and has_plain_keys(container)",
        "return kind in DICT_IDS",
        "searching a dict with traps for keys",
    ),
    _operation(
        "return kind in DICT_IDS and has_plain_keys(container)",
        "return has_plain_keys(container)",
        "searching an unknown container",
    ),
    _operation(
        '    if not _is_number(of):\n        raise EvaluationError(f"TypeError: - on',
        '    if False:\n        raise EvaluationError(f"TypeError: - on',
        "negating a trap",
    ),
    _operation(
        '    if not _is_number(of):\n        raise EvaluationError(f"TypeError: + on',
        '    if False:\n        raise EvaluationError(f"TypeError: + on',
        "the plus sign of a trap",
    ),
    _operation(
        "if _is_number(left) and _is_number(right):", "if _is_number(right):", "adding a left trap"
    ),
    _operation(
        "if _is_number(left) and _is_number(right):", "if _is_number(left):", "adding a right trap"
    ),
    _operation(
        "return -_LARGEST_EXPONENT <= exponent <= _LARGEST_EXPONENT and (",
        "return (",
        "a large power",
    ),
    _operation(
        "        base.bit_length() <= _LARGEST_BASE_BITS\n",
        "        True\n",
        "a power of a large number",
    ),
    _operation(
        " and (type(of) is not int or of.bit_length() <= LARGEST_BITS)",
        "",
        "calculating with a huge number",
    ),
    _operation(
        "        and id(type(left)) in _TEXTS\n        and len", "        and len", "joining a trap"
    ),
    _operation("        and len(left) + len(right) <= MOST_CHARACTERS\n", "", "joining long texts"),
    _operation(
        "return id(type(text)) in _TEXTS and type(times)", "return type(times)", "repeating a trap"
    ),
    _operation("type(times) is int and len(text)", "len(text)", "repeating by a trap"),
    _operation(" and len(text) * times <= MOST_CHARACTERS", "", "repeating often"),
    _operation(
        '"%": (operator.mod, _never)',
        '"%": (operator.mod, lambda left, right: True)',
        "filling a text",
    ),
    Rule(
        "an operation passes on what only looks like an error of its own",
        _OPERATIONS,
        "        if id(type(error)) not in _OUR_IDS:\n            raise\n",
        "",
        ("test_expression.py::test_an_exception_of_a_signal_handler_passes_through",),
    ),
)

ATTRIBUTES = (
    _attribute(
        "    if not is_dict_plain(of):\n", "    if False:\n", "an instance with a trap for a key"
    ),
    _attribute(
        "    if runs_nothing(kind, found):\n", "    if True:\n", "a property", "a descriptor"
    ),
    _attribute(
        "    if _sets(type(found)):\n        raise _not_run(found, name)\n    return _shadowing",
        "    return _shadowing",
        "a property before a stored value",
    ),
    _attribute(
        '        find_in_class(descriptor, "__set__") is not MISSING\n        or ',
        "        ",
        "a descriptor that sets before a stored value",
    ),
    _attribute(
        '\n        or find_in_class(descriptor, "__delete__") is not MISSING',
        "",
        "a descriptor that deletes before a stored value",
    ),
    _attribute(
        "    return not _gets(descriptor)\n", "    return True\n", "a descriptor", "a property"
    ),
    _attribute(
        "return is_subtype(tuple, kind)\n", "return True\n", "a namedtuple's field in another class"
    ),
    _attribute(
        "        return _reads_field(kind, found)\n",
        "        return True\n",
        "a field of another class's",
    ),
    _attribute(
        "    if not is_subtype(owner, kind):\n        return False\n",
        "",
        "a field of another class's",
    ),
    Rule(
        "a field that the interpreter computes is no stored field",
        _ATTRIBUTES,
        "return bool(FLAGS_OF(owner) & HEAP_TYPE) and type(found) is MemberDescriptorType",
        "return True",
        (f"{_READING}test_a_field_that_the_interpreter_computes_is_no_stored_field",),
    ),
    Rule(
        "only classes made in Python have members that are plain",
        _ATTRIBUTES,
        "return bool(FLAGS_OF(owner) & HEAP_TYPE) and type(found) is MemberDescriptorType",
        "return type(found) is MemberDescriptorType",
        (f"{_READING}test_a_field_that_the_interpreter_computes_is_no_stored_field",),
    ),
    Rule(
        "a getter made in C is not plain",
        _ATTRIBUTES,
        "return bool(FLAGS_OF(owner) & HEAP_TYPE) and type(found) is MemberDescriptorType",
        "return bool(FLAGS_OF(owner) & HEAP_TYPE)",
        (f"{_READING}test_a_getter_made_in_c_is_not_read",),
    ),
    _attribute(
        "    if not are_class_dicts_plain(kind):\n        raise _odd_class(kind, name)\n",
        "",
        "a class with a trap for a key",
        "a base with a trap for a key",
    ),
    _attribute(
        'if type(find_in_class(kind, "__getattribute__")) is not WrapperDescriptorType:',
        "if False:",
        "a class that computes all attributes",
    ),
    Rule(
        "a plain layout has its dict managed by the interpreter",
        _ATTRIBUTES,
        "        FLAGS_OF(kind) & MANAGED_DICT\n        and BASIC",
        "        BASIC",
        (),
        everywhere(
            "asked for instances of over two references only: no other layout of that size has so many"
        ),
    ),
    _attribute(
        "        and BASIC_SIZE_OF(kind) == _PLAIN_SIZE\n",
        "",
        "an instance with slots and a trap for a key",
    ),
    Rule(
        "a plain layout has no items",
        _ATTRIBUTES,
        "        and ITEM_SIZE_OF(kind) == 0\n",
        "",
        (),
        everywhere("what has items is larger than a plain instance anyway"),
    ),
    _attribute(
        "    if len(refers_to) > 2 and is_plain_layout(kind):",
        "    if is_plain_layout(kind):",
        "an instance with a trap for a key",
    ),
    _attribute(
        "return all(has_plain_keys(r) for r in refers_to if FLAGS_OF(type(r)) & DICT_SUBCLASS)",
        "return True",
        "an instance with a trap for a key",
    ),
    _attribute(
        "if type(names) is not dict or not has_plain_keys(names):",
        "if type(names) is not dict:",
        "a module with a trap for a key",
    ),
    Rule(
        "a module's names are in an exact dict",
        _ATTRIBUTES,
        "if type(names) is not dict or not has_plain_keys(names):",
        "if not has_plain_keys(names):",
        (),
        everywhere("a module's dict is an exact one from its first moment, and cannot be replaced"),
    ),
    _attribute(
        "    if in_metaclass is not MISSING and _sets(type(in_metaclass)):\n        raise _not_run(in_metaclass, name)\n",
        "",
        "a property of a metaclass",
    ),
    _attribute(
        "    in_metaclass = _look_up(type(of), name)\n",
        "    in_metaclass = find_in_class(type(of), name)\n",
        "a metaclass that computes all attributes",
        "a metaclass with a trap for a key",
    ),
    _attribute(
        "    if not are_class_dicts_plain(of):\n",
        "    if False:\n",
        "a class object with a trap for a key",
    ),
    _attribute(
        "if type(value) is not FunctionType and _gets(type(value)):",
        "if False:",
        "a descriptor of a class object",
    ),
    Rule(
        "an own __getattribute__ is not asked",
        _ATTRIBUTES,
        '        find_in_class(kind, "__getattribute__") is _GENERIC\n        and ',
        "        ",
        (
            f"{_READING}test_a_reader_does_not_ask_an_own_getattribute_of_a_known_class",
            "test_expression.py::test_what_a_class_computes_for_every_attribute_is_not_read_behind_its_back",
        ),
    ),
    Rule(
        "an own __getattr__ is not asked",
        _ATTRIBUTES,
        '\n        and find_in_class(kind, "__getattr__") is MISSING',
        "",
        (f"{_READING}test_what_getattr_would_compute_is_not_computed",),
    ),
    *(
        Rule(
            f"a dictionary is read only where {what}",
            _ATTRIBUTES,
            text,
            instead,
            (f"{_READING}test_a_dictionary_is_not_read_where_a_class_has_a_say_in_it",),
        )
        for what, text, instead in (
            (
                "no class has odd keys",
                "        and are_class_dicts_plain(kind)\n        and id",
                "        and id",
            ),
            (
                "no class puts another before it",
                '\n        and id(type(find_in_class(kind, "__dict__"))) in _DICT_DESCRIPTOR_IDS',
                "",
            ),
            ("it is an exact one", "return found if type(found) is dict else None", "return found"),
        )
    ),
    Rule(
        "a dictionary is read only where there is one",
        _ATTRIBUTES,
        "        DICT_OFFSET_OF(kind) != 0\n        and are",
        "        are",
        (),
        everywhere("a class without one has no descriptor of it either"),
    ),
    Rule(
        "a read passes on what only looks like an AttributeError",
        _ATTRIBUTES,
        "        if type(error) is not AttributeError:\n            raise\n",
        "        pass\n",
        (
            f"{_READING}test_an_exception_like_ours_that_a_signal_handler_raises_passes_through_a_read",
        ),
    ),
    Rule(
        "what is stored before a method is read from an existing dict only",
        _ATTRIBUTES,
        "stored = instance_dict(of) if exists else None",
        "stored = instance_dict(of)",
        ("test_teeth_reading.py::test_looking_behind_a_method_makes_no_dict",),
        dict.fromkeys(("3.13", "3.14"), "a dict that is made later shares the values"),
    ),
)

ITEMS = (
    _item("    if id(kind) not in SEQUENCE_IDS:\n", "    if False:\n", "of a subclass of list"),
    _item(
        "    if type(key) is not int and type(key) is not bool:\n",
        "    if False:\n",
        "by a subclass of int",
    ),
    _item("    if not -len(of) <= key < len(of):\n", "    if False:\n", "behind the end"),
    _item(
        "    if id(kind) not in SEQUENCE_IDS or type_name",
        "    if type_name",
        "a slice of a subclass",
    ),
    _item(' or type_name(kind) == "deque":', ":", "a slice of a deque"),
    _item(
        "        if id(type(bound)) not in _BOUND_TYPES:\n",
        "        if False:\n",
        "a slice from a trap",
    ),
    _item("    if step is not None and step == 0:\n", "    if False:\n", "a slice without a step"),
    _item(
        "    most = MOST_CHARACTERS if id(kind) in _TEXT_IDS else MOST_ITEMS\n",
        "    most = MOST_CHARACTERS\n",
        "a slice of many items",
    ),
    _item(
        "    if length > most and kind is not range:\n",
        "    if False:\n",
        "a slice of many characters",
    ),
    _item("    if id(type(key)) not in ATOM_IDS:\n", "    if False:\n", "by a subclass of str"),
    _item("    if not is_small(key):\n", "    if False:\n", "by a huge key"),
    _item("    if not has_plain_keys(of):\n", "    if False:\n", "of a dict with a trap for a key"),
    _item(
        "value: object = dict.get(of, key, MISSING)\n",
        "value: object = of[key]\n",
        "that a defaultdict would make",
    ),
    Rule(
        "an item of a subclass of dict",
        _ITEMS,
        "    if kind is dict or id(kind) in DICT_IDS:\n",
        "    if isinstance(of, dict):\n",
        (
            *_refused("item: of a subclass of dict"),
            f"{_READING}test_an_item_of_a_subclass_of_dict_is_not_what_its_class_says",
        ),
    ),
)

KINDS = (
    Rule(
        "a dict whose keys are known by its size is an exact one",
        _KINDS,
        "    if type(of) is dict and of.__sizeof__() in TEXT_KEYED_SIZES:\n        return True\n    return dict",
        "    if of.__sizeof__() in TEXT_KEYED_SIZES:\n        return True\n    return dict",
        (f"{_READING}test_a_dict_that_lies_about_its_size_is_looked_at",),
    ),
    Rule(
        "only a dict of texts has such a size",
        _KINDS,
        "of.__sizeof__() in TEXT_KEYED_SIZES:",
        "True:",
        _refused("item: of a dict with a trap for a key"),
    ),
    Rule(
        "more than 1,000 keys are not looked at",
        _KINDS,
        "return dict.__len__(of) <= MOST_KEYS and are_atoms(dict.__iter__(of))",
        "return are_atoms(dict.__iter__(of))",
        _refused("item: of a dict with thousands of keys"),
    ),
    Rule(
        "each key is an exact builtin",
        _KINDS,
        "return dict.__len__(of) <= MOST_KEYS and are_atoms(dict.__iter__(of))",
        "return dict.__len__(of) <= MOST_KEYS",
        _refused("item: of a dict with a trap for a key"),
    ),
    Rule(
        "a class's names are exact texts",
        _KINDS,
        "        {STR_ID}.issuperset(map(id, map(type, CLASS_DICT_OF(base))))\n",
        "        True\n",
        _refused("attribute: a class with a trap for a key"),
    ),
    Rule(
        "the bases' names too",
        _KINDS,
        "        for base in bases\n        if FLAGS_OF(base) & HEAP_TYPE\n",
        "        for base in (of,)\n",
        _refused("attribute: a base with a trap for a key"),
    ),
    Rule(
        "a large text is not small",
        _KINDS,
        "        return len(value) <= _QUICK_SIZE\n",
        "        return True\n",
        _refused("item: by a huge key"),
    ),
    Rule(
        "a large number is not small",
        _KINDS,
        "return kind is not int or value.bit_length() <= _QUICK_SIZE",
        "return True",
        _refused("operation: comparing a huge left number"),
    ),
    Rule(
        "a type's name is an exact text",
        _KINDS,
        "return str.__getitem__(_NAME_OF(of), _FIRST_CHARACTERS)",
        "return _NAME_OF(of)[_FIRST_CHARACTERS]",
        ("test_capture.py::test_a_type_whose_name_is_no_exact_str_is_named_all_the_same",),
    ),
    Rule(
        "sizes of dicts count only if they fit the formula",
        "reading/keys.py",
        "return text_keyed if fits else frozenset()",
        "return text_keyed",
        (f"{_READING}test_where_sizes_do_not_fit_the_formula_none_counts",),
    ),
)

READERS = (
    Rule(
        "a reader that knows a class looks at each instance",
        _READERS,
        "            and not is_dict_plain(of)\n",
        "            and False\n",
        (f"{_READING}test_a_reader_that_knows_a_class_still_looks_at_each_instance",),
    ),
    Rule(
        "a reader passes on what only looks like an AttributeError",
        _READERS,
        "            if type(error) is not AttributeError:\n                raise\n",
        "            pass\n",
        (f"{_READING}test_an_exception_like_ours_passes_through_a_reader",),
    ),
    Rule(
        "a reader keeps no verdict on what is not stored",
        _READERS,
        "    if not is_stored(kind, stored_as):\n        return None\n",
        "",
        (f"{_READING}test_a_reader_keeps_no_verdict_on_what_is_computed_beside_a_stored_value",),
    ),
    Rule(
        "a verdict on a class ends with the class",
        _READERS,
        "weakref.ref(kind, lambda _: by_id.pop(key, None))",
        "weakref.ref(kind)",
        (f"{_READING}test_nothing_is_known_of_a_class_that_has_ended",),
    ),
    Rule(
        "a verdict on a class grows old",
        _READERS,
        "        if now >= self.until_s:\n",
        "        if False:\n",
        (
            "test_expression.py::test_a_reader_follows_a_class_that_is_patched_within_16_uses_of_the_second",
        ),
    ),
    Rule(
        "a reader holds no class",
        _READERS,
        "self._classes.append(weakref.ref(kind, lambda _: by_id.pop(key, None)))",
        "self._classes.append(kind)",
        ("test_expression.py::test_readers_keep_no_class_alive",),
    ),
    Rule(
        "a constant key is looked up in exact dicts",
        _READERS,
        "if type(of) is dict and of.__sizeof__() in TEXT_KEYED_SIZES:",
        "if isinstance(of, dict) and of.__sizeof__() in TEXT_KEYED_SIZES:",
        (f"{_READING}test_a_reader_of_a_constant_key_does_not_take_a_subclass_for_a_dict",),
    ),
    Rule(
        "a constant key is looked up among texts",
        _READERS,
        "if type(of) is dict and of.__sizeof__() in TEXT_KEYED_SIZES:",
        "if type(of) is dict:",
        _refused("item: of a dict with a trap for a key, by a constant"),
    ),
    Rule(
        "a truth of a class with odd names",
        _READERS,
        '    if not are_class_dicts_plain(kind):\n        raise EvaluationError(f"TypeError: truth of',
        '    if False:\n        raise EvaluationError(f"TypeError: truth of',
        _refused("truth: of a class with a trap for a key"),
    ),
    Rule(
        "a truth of its own",
        _READERS,
        '("__bool__", "__len__")',
        '("__len__",)',
        _refused("truth: of its own"),
    ),
    Rule(
        "a truth by a length of its own",
        _READERS,
        '("__bool__", "__len__")',
        '("__bool__",)',
        _refused("truth: by a length of its own"),
    ),
)
