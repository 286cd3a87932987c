"""`python -m trades`: start the desk, print its address, serve until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import signal
from contextlib import suppress
from pathlib import Path

from trades.desk import Desk
from trades.limits import DEFAULT_PATH, read_limits
from trades.server import make_server


def main() -> None:
    """Run the service."""
    parser = argparse.ArgumentParser(prog="trades", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    parser.add_argument("--limits", type=Path, default=DEFAULT_PATH, metavar="FILE")
    options = parser.parse_args()

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        suppress(KeyboardInterrupt),
        make_server(Desk(read_limits(options.limits)), options.port) as server,
    ):
        host, port = server.server_address[:2]
        print(f"trades: listening on http://{host!s}:{port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
