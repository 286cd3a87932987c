"""The command line: `sonde VERB ...`. One line on standard error says what is wrong, the exit
status says how: 0 done, 1 refused or failed, 2 wrong usage.

A verb is a function of its arguments that returns an exit status. It imports what it needs when it
is called: `sonde run` must work with the agent's dependencies alone, and start quickly.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from probe_agent.errors import ConfigurationError, InvalidArgument, SondeError

_REFUSED: Final = 1
_WRONG_USAGE: Final = 2


def _run(arguments: Sequence[str]) -> int:
    """Start a Python command with the agent inside."""
    from mcp_server.cli.run import run  # noqa: PLC0415 - see the module's docstring

    return run(arguments)


def _mcp(arguments: Sequence[str]) -> int:
    """Serve a coding assistant over standard input and output; what an IDE launches."""
    from mcp_server.cli.mcp import mcp  # noqa: PLC0415 - see the module's docstring

    mcp(arguments)


def _demo(arguments: Sequence[str]) -> int:
    """Watch a scripted assistant find the bug in a real service, in under a minute."""
    from mcp_server.cli.demo import demo  # noqa: PLC0415 - see the module's docstring

    return demo(arguments)


# First lines of the docstrings are what `sonde --help` shows.
_VERBS: Final[Mapping[str, Callable[[Sequence[str]], int]]] = {
    "demo": _demo,
    "mcp": _mcp,
    "run": _run,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; the entry point of the `sonde` script. Returns the exit status."""
    verb, *arguments = (sys.argv[1:] if argv is None else list(argv)) or ["--help"]
    if verb in ("-h", "--help"):
        sys.stdout.write(_help())
        return 0
    if verb == "--version":
        sys.stdout.write(f"sonde {_version()}\n")
        return 0
    if verb not in _VERBS:
        sys.stderr.write(f"sonde: there is no verb {verb!r}. The verbs are: {', '.join(_VERBS)}.\n")
        return _WRONG_USAGE
    try:
        return _VERBS[verb](arguments)
    except SondeError as error:
        sys.stderr.write(f"sonde: {error.what}: {error.why}. {error.next_step}.\n")
        return _status_of(error)


def _status_of(error: SondeError) -> int:
    if isinstance(error, (InvalidArgument, ConfigurationError)):
        return _WRONG_USAGE
    return int(getattr(error, "exit_status", _REFUSED))  # `run` has those of the shells


def _help() -> str:
    width = max(map(len, _VERBS))
    lines = (f"  {verb:<{width}}  {run.__doc__}" for verb, run in _VERBS.items())
    return "\n".join(
        (
            "usage: sonde VERB [ARGUMENT ...]",
            "",
            *lines,
            "",
            "`sonde VERB --help` explains one, `sonde --version` names the installed version.",
            "",
        )
    )


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - costs 30 ms

    try:
        return version("sonde")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "(not installed)"
