"""Sonde's probe agent: lives in a service's process and answers what its running code does.

`start()` and `stop()` are all that an application calls; `sonde run` calls them for it. Importing
this package does nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["__version__", "start", "stop"]
__version__ = "0.1.0"


def start(
    service: str,
    *,
    environment: str | None = None,
    version: str | None = None,
    hub: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> None:
    """Start the agent in this process; see `probe_agent.agent.start`."""
    # Here, not above: the server imports parts of this package, and must not load the agent.
    from probe_agent import agent  # noqa: PLC0415

    agent.start(service, environment=environment, version=version, hub=hub, labels=labels)


def stop() -> None:
    """Put every original back and end the agent's thread; without an agent, nothing."""
    from probe_agent import agent  # noqa: PLC0415

    agent.stop()
