"""`sonde run`: read its arguments; `probe_agent.launch` does the rest."""

from __future__ import annotations

from collections.abc import Sequence

from mcp_server.cli.arguments import Parser, add_identity
from probe_agent.config import parse_labels
from probe_agent.launch.command import RunOptions
from probe_agent.launch.command import run as become

_USAGE = "sonde run --service S [--env E] [--version V] [--label K=V] -- COMMAND [ARGUMENT ...]"


def run(arguments: Sequence[str]) -> int:
    """Replace this process by the command. Returns only to satisfy the table of verbs.

    Raises: SondeError: see `probe_agent.launch.command.run`.
    """
    parser = Parser("run", "Start a Python command with the agent inside, unchanged.", _USAGE)
    add_identity(parser)
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = parser.parse_args(arguments[:end])
    command = arguments[end + 1 :]
    if not command:
        parser.error("put the command after `--`, as in: sonde run --service S -- python app.py")
    become(
        RunOptions(
            command=command,
            service=options.service,
            environment=options.env,
            version=options.version,
            labels=None if options.label is None else parse_labels(",".join(options.label)),
        )
    )
