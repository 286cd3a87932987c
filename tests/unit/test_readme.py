"""The README promises nothing without a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROMISE = re.compile(r"^\|.*\| (?P<tests>`tests/.*) \|$", re.MULTILINE)
NAMED = re.compile(r"`(?P<file>[\w/]+\.py)(::(?P<test>\w+))?`")


def test_every_test_that_the_readme_names_exists() -> None:
    rows = PROMISE.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(rows) > 10
    for row in rows:
        folder = ROOT
        for named in NAMED.finditer(row):
            # A second file of the same folder is named without it.
            file = (ROOT if "/" in named["file"] else folder) / named["file"]
            folder = file.parent
            assert file.is_file(), named["file"]
            if named["test"]:
                assert f"def {named['test']}(" in file.read_text(encoding="utf-8"), named["test"]
