from __future__ import annotations

import textwrap
from types import CodeType

import pytest

from probe_agent.errors import AmbiguousCode, CodeMismatch, LineNotExecutable, Unsupported
from probe_agent.probe import Where
from probe_agent.source.lines import line_map, lines_of, roots_of, variables
from probe_agent.source.places import fold, locate_in
from probe_agent.source.text import NO_TEXT, Text

SOURCE = '''\
"""A module."""
LIMIT = 3  # probe: constant

class Limits:
    top = 9  # probe: class body

    def check(self, trade):
        """Says
        no."""
        # only a comment

        if trade > self.top:  # probe: if
            return True
        else:
            return  False  # probe: two spaces

    def again(self):
        return True

def make(k):
    def inner(x):
        return x + k  # probe: inner
    return inner

key = lambda t: t.amount  # probe: lambda
def short(a): return a  # probe: short
total = sum([
    n
    for n in range(3)
])

def call(a):
    return max(  # probe: call
        a,
        len("a#b"),  # probe: hash in string
    )  # probe: end of call
'''


def parse(source: str) -> tuple[CodeType, Text]:
    code = compile(source, "/srv/mod.py", "exec", dont_inherit=True)
    return code, Text(tuple(source.split("\n")), "")


ROOT, TEXT = parse(SOURCE)


def tagged(tag: str, source: str = SOURCE) -> int:
    return next(
        n for n, line in enumerate(source.split("\n"), 1) if line.endswith(f"# probe: {tag}")
    )


def test_a_line_of_a_method_is_found_with_its_chain_from_the_module_down():
    location, chains = locate_in(ROOT, TEXT, Where("mod.py", tagged("if")))
    assert (location.file, location.function) == ("/srv/mod.py", "Limits.check")
    assert location.code == "if trade > self.top:  # probe: if"
    assert [[code.co_name for code in chain] for chain in chains] == [
        ["<module>", "Limits", "check"]
    ]
    assert chains[0][0] is ROOT


@pytest.mark.parametrize(
    ("tag", "function"),
    [
        pytest.param("constant", "<module>", id="module-body-that-will-run"),
        pytest.param("class body", "Limits", id="class-body"),
        pytest.param("inner", "make.<locals>.inner", id="closure"),
        pytest.param("lambda", "<lambda>", id="lambda-not-the-body-that-runs-once"),
        pytest.param("short", "short", id="one-line-function-not-its-definition"),
    ],
)
def test_the_innermost_function_that_runs_again_has_the_line(tag, function):
    assert locate_in(ROOT, TEXT, Where("mod.py", tagged(tag)))[0].function == function


def test_a_module_level_comprehension_leaves_its_lines_to_the_module():
    line = SOURCE.split("\n").index("    for n in range(3)") + 1
    assert locate_in(ROOT, TEXT, Where("mod.py", line))[0].function == "<module>"


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("return False", id="white-space-folded"),
        pytest.param("return   False # something else", id="comment-ignored"),
        pytest.param("return  False  # probe: two spaces", id="as-written"),
    ],
)
def test_text_is_compared_with_white_space_folded_and_comments_ignored(code):
    location, _ = locate_in(ROOT, TEXT, Where("mod.py", expect_code=code))
    assert location.line == tagged("two spaces")
    assert location.moved_from is None


def test_a_number_sign_inside_a_string_begins_no_comment():
    assert fold('len("a#b"),  # probe') == 'len("a#b"),'
    assert fold("x = 'it\\'s # no'  # yes") == "x = 'it\\'s # no'"
    location, _ = locate_in(ROOT, TEXT, Where("mod.py", expect_code='len("a#b"),'))
    assert location.line == tagged("hash in string")


def test_a_line_moves_to_the_only_other_line_with_the_text():
    location, _ = locate_in(ROOT, TEXT, Where("mod.py", 2, "if trade > self.top:"))
    assert (location.line, location.moved_from) == (tagged("if"), 2)


def test_text_on_its_line_is_taken_even_if_it_stands_elsewhere_too():
    line = SOURCE.split("\n").index("            return True") + 1
    location, _ = locate_in(ROOT, TEXT, Where("mod.py", line, "return True"))
    assert (location.line, location.moved_from) == (line, None)


def test_text_on_several_lines_without_a_line_is_ambiguous_and_names_them():
    with pytest.raises(AmbiguousCode) as refused:
        locate_in(ROOT, TEXT, Where("mod.py", expect_code="return True"))
    lines = [n for n, line in enumerate(TEXT.lines, 1) if line.strip() == "return True"]
    assert all(str(n) in refused.value.why for n in lines)


def test_text_on_several_other_lines_is_a_mismatch_that_names_them():
    with pytest.raises(CodeMismatch) as refused:
        locate_in(ROOT, TEXT, Where("mod.py", 2, "return True"))
    assert "lines 13, 18" in refused.value.why


def test_text_that_is_nowhere_is_a_mismatch_that_names_the_most_similar_line():
    with pytest.raises(CodeMismatch) as refused:
        locate_in(ROOT, TEXT, Where("mod.py", expect_code="if trade >= self.top:"))
    assert str(tagged("if")) in refused.value.next_step


def test_text_without_white_space_folding_of_names_does_not_match_part_of_a_line():
    with pytest.raises(CodeMismatch):
        locate_in(ROOT, TEXT, Where("mod.py", expect_code="trade > self.top"))


def test_text_of_a_line_without_code_is_not_executable():
    with pytest.raises(LineNotExecutable) as refused:
        locate_in(ROOT, TEXT, Where("mod.py", expect_code="else:"))
    assert "`else:`" in refused.value.why


def test_a_blank_line_is_refused_with_the_nearest_lines_that_run():
    with pytest.raises(LineNotExecutable) as refused:
        locate_in(ROOT, TEXT, Where("app.py", 11))
    assert refused.value.what == "Cannot place a probe at app.py:11"
    assert refused.value.why == "the line is blank"
    assert refused.value.next_step == "The nearest lines that run are 7 and 12"


def test_a_continuation_line_is_accepted_only_if_code_begins_there():
    assert locate_in(ROOT, TEXT, Where("m.py", tagged("call") + 1))[0].function == "call"
    with pytest.raises(LineNotExecutable):
        locate_in(ROOT, TEXT, Where("m.py", tagged("end of call")))


def test_without_text_a_line_is_found_and_an_expected_text_refused():
    assert locate_in(ROOT, None, Where("m.py", 12))[0].code == NO_TEXT
    with pytest.raises(Unsupported):
        locate_in(ROOT, None, Where("m.py", expect_code="return True"))


def test_the_def_line_belongs_to_the_enclosing_code():
    def outer():
        def inner():
            return 1

        return inner

    code = outer.__code__
    first = code.co_firstlineno
    assert lines_of(code) == {first + 1, first + 4}
    assert lines_of(outer().__code__) == {first + 2}


def test_generators_and_coroutines_have_no_line_for_their_start():
    def gen():
        yield 1

    async def co():
        return 1

    for code in (gen.__code__, co.__code__):
        assert lines_of(code) == {code.co_firstlineno + 1}


def test_equal_code_objects_are_told_apart_by_identity():
    source = "def f():\n    return 1\n"
    one, other = (compile(source, "m.py", "exec").co_consts[0] for _ in range(2))
    assert one == other
    assert [id(code) for code in roots_of([one, other, one])] == [id(one), id(other)]
    assert len(line_map([one, other])[2]) == 2


def test_a_closure_is_no_root_while_its_maker_lives():
    def make():
        def inner():
            return 1

        return inner

    assert [id(c) for c in roots_of([make().__code__, make.__code__])] == [id(make.__code__)]


def test_variables_are_those_of_the_source():
    def make(k):
        def inner(x, *rest, flag=1):
            y = [n + k for n in rest]
            return x, y, flag

        return inner

    names = variables(make(1).__code__)
    assert set(names) >= {"x", "rest", "flag", "y", "k"}
    assert not [n for n in names if n.startswith(".")]
    assert names[:2] == ("x", "flag")


def test_annotations_of_a_function_give_no_lines_of_its_own():
    source = textwrap.dedent("""
        def f(
            a: int,
            b: str = '',
        ) -> None:
            return None
    """)
    root, text = parse(source)
    assert locate_in(root, text, Where("m.py", 6))[0].function == "f"
    assert "__annotate__" not in {
        chain[-1].co_name for chains in line_map([root]).values() for chain in chains
    }
