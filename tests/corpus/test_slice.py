"""A slice of the corpus in the default suite; `make corpus` runs all of it, see `run`."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
MODULES = ("test_with", "test_generator_stop")


@pytest.mark.skipif(importlib.util.find_spec("test") is None, reason="no `test` package here")
def test_tests_of_the_library_come_out_the_same_with_a_probe_on_every_line(tmp_path):
    modules = [part for module in MODULES for part in ("--module", module)]
    asked = ["--here", "--together", "--results", tmp_path]
    done = subprocess.run(
        [sys.executable, "-m", "corpus.run", *asked, *modules],
        cwd=TESTS,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The corpus is clean." in done.stdout
