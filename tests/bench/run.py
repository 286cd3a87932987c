"""`make bench`: every row on every Python that is here, each beside its reference in one run.

Reports, never asserts: machines are noisy. Columns: nanoseconds per call (median of rounds), and
the ratio to the row's first line (median of pairs).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from matrix import SUPPORTED, agent_environment, find_python, this_version  # noqa: E402


def rows_of(python: str, file: str) -> dict:
    done = subprocess.run(
        [python, str(HERE / file)], capture_output=True, text=True, check=False, cwd=HERE
    )
    if done.returncode:
        print(f"{file} failed on {python}:\n{done.stderr}")
        return {}
    return json.loads(done.stdout)


def report_agent(version: str, python: str) -> None:
    print(f"\n== Python {version}")
    for row, contestants in rows_of(python, "agent_rows.py").items():
        reference_ns = next(iter(contestants.values()))[0]
        print(row)
        for name, (ns, ratio) in contestants.items():
            print(f"  {name:32} {ns:12,.0f} ns  x{ratio:6.2f}  {ns - reference_ns:+12,.0f} ns")


def report_server() -> None:
    print("\n== sonde mcp, from start to first reply")
    for name, (seconds, ratio) in rows_of(sys.executable, "server_rows.py").items():
        print(f"  {name:38} {seconds:6.2f} s  x{ratio:5.2f}")


def main() -> int:
    for version in SUPPORTED:
        if version == this_version():
            report_agent(version, sys.executable)
        elif (python := find_python(version)) is not None:
            report_agent(version, str(agent_environment(version, python)))
        else:
            print(f"\n== Python {version}: not run, no interpreter found")
    report_server()
    return 0


if __name__ == "__main__":
    sys.exit(main())
