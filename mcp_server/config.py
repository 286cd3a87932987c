"""The server's settings: made once, from arguments and the environment, and passed down.

Every number that another module would otherwise hide stands here, with its unit and the reason for
its default.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from mcp_server.errors import ConfigurationError
from probe_agent import __version__
from probe_agent.config import sonde_home


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Where the server keeps its state, and for how long it waits for whom."""

    home: Path
    version: str = "unknown"  # of our own distribution; told to agents

    lease_s: float = 30.0  # a killed server's probes are gone after it (tool contract)
    retention_s: float = 24 * 3600.0  # results stay readable for so long after their probe
    heartbeat_s: float = 1.0  # counts in an answer are at most this old
    young_s: float = (
        2.0  # agents look for a hub at least once a second: all have dialled in by then
    )
    settle_s: float = 0.3  # after one agent dialled in, its siblings follow within this
    question_s: float = 2.0  # an agent that has not answered by then is called unreachable
    answer_s: float = 3.3  # all that a verb may take beyond its wait_seconds, of a tool's 4 s
    first_word_s: float = 0.3  # how long even an answer without waiting lets agents arm
    final_s: float = 0.8  # after the last hit, how long an answer waits for final counts
    confirm_s: float = 3.0  # how long a removal waits for the agents
    leave_s: float = 0.5  # the same at exit, when somebody waits for the process to go
    busy_s: float = 1.5  # another process's write takes milliseconds; longer means stuck
    poll_s: float = 0.05  # how late another process's change is noticed
    lock_retry_s: float = 0.5  # how long nobody holds the agents after the holder went
    agents_message_bytes: int = 4 * 1024 * 1024  # one result is 2 kB; a batch is far below it
    hits_per_second: int = (
        50  # per instance and probe: a person reads no more, a service feels less
    )

    @property
    def database(self) -> Path:
        """The store's file."""
        return self.home / "sonde.db"

    @property
    def lock(self) -> Path:
        """Held by the process that holds the agents."""
        return self.home / "hub.lock"

    @property
    def socket(self) -> Path:
        """Where agents dial in."""
        return self.home / "hub.sock"


def config_from_environment(environ: Mapping[str, str] | None = None) -> ServerConfig:
    """Read `SONDE_HOME` and `SONDE_LEASE_SECONDS` (at least 1).

    Raises: ConfigurationError: the lease is not a number of seconds from 1 to 86400.
    """
    given = os.environ if environ is None else environ  # noqa: TID251
    return ServerConfig(
        home=sonde_home(given),
        version=__version__,
        lease_s=_lease(given.get("SONDE_LEASE_SECONDS", "")),
    )


def log_to_stderr() -> None:
    """Send our log to stderr unless the process has set it up already: structlog's own default is
    stdout, which belongs to the protocol.
    """
    if not structlog.is_configured():
        structlog.configure(
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso"),
                structlog.processors.format_exc_info,
                structlog.processors.LogfmtRenderer(bool_as_flag=False),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        )


def _lease(text: str) -> float:
    try:
        seconds = float(text or "30")
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 86_400:
        raise ConfigurationError(
            "Cannot use SONDE_LEASE_SECONDS",
            "it is not a number of seconds from 1 to 86400",
            "Correct it, or unset it for the default of 30",
        )
    return seconds
