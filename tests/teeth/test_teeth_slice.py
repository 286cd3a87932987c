"""A slice of `make teeth` in the default suite; see `run`."""

import sys
from pathlib import Path

import pytest
from teeth.copies import make_copy
from teeth.rule import Rule
from teeth.rules import RULES
from teeth.run import examine, green, main

PACKAGE = Path(__file__).resolve().parent.parent.parent / "probe_agent"
REAL = ("an exception raised in the application's code passes", "filling a text")


def test_a_rule_that_is_switched_off_turns_its_test_red_and_what_nobody_notices_is_said(tmp_path):
    rules = [rule for rule in RULES if rule.name in REAL]
    known = rules[0]
    planted = [
        Rule("toothless", known.file, known.text, known.text, known.tests),
        Rule("breaks an import", known.file, "import Final", "import Nothing", known.tests),
        Rule("gone from the code", known.file, "no such text", "", known.tests),
    ]
    version, python = ".".join(map(str, sys.version_info[:2])), Path(sys.executable)
    copy = make_copy(tmp_path / "copy")
    assert green(rules, version, python, copy).passed
    verdicts = examine([*rules, *planted], version, python, copy)
    assert [verdict.is_noticed for verdict in verdicts] == [True, True, False, False, False]
    whys = [verdict.why for verdict in verdicts[2:]]
    assert [why.partition(":")[0] for why in whys] == [
        "STILL GREEN",
        "did not run",
        planted[2].name,
    ]


def test_the_table_follows_the_code():
    astray = [r.name for r in RULES if (PACKAGE / r.file).read_text().count(r.text) != 1]
    assert astray == []


def test_a_name_that_matches_no_rule_is_refused():
    with pytest.raises(SystemExit):
        main(["--rule", "no such rule"])
