"""The agent's rows of some groups, on the Python that runs this file.

Prints JSON (`timing.to_json`). `run.py` gives each group a process of its own: what one
leaves behind is no other's burden.
"""

from __future__ import annotations

import argparse
import importlib

from timing import to_json

GROUPS = ("untouched", "removal", "conditions", "hits", "placing", "heap", "running")
ROUNDS = 101


def main() -> None:
    """Print the rows of groups, or those of them whose name has a text in it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("groups", nargs="+", choices=GROUPS)
    parser.add_argument("--row", default="")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    of_groups = [importlib.import_module(group).ROWS for group in asked.groups]
    rows = {name: row for of_group in of_groups for name, row in of_group.items()}
    print(to_json({name: row(asked.rounds) for name, row in rows.items() if asked.row in name}))


if __name__ == "__main__":
    main()
