"""The agent's life: start, the hub's orders, lease, fork, stop."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import socket
import sys
import sysconfig
import time
from typing import Final

from probe_agent import __version__
from probe_agent.agent.background import Background
from probe_agent.agent.holding import Holding
from probe_agent.config import AgentConfig, clean_name, random_id
from probe_agent.connect import (
    CONNECTION_ERRORS,
    Identity,
    RefusedByHub,
    ReportOut,
    converse,
)
from probe_agent.deliver import Outbox
from probe_agent.errors import Unsupported
from probe_agent.hit import Intake
from probe_agent.probe import Location, Probe, SourceMatch, Where

_log = logging.getLogger("sonde")
_log.addHandler(logging.NullHandler())

OLDEST_PYTHON: Final = (3, 11)
NEWEST_PYTHON: Final = (3, 14)
# Results per report: at about 2 kB each well under the hub's limit of 4 MiB a message.
_REPORT_RESULTS: Final = 200
# Counts that changed are reported this often; results at once.
_STATUS_S: Final = 0.25
# They write every header and frame of our stream at DEBUG, into the application's log.
_TALKATIVE: Final = ("grpclib", "hpack")
# How long a process that ends waits for its last results to be taken.
_FAREWELL_S: Final = 0.3


class Agent:
    """One agent in one process. Implements `connect.Party`; all but start, stop and the two fork
    methods run on its background thread.
    """

    def __init__(self, config: AgentConfig) -> None:
        self._config = config
        self._background = Background()
        self._outbox = Outbox(config.outbox_results)
        self._holding = Holding(Intake(), self._outbox, self._stir_from_outside)
        self._identity = Identity(
            instance=random_id("i", 6),
            pid=os.getpid(),
            host=clean_name(socket.gethostname()),
            agent_version=__version__,
            started_ms=time.time_ns() // 1_000_000,
        )
        self._stirred = asyncio.Event()
        self._news = asyncio.Event()
        self._disconnected = asyncio.Event()
        self._lease_s = self._heartbeat_s = 1.0
        self._lease_until_s = 0.0
        self._reported_s = 0.0
        self._is_connected = False
        self.is_dormant = False
        # Where the application has set a level itself, it stays.
        loggers = map(logging.getLogger, _TALKATIVE)
        self._quietened = tuple(log for log in loggers if log.level == logging.NOTSET)

    @property
    def instance(self) -> str:
        """This process's random id."""
        return self._identity.instance

    # -- called by the application's threads ------------------------------------------------

    def start(self) -> None:
        """Begin to look for the hub."""
        for logger in self._quietened:
            logger.setLevel(logging.WARNING)
        self._background.begin(self._live())

    def stop(self) -> None:
        """Put every original back, bring out what was captured, say goodbye, end the thread."""
        if self.is_dormant:
            return
        self.is_dormant = True
        self._background.end(self._leave, 2 * _FAREWELL_S)
        self._holding.restore_all()
        for logger in self._quietened:
            logger.setLevel(logging.NOTSET)

    def before_fork(self) -> None:
        """Come to rest: the child must not inherit a step half done, nor a second thread."""
        self._background.halt()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._background.take_up()

    def after_fork_in_child(self) -> None:
        """Put the originals back and stay dormant, without a word to the hub."""
        self.is_dormant = True
        self._background.loop.let_go()
        self._holding.restore_all()

    # -- connect.Party: what the hub says ---------------------------------------------------

    def welcomed(self, lease_s: float, heartbeat_s: float) -> None:
        """Take the lease, and tell everything anew on this stream."""
        self._is_connected = True
        self._lease_s, self._heartbeat_s = lease_s, heartbeat_s
        self.heard()
        self._outbox.rewind()
        self._holding.unsay()

    def refused(self, what: str, why: str, next_step: str) -> None:
        """Say it where the service's people look."""
        _log.warning("%s. %s. %s.", what, why, next_step)

    def heard(self) -> None:
        """The hub is alive."""
        self._lease_until_s = time.monotonic() + self._lease_s

    def desire(self, probes: tuple[Probe, ...]) -> None:
        """Hold exactly these probes."""
        self._holding.desire(probes, time.monotonic())
        self._stir()
        self._news.set()

    def change(self, place: tuple[Probe, ...], remove: tuple[str, ...]) -> None:
        """Hold these too, and those no more."""
        self._holding.remove(remove, time.monotonic())
        self._holding.place(place, time.monotonic())
        self._stir()
        self._news.set()

    def acknowledge(self, through_number: int) -> None:
        """Forget stored results."""
        self._outbox.acknowledge(through_number)

    def locate(self, where: Where) -> Location:
        """Resolve a place."""
        return self._holding.program.locate(where)

    def find(self, file: str, line: int, function: str) -> tuple[tuple[SourceMatch, ...], int]:
        """Show running source."""
        return self._holding.program.find(file, line, function)

    async def next_report(self) -> ReportOut:
        """Wait until there is something to say: results at once, counts after a moment, or
        nothing but that we live.
        """
        while True:
            due_s = self._reported_s + self._heartbeat_s - time.monotonic()
            await _either(self._news, _STATUS_S if self._holding.is_busy else max(due_s, 0.01))
            self._news.clear()
            results = self._outbox.unsent(_REPORT_RESULTS)
            statuses = self._holding.statuses()
            is_due = time.monotonic() >= self._reported_s + self._heartbeat_s
            if results or statuses or is_due or self.is_dormant:
                self._reported_s = time.monotonic()
                if len(results) == _REPORT_RESULTS:
                    self._news.set()
                return ReportOut(results, statuses, len(self._outbox), is_last=self.is_dormant)

    # -- on the background thread -----------------------------------------------------------

    async def _live(self) -> None:
        tending = asyncio.create_task(self._tend())
        try:
            while True:  # noqa: ASYNC110  nothing tells of a hub that comes: we look again
                await asyncio.sleep(await self._converse())
        finally:
            tending.cancel()
            await asyncio.gather(tending, return_exceptions=True)

    async def _converse(self) -> float:
        """Hold one conversation with the hub. Returns: seconds to wait before the next."""
        try:
            await converse(self._config, self._identity, self)
        except RefusedByHub as refusal:
            return max(refusal.retry_after_s, self._config.retry_s)
        except CONNECTION_ERRORS:
            pass  # no hub, or it went: the application must not notice
        except Exception:  # noqa: BLE001  the boundary of our thread: said in the log
            _log.exception("the conversation with the hub failed")
        finally:
            self._is_connected = False
            self._disconnected.set()
        return self._config.retry_s

    async def _tend(self) -> None:
        while True:
            try:
                self._tend_once()
            except Exception:  # noqa: BLE001  the boundary of our thread: said in the log
                _log.exception("tending the probes failed")
            pause_s = self._config.intake_ms / 1000 if self._holding.is_busy else _STATUS_S
            await _either(self._stirred, pause_s)
            self._stirred.clear()

    def _tend_once(self) -> None:
        now_s = time.monotonic()
        self._holding.tend(now_s)
        if now_s > self._lease_until_s:
            self._holding.desire((), now_s)
        if self._outbox.has_unsent or self._holding.has_news:
            self._news.set()

    def _stir(self) -> None:
        self._stirred.set()

    def _stir_from_outside(self) -> None:
        self._background.call(self._stir)

    async def _leave(self) -> None:
        """Empty the intake and have the last report carried."""
        self._holding.desire((), time.monotonic())
        self._holding.tend(time.monotonic())
        self._news.set()
        self._disconnected.clear()
        if self._is_connected:
            await _either(self._disconnected, _FAREWELL_S)


async def _either(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, but not longer than so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


def refuse_unsupported() -> None:
    """Say why this interpreter cannot carry probes.

    Raises: Unsupported: not CPython 3.11-3.14 with the GIL on Linux or macOS.
    """
    reason = _why_unsupported()
    if reason:
        raise Unsupported(
            "Cannot start Sonde's agent",
            reason,
            "Run the service on CPython 3.11-3.14 with the GIL, on Linux or macOS",
        )


def _why_unsupported() -> str:
    version = sys.version_info[:2]
    if platform.python_implementation() != "CPython":
        return f"this is {platform.python_implementation()}, and probes need CPython's bytecode"
    if not OLDEST_PYTHON <= version <= NEWEST_PYTHON:
        return f"this is Python {version[0]}.{version[1]}, whose bytecode is not known to it"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "this is a free-threaded build, where counting without locks is not safe"
    if sys.platform not in ("linux", "darwin"):
        return f"it has not been tried on {sys.platform}"
    return ""
