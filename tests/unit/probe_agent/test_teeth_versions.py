"""Where function versions cannot be kept safely, they are left alone (3.13+)."""

import subprocess
import sys

import pytest

from probe_agent.rewrite import versions
from probe_agent.rewrite.native import word_of

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 13), reason="this Python makes new versions by itself"
)


def test_where_the_rehearsal_fails_versions_are_left_alone(monkeypatch):
    monkeypatch.setattr(versions, "_set_code", lambda f, code, at: setattr(f, "__code__", code))
    assert isinstance(versions._find_offset(), str)


@pytest.mark.parametrize("change", ["__defaults__", "__code__"])
def test_a_version_that_the_application_has_cleared_is_not_set(change):
    def function():
        pass

    function.__defaults__ = ()
    if change == "__code__":
        function.__code__ = function.__code__.replace()
    kept = versions.FunctionVersions()
    assert kept.why_not == ""  # a rehearsal sees too if a cleared version is set
    kept.set_code(function, function.__code__.replace())
    assert word_of(function, versions._IN_FUNCTION).value in (0, 1)


def test_a_version_that_is_none_is_never_set():
    kept = versions.FunctionVersions()
    assert kept.in_code  # what is written to below

    def function():
        pass

    old = function.__code__
    new = old.replace()
    function.__defaults__ = ()
    of_function = word_of(function, versions._IN_FUNCTION)
    of_old, of_new = (word_of(code, kept.in_code) for code in (old, new))
    saved = of_old.value
    of_old.value = of_function.value  # as if the interpreter had run out of versions
    kept.set_code(function, new)
    assert of_function.value in (0, 1)
    assert of_new.value not in (0, 1)
    of_old.value = saved


def test_what_is_changed_between_our_two_steps_clears_the_version():
    program = """
import sys
from probe_agent.rewrite import versions
from probe_agent.rewrite.native import word_of

def function():
    pass

def hook(event, arguments):
    if event == "object.__setattr__" and arguments[:2] == (function, "__code__"):
        function.__defaults__ = (1,)

kept = versions.FunctionVersions()
new = function.__code__.replace()
sys.addaudithook(hook)
kept.set_code(function, new)
assert function.__code__ is new and function.__defaults__ == (1,)
assert word_of(function, versions._IN_FUNCTION).value in (0, 1)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
