"""`make bench`: every row on every Python that is here, each beside its reference in one run.

Reports, never asserts: machines are noisy. Columns: time per call (median of rounds), the ratio to
the row's first line and the difference to it (medians of pairs). Then every target, met or missed.
For development: `run.py --python 3.13 --row conditions`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from matrix import ROOT, SUPPORTED, environment, find_python, this_version  # noqa: E402
from rows import GROUPS  # noqa: E402
from targets import duration, print_table  # noqa: E402
from timing import Figures, from_json  # noqa: E402

DDTRACE = "ddtrace==4.16.0"
# The group in whose rows it stands.
DDTRACE_GROUP = "conditions"


def rows_of(python: Path, *command: str) -> dict[str, Figures]:
    """Run a program that prints rows. Returns: none if it fails, which is said."""
    done = subprocess.run([python, *command], capture_output=True, text=True, check=False, cwd=HERE)
    if done.returncode:
        print(f"{' '.join(command)} failed on {python}:\n{done.stderr}", flush=True)
        return {}
    return from_json(done.stdout)


def agent_rows(version: str, groups: list[str], row: str) -> dict[str, Figures]:
    """Measure one Python; {} if it is not here."""
    interpreter = find_python(version)
    if interpreter is None:
        print(f"\n== Python {version}: not run, no interpreter found")
        return {}
    is_this = version == this_version()
    python = Path(sys.executable) if is_this else environment(version, interpreter, "agent-test")
    found: dict[str, Figures] = {}
    for group in groups:
        rows = rows_of(python, "rows.py", group, "--row", row)
        if group == DDTRACE_GROUP and rows:
            rows = _with_ddtrace(rows, version, interpreter, row)
        show(version, group, rows)
        found |= rows
    return found


def _with_ddtrace(
    rows: dict[str, Figures], version: str, interpreter: Path, row: str
) -> dict[str, Figures]:
    python = ddtrace_environment(version, interpreter)
    theirs = {} if python is None else rows_of(python, "ddtrace_rows.py", "--row", row)
    # Its difference and ratio are to the same line by hand, in its own process.
    return {
        name: figures | {k: m for k, m in theirs.get(name, {}).items() if k not in figures}
        for name, figures in rows.items()
    }


def ddtrace_environment(version: str, interpreter: Path) -> Path | None:
    """Make, once, an environment with ddtrace alone; None if it cannot be had, which is said."""
    folder = ROOT / ".venvs" / f"bench-ddtrace-{version}"
    inner = folder / "bin" / "python"
    ready = folder / DDTRACE
    if not ready.exists():
        subprocess.run([interpreter, "-m", "venv", "--clear", "--without-pip", folder], check=True)
        pip = [sys.executable, "-m", "pip", "--python", inner, "install", "--quiet", DDTRACE]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = done.stderr.strip().splitlines()[-1:]
            print(f"{DDTRACE} on Python {version} is left out: {reason}", flush=True)
            return None
        ready.touch()
    return inner


def show(version: str, group: str, rows: dict[str, Figures]) -> None:
    if rows:
        print(f"\n== Python {version}, {group}; load average {os.getloadavg()[0]:.1f}")
    for row, contestants in rows.items():
        print(row)
        for name, m in contestants.items():
            print(f"  {name:48} {duration(m.ns):>10}  x{m.ratio:8.3f}  {duration(m.extra_ns):>10}")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", action="append", choices=SUPPORTED, help="default: all")
    parser.add_argument("--row", default="", help="a group, or a part of a row's name")
    asked = parser.parse_args()
    is_group = asked.row in (*GROUPS, "server")
    groups = [asked.row] if is_group else [*GROUPS, "server"]
    row = "" if is_group else asked.row
    found = {
        version: agent_rows(version, [g for g in groups if g != "server"], row)
        for version in asked.python or SUPPORTED
    }
    if "server" in groups and not row and this_version() in found:
        rows = rows_of(Path(sys.executable), "server_rows.py")
        show(this_version(), "server", rows)
        found[this_version()] |= rows
    print()
    print_table({version: rows for version, rows in found.items() if rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
