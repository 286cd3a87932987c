"""The benchmark still runs: one round of one row, and no word about how fast."""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
GROUPS = ("untouched", "removal", "conditions", "hits", "placing", "heap", "running")
ROW = "condition false, `amount > 1000`"


def test_every_group_of_the_benchmark_loads_and_a_row_brings_figures():
    done = subprocess.run(
        [sys.executable, "rows.py", *GROUPS, "--row", ROW, "--rounds", "1"],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)[ROW]
    assert {"by hand", "no probe", "probe", "sys.settrace"} <= set(figures)
    assert all(figure["ns"] > 0 for figure in figures.values())
