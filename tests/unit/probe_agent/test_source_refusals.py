"""What cannot carry a probe says so by code, with the reason and a next step."""

import ctypes
import sys
from importlib.machinery import EXTENSION_SUFFIXES

import pytest

from probe_agent.errors import SondeError, UnknownFunction, Unsupported
from probe_agent.probe import Where
from probe_agent.source.program import Program


@pytest.fixture
def program():
    return Program(lambda code: code)


def refused(call, *arguments):
    with pytest.raises(SondeError) as caught:
        call(*arguments)
    assert all((caught.value.what, caught.value.why, caught.value.next_step))
    return caught.value


@pytest.mark.parametrize(
    ("file", "why"),
    [
        pytest.param("posixpath.py", "frozen", id="frozen-module"),
        pytest.param("importlib/_bootstrap.py", "frozen", id="frozen-import-system"),
        pytest.param("pricing.pyx", "bytecode", id="cython-source"),
        pytest.param("_pricing.so", "bytecode", id="extension-module"),
        pytest.param("probe_agent/probe.py", "agent", id="the-agent"),
        pytest.param("probe_agent/source/program.py", "agent", id="the-agents-packages"),
    ],
)
def test_a_file_without_code_to_change_is_unsupported(program, file, why):
    error = refused(program.locate, Where(file, 60))
    assert error.code == "unsupported"
    assert why in error.why


def test_a_source_beside_its_compiled_module_is_no_pending_place(program, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "sr_fast.py").write_text("def f():\n    return 1\n")
    (tmp_path / f"sr_fast{EXTENSION_SUFFIXES[0]}").write_bytes(b"")
    assert refused(program.locate, Where("sr_fast.py", 2)).code == "unsupported"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        pytest.param("os.getpid", "bytecode", id="function-in-c"),
        pytest.param("len", "bytecode", id="builtin"),
        pytest.param("posixpath.join", "frozen", id="frozen-function"),
    ],
)
def test_a_function_without_code_to_change_is_unsupported(program, load, name, why):
    load("sr_names", "from builtins import len\n")
    error = refused(program.find, "", 0, name)
    assert error.code == "unsupported"
    assert why in error.why


def test_a_generated_method_has_no_file_to_look_into(program, load):
    load("sr_record", "import dataclasses\n@dataclasses.dataclass\nclass Record:\n    a: int\n")
    with pytest.raises(UnknownFunction):
        program.find("", 0, "sr_record.Record.__init__")


def test_code_for_which_a_tool_keeps_something_in_c_is_unsupported(program, load):
    """As compilers and debuggers that hook PEP 523 do."""
    module = load("sr_cached", "def f():\n    return 1\ndef g():\n    return 2\n")
    is_old = sys.version_info < (3, 12)
    api, prefix = ctypes.pythonapi, "_Py" if is_old else "PyUnstable_"
    request = getattr(api, f"{prefix}Eval_RequestCodeExtraIndex")
    request.argtypes = [ctypes.c_void_p]
    index = request(None)
    assert index == 0, "one more tool in this process: ask for more indices in refusals.py"
    keep = getattr(api, f"{prefix}Code_SetExtra")
    keep.argtypes = [ctypes.py_object, ctypes.c_ssize_t, ctypes.c_void_p]
    assert keep(module.f.__code__, index, 1) == 0
    try:
        location = program.locate(Where("sr_cached.py", 2))
        error = refused(program.chains, location)
        assert isinstance(error, Unsupported)
        assert program.chains(program.locate(Where("sr_cached.py", 4)))
    finally:
        keep(module.f.__code__, index, None)
    assert program.chains(location)
