from __future__ import annotations

import hashlib
import importlib
import os
import sys

import pytest

from probe_agent.errors import (
    AmbiguousFunction,
    InvalidArgument,
    LineNotExecutable,
    UnknownFunction,
)
from probe_agent.source.program import Program
from probe_agent.source.text import TEXT_CHANGED

SOURCE = '''\
import functools

class Limits:
    def __init__(self, limit):
        self.limit = limit

    @functools.lru_cache
    def exceeded(self, trade, factor=2):
        """Is it?"""
        total = trade * factor

        return (
            total > self.limit
        )

def check_limit(trade):
    def again(x):
        return x + trade
    return again

class Other:
    def exceeded(self):
        return check_limit(1)
'''


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "fi_trades").mkdir()
    (tmp_path / "fi_trades" / "fi_validate.py").write_text(SOURCE)
    importlib.invalidate_caches()
    yield importlib.import_module("fi_trades.fi_validate")
    for name in [n for n in sys.modules if n.startswith("fi_trades")]:
        del sys.modules[name]


@pytest.fixture
def program():
    return Program(lambda code: code)


def test_a_line_comes_with_ten_lines_around_it_and_its_variables(module, program):
    ((match,), more) = program.find("fi_validate.py", 10, "")
    assert more == 0
    assert (match.line, match.function, match.code) == (
        10,
        "Limits.exceeded",
        "total = trade * factor",
    )
    assert match.executable
    assert match.names == ("self", "trade", "factor", "total")
    lines = SOURCE.split("\n")
    assert match.before == tuple(lines[0:9])
    assert match.after == tuple(lines[10:20])
    with open(module.__file__, "rb") as file:
        assert match.source_sha256 == hashlib.sha256(file.read()).hexdigest()


def test_a_line_without_code_is_shown_with_the_variables_around_it(module, program):
    ((match,), _) = program.find("fi_validate.py", 11, "")
    assert not match.executable
    assert (match.function, match.code) == ("Limits.exceeded", "")
    assert "total" in match.names


def test_a_line_outside_of_functions_is_the_modules(module, program):
    ((match,), _) = program.find("fi_validate.py", 1, "")
    assert (match.function, match.names, match.executable) == ("<module>", (), False)


def test_a_line_beyond_the_file_is_refused(module, program):
    with pytest.raises(LineNotExecutable):
        program.find("fi_validate.py", 1000, "")


@pytest.mark.parametrize(
    ("name", "qualname"),
    [
        pytest.param("fi_trades.fi_validate.check_limit", "check_limit", id="dotted"),
        pytest.param("fi_validate.check_limit", "check_limit", id="module-and-function"),
        pytest.param("check_limit", "check_limit", id="bare"),
        pytest.param("Other.exceeded", "Other.exceeded", id="class-and-method"),
        pytest.param("fi_validate.Other.exceeded", "Other.exceeded", id="module-class-method"),
        pytest.param("check_limit.again", "check_limit.<locals>.again", id="nested"),
        pytest.param("check_limit.<locals>.again", "check_limit.<locals>.again", id="qualified"),
        pytest.param("again", "check_limit.<locals>.again", id="bare-nested"),
    ],
)
def test_a_function_is_found_by_any_of_its_names(module, program, name, qualname):
    ((match,), _) = program.find("", 0, name)
    assert (match.file, match.function) == (module.__file__, qualname)


ALIASES = """
import functools
from fi_trades.fi_validate import check_limit as check_alias, Limits

def plain():
    return 1

half = functools.partial(plain)
key = lambda trade: trade.amount

@functools.wraps(plain)
def wrapping():
    return plain()

class Small(Limits):
    def own(self):
        return 1
    alias = property(own)
"""


@pytest.mark.parametrize(
    ("name", "qualname"),
    [
        pytest.param("fi_names.check_alias", "check_limit", id="imported-under-another-name"),
        pytest.param(
            "fi_trades.fi_names.check_alias", "check_limit", id="whole-name-of-the-module"
        ),
        pytest.param("check_alias", "check_limit", id="bare"),
        pytest.param("Small.exceeded", "Limits.exceeded", id="inherited-through-lru-cache"),
        pytest.param("Small.alias", "Small.own", id="property-made-by-a-call"),
        pytest.param("fi_names.half", "plain", id="partial"),
        pytest.param("fi_names.key", "<lambda>", id="lambda-in-a-variable"),
    ],
)
def test_a_name_that_leads_to_a_function_finds_it(module, program, name, qualname):
    path = os.path.join(os.path.dirname(module.__file__), "fi_names.py")
    with open(path, "w", encoding="utf-8") as file:
        file.write(ALIASES)
    importlib.invalidate_caches()
    importlib.import_module("fi_trades.fi_names")
    ((match,), _) = program.find("", 0, name)
    assert match.function == qualname
    assert ("def " + qualname.rpartition(".")[2] in match.code) is (qualname != "<lambda>")


def test_a_function_is_shown_from_its_def_line_with_its_decorators_before(module, program):
    ((match,), _) = program.find("", 0, "Limits.exceeded")
    assert (match.line, match.code) == (8, "def exceeded(self, trade, factor=2):")
    assert match.before == ("    @functools.lru_cache",)
    assert match.after == tuple(SOURCE.split("\n")[7:14])
    assert match.names == ("self", "trade", "factor", "total")


def test_several_functions_of_a_name_are_refused_with_candidates(module, program):
    with pytest.raises(AmbiguousFunction) as refused:
        program.find("", 0, "exceeded")
    assert "fi_trades.fi_validate.Limits.exceeded" in refused.value.why
    assert "fi_trades.fi_validate.Other.exceeded" in refused.value.why


def test_file_and_function_narrow_the_search(module, program):
    ((match,), _) = program.find("fi_validate.py", 0, "check_limit")
    assert match.line == 16


def test_an_unknown_function_names_the_nearest(module, program):
    with pytest.raises(UnknownFunction) as refused:
        program.find("", 0, "fi_validate.chek_limit")
    assert "check_limit" in refused.value.next_step


def test_a_library_function_is_found_by_its_whole_name_only(program):
    ((match,), _) = program.find("", 0, "textwrap.dedent")
    assert match.after[0].startswith("def dedent(")
    with pytest.raises(UnknownFunction):
        program.find("", 0, "dedent")


def test_a_file_alone_gives_its_outline(module, program):
    matches, more = program.find("fi_validate.py", 0, "")
    assert [(m.line, m.function) for m in matches] == [
        (3, "Limits"),
        (4, "Limits.__init__"),
        (8, "Limits.exceeded"),
        (16, "check_limit"),
        (17, "check_limit.again"),
        (21, "Other"),
        (22, "Other.exceeded"),
    ]
    assert more == 0


def test_a_file_that_is_not_loaded_is_shown_too(tmp_path, monkeypatch, program):
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "fi_later.py").write_text(SOURCE)
    ((match,), _) = program.find("fi_later.py", 10, "")
    assert (match.function, match.executable) == ("Limits.exceeded", True)
    ((match,), _) = program.find("fi_later.py", 0, "check_limit")
    assert match.line == 16


def test_changed_text_is_never_shown_as_what_runs(module, program):
    with open(module.__file__, "a", encoding="utf-8") as file:
        file.seek(0)
        file.truncate()
        file.write("# new\n" + SOURCE)
    ((match,), _) = program.find("fi_validate.py", 10, "")
    assert (match.code, match.before, match.after, match.source_sha256) == (
        TEXT_CHANGED,
        (),
        (),
        "",
    )
    assert match.executable
    ((match,), _) = program.find("", 0, "check_limit")
    assert (match.line, match.code) == (16, TEXT_CHANGED)
    matches, _ = program.find("fi_validate.py", 0, "")
    assert {m.code for m in matches} == {TEXT_CHANGED}


def test_looking_for_nothing_is_an_invalid_argument(program):
    with pytest.raises(InvalidArgument):
        program.find("", 0, "")
