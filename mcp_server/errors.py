"""What the server refuses, one class per situation; the fields and codes are those of the tool
contract.
"""

from __future__ import annotations

from probe_agent.errors import (
    AmbiguousCode,
    AmbiguousFile,
    AmbiguousFunction,
    CodeMismatch,
    ConfigurationError,
    ExpressionRefused,
    InvalidArgument,
    LineNotExecutable,
    SondeError,
    UnknownFile,
    UnknownFunction,
    Unsupported,
)

__all__ = [
    "AgentRefused",
    "AgentUnreachable",
    "AmbiguousCode",
    "AmbiguousFile",
    "AmbiguousFunction",
    "AmbiguousService",
    "CodeMismatch",
    "ConfigurationError",
    "ExpressionRefused",
    "HomeUnusable",
    "InternalError",
    "InvalidArgument",
    "LineNotExecutable",
    "SondeError",
    "StaleCursor",
    "StoreUnusable",
    "UnknownFile",
    "UnknownFunction",
    "UnknownInstance",
    "UnknownProbe",
    "UnknownService",
    "Unsupported",
    "from_problem",
]


class UnknownService(SondeError):
    """No service of this name was ever seen."""

    code = "unknown_service"


class AmbiguousService(SondeError):
    """The service runs in several environments and none was named."""

    code = "ambiguous_service"


class UnknownInstance(SondeError):
    """No instance of the service has this id."""

    code = "unknown_instance"


class UnknownProbe(SondeError):
    """No probe has this id."""

    code = "unknown_probe"


class StaleCursor(SondeError):
    """The cursor is not one of ours, or what it points to is gone."""

    code = "stale_cursor"


class AgentRefused(SondeError):
    """Every instance refused the probe; nothing was placed."""

    code = "agent_refused"


class AgentUnreachable(SondeError):
    """An instance did not answer in time."""

    code = "agent_unreachable"


class InternalError(SondeError):
    """A fault of ours; the log has the details."""

    code = "internal"


class HomeUnusable(SondeError):
    """SONDE_HOME cannot be used: not writable, owned by another, or its socket path is too long."""

    code = "invalid_argument"


class StoreUnusable(SondeError):
    """The database is locked, damaged, or from a newer version."""

    code = "internal"


_BY_CODE: dict[str, type[SondeError]] = {
    c.code: c
    for c in (
        *(AmbiguousCode, AmbiguousFile, AmbiguousFunction, CodeMismatch, ExpressionRefused),
        *(InvalidArgument, LineNotExecutable, UnknownFile, UnknownFunction, Unsupported),
    )
}


def from_problem(code: str, what: str, why: str, next_step: str) -> SondeError:
    """Turn what an agent reported back into its error; an unknown code becomes `agent_refused`."""
    return _BY_CODE.get(code, AgentRefused)(what, why, next_step)
