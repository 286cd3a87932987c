"""The corpus finds what it looks for: differences, crashes, too little shown."""

import os
import signal
import subprocess
import sys
import threading

import pytest
from corpus.compare import Ended, cases_run, differences
from corpus.introspection import cause_of
from corpus.outcomes import Outcomes
from corpus.parts import ended_badly, library_part
from corpus.run import Examined, shortcomings


def result(**tests):
    return {"tests": tests, "subtests": {}, "details": {}, "sums": {}}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param({"a": ["passed"]}, {"a": ["failed"]}, id="another outcome"),
        pytest.param({"a": ["passed"]}, {}, id="a test that no longer runs"),
        pytest.param({}, {"a": ["passed"]}, id="a test that did not run before"),
        pytest.param({"a": ["passed"]}, {"a": ["passed", "passed"]}, id="once more"),
    ],
)
def test_a_test_that_comes_out_otherwise_is_a_difference(before, after):
    found = differences("part", "capture", result(**before), result(**after))
    assert [d.test_id for d in found] == ["a"]


def test_a_subtest_that_comes_out_otherwise_is_a_difference():
    before, after = (result() | {"subtests": {"a (i=1)": [said]}} for said in ("passed", "failed"))
    assert [d.test_id for d in differences("part", "capture", before, after)] == ["a (i=1)"]


def test_an_address_in_a_test_id_does_not_make_a_difference():
    runs = []
    for address in ("0x7f51ffe0f7f0", "0x7f51aaaaaaa0"):
        outcomes = Outcomes()
        outcomes.add(f"test[<object at {address}>]", "passed")
        runs.append(result(**outcomes.tests))
    assert differences("part", "capture", *runs) == []


def test_a_skipped_test_is_no_case():
    assert cases_run(result(a=["passed"], b=["skipped"], c=["skipped", "failed"])) == 2


def test_a_process_that_dies_of_a_signal_is_a_crash():
    dies = f"import os; os.kill(os.getpid(), {int(signal.SIGSEGV)})"
    process = subprocess.Popen([sys.executable, "-I", "-c", dies], start_new_session=True)
    assert ended_badly(process, threading.Event()).startswith("CRASH")


def test_a_process_that_is_stopped_ends_with_its_children():
    starts = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    read, write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", starts], stdin=read, pass_fds=(write,), start_new_session=True
    )
    os.close(read)
    stop = threading.Event()
    stop.set()
    assert ended_badly(process, stop) == "stopped"
    assert process.returncode == -signal.SIGKILL
    os.close(write)


@pytest.mark.parametrize(
    "examined",
    [
        pytest.param(Examined("3.12", library_part("test_a"), cases=0), id="no test ran"),
        pytest.param(
            Examined("3.12", library_part("test_a"), cases=5, ended=["capture: CRASH"]), id="crash"
        ),
        pytest.param(
            Examined(
                *("3.12", library_part("test_a"), 5),
                unknown=differences("p", "capture", result(a=["passed"]), result(a=["failed"])),
            ),
            id="an unknown difference",
        ),
    ],
)
def test_the_corpus_is_not_clean_with(examined):
    assert shortcomings([examined], is_complete=False)


def test_a_run_without_a_result_is_reported():
    examined = Examined("3.12", library_part("test_a"))
    examined.add("capture", Ended(None, "CRASH: ended by signal 11 (SIGSEGV)", 1.0))
    assert not examined.is_clean


def test_a_complete_run_is_asked_for_its_sums():
    assert any("hits" in said for said in shortcomings([], is_complete=True))


def test_nothing_is_known_by_module():
    assert cause_of("test.test_patma.TestPatma.test_patma_000") is None
