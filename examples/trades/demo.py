#!/usr/bin/env python
"""Sonde's demo: `python examples/trades/demo.py`, or `sonde demo`. README.md tells the story.

`sonde demo` loads this file by its path and calls `main`.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo.

    Returns: the exit status: 0, 1 if a step failed, 2 for wrong usage, 130 if interrupted.
    """
    parser = argparse.ArgumentParser(
        prog="sonde demo",
        description="An assistant asks a running service why it decides wrongly. About 20 s.",
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help="leave the service running, and say how to point your own assistant at it",
    )
    options = parser.parse_args(argv)
    missing = [name for name in ("mcp", "probe_agent") if importlib.util.find_spec(name) is None]
    if missing:
        print(
            f"The demo needs {missing[0]}: install sonde with its `server` extra.", file=sys.stderr
        )
        return 1
    if str(FOLDER) not in sys.path:  # loaded by path rather than run as a script
        sys.path.insert(0, str(FOLDER))
    from walkthrough.story import tell  # noqa: PLC0415 - needs the lines above

    return tell(keep=options.keep)


if __name__ == "__main__":
    sys.exit(main())
