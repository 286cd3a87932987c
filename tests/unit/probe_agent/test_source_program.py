from __future__ import annotations

import importlib
import importlib.util
import os
import py_compile
import subprocess
import sys
import textwrap
import zipfile
from types import FunctionType

import pytest

from probe_agent.errors import (
    AmbiguousFile,
    CodeMismatch,
    InvalidArgument,
    LineNotExecutable,
    UnknownFile,
    Unsupported,
)
from probe_agent.probe import Where
from probe_agent.source.program import Program
from probe_agent.source.text import NO_TEXT, TEXT_CHANGED


class Project:
    """Modules in a folder on the import path."""

    def __init__(self, folder):
        self.folder = folder

    def write(self, name, source):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
        importlib.invalidate_caches()
        return path

    def load(self, name, source):
        self.write(name.replace(".", "/") + ".py", source)
        return importlib.import_module(name)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield Project(tmp_path)
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def program():
    return Program(lambda code: code)


def line_of(module, tag):
    with open(module.__file__, encoding="utf-8") as text:
        return next(
            n for n, line in enumerate(text, 1) if line.rstrip().endswith(f"# probe: {tag}")
        )


VALIDATE = """
    '''Docstring.'''
    import functools

    LIMIT = 3  # probe: module

    def check(amount):
        if amount > LIMIT:  # probe: if
            return False
        return True

    class Limits:
        top = 4  # probe: class

        @property
        def half(self):
            return self.top / 2  # probe: property

    def made():
        def inner():
            return 7  # probe: inner
        return inner

    keep = made()
"""


def test_a_file_is_found_by_whole_trailing_parts_of_its_path(project, program):
    module = project.load("sp_trades.sp_validate", VALIDATE)
    line = line_of(module, "if")
    for name in (
        "sp_validate.py",
        "sp_trades/sp_validate.py",
        "sp_trades\\sp_validate.py",
        "./sp_validate.py",
        module.__file__,
    ):
        location = program.locate(Where(name, line))
        assert (location.file, location.line, location.function) == (module.__file__, line, "check")
        assert location.loaded
    with pytest.raises(UnknownFile):
        program.locate(Where("_validate.py", line))


def test_two_files_of_one_name_are_refused_with_both_paths(project, program):
    one = project.load("sp_a.sp_twice", VALIDATE)
    two = project.load("sp_b.sp_twice", VALIDATE)
    with pytest.raises(AmbiguousFile) as refused:
        program.locate(Where("sp_twice.py", 8))
    assert one.__file__ in refused.value.why
    assert two.__file__ in refused.value.why
    assert program.locate(Where("sp_b/sp_twice.py", line_of(two, "if"))).file == two.__file__


def test_an_unknown_file_names_the_nearest(project, program):
    project.load("sp_settlement", VALIDATE)
    with pytest.raises(UnknownFile) as refused:
        program.locate(Where("sp_setlement.py", 3))
    assert "sp_settlement.py" in refused.value.next_step


def test_neither_line_nor_text_is_an_invalid_argument(program):
    with pytest.raises(InvalidArgument):
        program.locate(Where("x.py"))


def test_the_agent_itself_carries_no_probe(program):
    with pytest.raises(Unsupported):
        program.locate(Where("probe_agent/source/program.py", 60))


@pytest.mark.parametrize(
    ("tag", "body"),
    [pytest.param("module", "module", id="module"), pytest.param("class", "class", id="class")],
)
def test_a_body_that_has_run_is_refused_saying_so(project, program, tag, body):
    module = project.load("sp_bodies", VALIDATE)
    with pytest.raises(LineNotExecutable) as refused:
        program.locate(Where("sp_bodies.py", line_of(module, tag)))
    assert f"body of a {body}" in refused.value.why
    assert refused.value.next_step.startswith("The nearest line")


@pytest.mark.parametrize(
    ("tag", "why"),
    [
        pytest.param("docstring", "docstring", id="docstring"),
        pytest.param("global", "`global`", id="global"),
        pytest.param("else", "`else:`", id="else"),
        pytest.param("end", "continues the statement", id="continuation"),
        pytest.param("head", "head of a definition", id="head"),
        pytest.param("comment", "comment", id="comment"),
        pytest.param("annotation", "made no code", id="annotation"),
    ],
)
def test_the_reason_for_a_line_without_code_is_told(project, program, tag, why):
    module = project.load(
        "sp_silent",
        """
        def f(
            a,
            b,  # probe: head
        ):
            '''One
            two.  # probe: docstring
            '''
            global LIMIT  # probe: global
            # a # probe: comment
            c: int  # probe: annotation
            if a:
                c = max(
                    a,
                    b,
                )  # probe: end
            else:  # probe: else
                c = 2
            return c
        """,
    )
    with pytest.raises(LineNotExecutable) as refused:
        program.locate(Where("sp_silent.py", line_of(module, tag)))
    assert why in refused.value.why


def test_a_function_that_nobody_holds_is_told_from_one_without_code(project, program):
    module = project.load("sp_gone", "def f():\n    return 1\ndef g():\n    return 2\ndel f\n")
    with pytest.raises(LineNotExecutable) as refused:
        program.locate(Where("sp_gone.py", 2))
    assert "alive" in refused.value.why
    assert module.g() == 2


def test_a_file_on_the_import_path_is_located_but_not_loaded(project, program):
    path = project.write("sp_pkg/sp_later.py", VALIDATE)
    for name in ("sp_later.py", "sp_pkg/sp_later.py", str(path)):
        location = program.locate(Where(name, expect_code="if amount > LIMIT:"))
        assert (location.file, location.loaded, location.function) == (str(path), False, "check")
    assert program.locate(Where("sp_later.py", 5)).function == "<module>"
    assert program.chains(location) == ()
    assert "sp_pkg.sp_later" not in sys.modules
    with pytest.raises(LineNotExecutable):
        program.locate(Where("sp_later.py", 4))


def test_hidden_and_installed_folders_are_not_searched(project, program):
    project.write(".git/sp_hidden.py", VALIDATE)
    project.write("x/site-packages/sp_hidden.py", VALIDATE)
    with pytest.raises(UnknownFile):
        program.locate(Where("sp_hidden.py", 8))


def test_a_module_loaded_twice_has_two_chains(project, program):
    module = project.load("sp_double", VALIDATE)
    spec = importlib.util.spec_from_file_location("sp_double_again", module.__file__)
    again = importlib.util.module_from_spec(spec)
    sys.modules["sp_double_again"] = again
    spec.loader.exec_module(again)
    location = program.locate(Where("sp_double.py", line_of(module, "if")))
    codes = {id(chain[-1]) for chain in program.chains(location)}
    assert codes == {id(module.check.__code__), id(again.check.__code__)}


def test_the_chain_of_a_closure_begins_with_its_maker(project, program):
    module = project.load("sp_closure", VALIDATE)
    location = program.locate(Where("sp_closure.py", line_of(module, "inner")))
    ((root, target),) = program.chains(location)
    assert root is module.made.__code__
    assert target is module.keep.__code__


def test_a_closure_whose_maker_is_gone_is_its_own_root(project, program):
    module = project.load("sp_orphan", VALIDATE + "\n    del made\n")
    location = program.locate(Where("sp_orphan.py", expect_code="return 7"))
    ((root,),) = program.chains(location)
    assert root is module.keep.__code__


def test_rewritten_functions_are_seen_as_their_originals(project):
    module = project.load("sp_rewritten", VALIDATE)
    original = module.check.__code__
    module.check.__code__ = original.replace(co_consts=(*original.co_consts, "probe"))
    rewritten = module.check.__code__
    program = Program(lambda code: original if code is rewritten else code)
    ((root,),) = program.chains(program.locate(Where("sp_rewritten.py", line_of(module, "if"))))
    assert root is original
    assert program.functions_using([rewritten]) == [module.check]
    assert program.functions_using([original]) == []


def test_a_changed_file_is_noticed_and_its_text_not_believed(project, program):
    module = project.load("sp_changed", VALIDATE)
    assert program.is_current("sp_changed.py")
    line = line_of(module, "if")
    project.write("sp_changed.py", "\n# a new line\n" + textwrap.dedent(VALIDATE))
    assert not program.is_current("sp_changed.py")
    location = program.locate(Where("sp_changed.py", line))
    assert (location.line, location.code) == (line, TEXT_CHANGED)
    with pytest.raises(CodeMismatch) as refused:
        program.locate(Where("sp_changed.py", expect_code="if amount > LIMIT:"))
    assert "changed" in refused.value.why
    assert module.check(1)


def test_text_that_a_change_brought_is_a_mismatch_that_says_changed(project, program):
    project.load("sp_new_text", VALIDATE)
    project.write(
        "sp_new_text.py", textwrap.dedent(VALIDATE).replace("return False", "return 'no'")
    )
    with pytest.raises(CodeMismatch) as refused:
        program.locate(Where("sp_new_text.py", expect_code="return 'no'"))
    assert "changed" in refused.value.why


def test_a_file_written_again_with_the_same_text_is_current(project, program):
    module = project.load("sp_same", VALIDATE)
    os.utime(module.__file__)
    assert program.is_current("sp_same.py")
    location = program.locate(Where("sp_same.py", expect_code="return self.top / 2 # x"))
    assert location.code.startswith("return self.top")


def test_a_change_in_another_function_leaves_a_function_believed(project, program):
    module = project.load("sp_other", VALIDATE)
    line = line_of(module, "if")
    project.write("sp_other.py", textwrap.dedent(VALIDATE).replace("self.top / 2", "self.top / 9"))
    assert program.locate(Where("sp_other.py", line)).code.startswith("if amount")
    assert not program.is_current("sp_other.py")


def test_looking_again_at_odd_escapes_warns_nobody(project, program):
    with pytest.warns((SyntaxWarning, DeprecationWarning)):
        module = project.load(
            "sp_odd", "def f():\n    x = '\\d'\n    return x  # probe: here\n\n# c\n"
        )
    project.write("sp_odd.py", "def f():\n    x = '\\d'\n    return x  # probe: here\n\n# other\n")
    location = program.locate(Where("sp_odd.py", expect_code="return x"))
    assert location.line == line_of(module, "here")
    with pytest.raises(LineNotExecutable):
        program.locate(Where("sp_odd.py", 5))


def test_code_without_source_is_placed_by_line_only(project, program):
    path = project.write("sp_bare.py", VALIDATE)
    py_compile.compile(str(path), cfile=str(project.folder / "sp_bare.pyc"))
    path.unlink()
    module = importlib.import_module("sp_bare")
    location = program.locate(Where("sp_bare.py", 8))
    assert (location.function, location.code) == ("check", NO_TEXT)
    assert program.chains(location)[0][0] is module.check.__code__
    with pytest.raises(Unsupported):
        program.locate(Where("sp_bare.py", expect_code="return False"))


def test_a_module_in_a_zip_archive_has_text(project, program):
    archive = project.folder / "sp_archive.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("sp_zipped.py", textwrap.dedent(VALIDATE))
    sys.path.insert(0, str(archive))
    module = importlib.import_module("sp_zipped")
    location = program.locate(Where("sp_zipped.py", expect_code="if amount > LIMIT:"))
    assert location.file == module.__file__
    assert program.is_current("sp_zipped.py")


def test_functions_compiled_under_another_name_are_found_by_it(project, program):
    module = project.load("sp_maker", "")
    exec(compile("def f():\n    return 1\n", "/made/sp_template.py", "exec"), vars(module))
    location = program.locate(Where("sp_template.py", 2))
    assert (location.file, location.function) == ("/made/sp_template.py", "f")
    ((root,),) = program.chains(location)
    assert program.functions_using([root]) == [module.f]


def test_the_main_script_started_by_a_relative_path_is_found_and_its_imported_copy_too(project):
    script = project.write(
        "sp_main.py",
        """
        import sys
        from probe_agent.probe import Where
        from probe_agent.source.program import Program
        def work():
            return 1
        if __name__ == "__main__":
            program = Program(lambda code: code)
            location = program.locate(Where("sp_main.py", 6))
            print(len(program.chains(location)))
            import sp_main
            print(len(program.chains(location)))
            (chain,) = (c for c in program.chains(location) if c[0] is work.__code__)
            print(program.functions_using(chain) == [work])
        """,
    )
    env = {**os.environ, "PYTHONPATH": os.getcwd()}  # noqa: TID251 (a child needs all of it)
    ran = subprocess.run(
        [sys.executable, f"./{script.name}"],
        capture_output=True,
        text=True,
        timeout=30,
        env=env,
        cwd=project.folder,
    )
    assert (ran.stdout.split(), ran.stderr) == (["1", "2", "True"], "")


@pytest.mark.parametrize(
    "name", ["argparse", "textwrap", "json/decoder", "asyncio/events", "dataclasses"]
)
def test_untouched_library_text_is_recognised_as_what_runs(program, name):
    importlib.import_module(name.replace("/", "."))
    assert program.is_current(f"{name}.py")


def test_a_module_that_is_being_imported_is_pending_where_it_has_not_got_to(project, program):
    seen = []
    project.folder.joinpath("sp_ask.py").write_text("ask = None\n")
    importlib.import_module("sp_ask").ask = lambda: seen.append(
        program.locate(Where("sp_slow.py", expect_code="return 2"))
    )
    project.load("sp_slow", "import sp_ask\nsp_ask.ask()\ndef f():\n    return 2\n")
    assert [(location.line, location.loaded) for location in seen] == [(4, False)]
    assert program.locate(Where("sp_slow.py", expect_code="return 2")).loaded


def test_nothing_found_is_kept_alive(project, program):
    module = project.load("sp_kept", VALIDATE)
    before = sys.getrefcount(module.check), sys.getrefcount(module.check.__code__)
    chains = program.chains(program.locate(Where("sp_kept.py", line_of(module, "if"))))
    found = program.functions_using(chains[0])
    assert found == [module.check]
    assert isinstance(found[0], FunctionType)
    del chains, found
    assert (sys.getrefcount(module.check), sys.getrefcount(module.check.__code__)) == before
