"""The agent of this process: one at a time, in the one slot of module state that Sonde has.

`start` and `stop` are for applications, `start_from_environment` for processes that `sonde run`
started. Nothing of ours may reach the application: the latter catches everything.
"""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from probe_agent.agent.lifecycle import Agent, refuse_unsupported
from probe_agent.config import AgentConfig, config_from_environment, make_config
from probe_agent.errors import SondeError

_log = logging.getLogger("sonde")


@dataclass(slots=True)
class _ProcessSlot:
    """This process's agent, if any. Fork callbacks cannot be taken back, so they stay and look
    here.
    """

    agent: Agent | None = None
    is_watching_forks: bool = False


_PROCESS_SLOT: Final = _ProcessSlot()


def start(
    service: str,
    *,
    environment: str | None = None,
    version: str | None = None,
    hub: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> None:
    """Start the agent in this process; a second start while one runs changes nothing.

    What is not given comes from SONDE_ENV, SONDE_VERSION, SONDE_HUB and SONDE_LABELS. While no hub
    answers, the agent costs nothing but a look for one twice a second.

    Raises: Unsupported: this interpreter cannot carry probes. ConfigurationError: a bad setting.
    """
    refuse_unsupported()
    _begin(
        make_config(service, environment=environment, version=version, hub=hub, labels=labels),
    )


def stop() -> None:
    """Put every original back, end the agent's thread; without an agent, nothing."""
    agent, _PROCESS_SLOT.agent = _PROCESS_SLOT.agent, None
    if agent is not None:
        atexit.unregister(stop)
        agent.stop()


def start_from_environment() -> None:
    """Start the agent of a process that `sonde run` started. Never raises, never prints."""
    try:
        refuse_unsupported()
        _begin(config_from_environment())
    except SondeError as error:
        _log.warning("%s", error)
    except Exception:  # noqa: BLE001  the application must start whatever we do
        _log.exception("the agent could not be started")


def _begin(config: AgentConfig) -> None:
    running = _PROCESS_SLOT.agent
    if running is not None and not running.is_dormant:
        _log.warning("an agent runs in this process already; it stays as it is")
        return
    if not _PROCESS_SLOT.is_watching_forks:
        os.register_at_fork(
            before=_before_fork,
            after_in_parent=_after_fork_in_parent,
            after_in_child=_after_fork_in_child,
        )
        _PROCESS_SLOT.is_watching_forks = True
    agent = Agent(config)
    _PROCESS_SLOT.agent = agent
    atexit.register(stop)
    agent.start()


def _awake() -> Agent | None:
    agent = _PROCESS_SLOT.agent
    return None if agent is None or agent.is_dormant else agent


def _before_fork() -> None:
    if agent := _awake():
        agent.before_fork()


def _after_fork_in_parent() -> None:
    if agent := _awake():
        agent.after_fork_in_parent()


def _after_fork_in_child() -> None:
    if agent := _awake():
        agent.after_fork_in_child()
