"""`sonde mcp`: the stdio server that an IDE launches, from its start to its end.

Nothing but protocol goes to stdout, everything else to stderr. It ends when standard input does,
on SIGTERM, SIGINT and SIGHUP, and when its launcher is gone; its probes go with it. The imports
stand inside functions: until the first reply is out, only the SDK may cost time.
"""

from __future__ import annotations

import asyncio
import gc
import importlib.metadata
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from mcp_server.cli.arguments import Parser
from mcp_server.cli.launcher import Launcher
from mcp_server.errors import SondeError
from probe_agent.config import sonde_home

if TYPE_CHECKING:
    from mcp.server import MCPServer

    from mcp_server.hub import Hub
    from mcp_server.tools import LateHub

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_CLOSING_S: Final = 1.0
_OPENING_S: Final = 8.0  # half a second where the machine has nothing else to do
_LONGEST_SOCKET_PATH: Final = 107
_FAILED: Final = 1


def mcp(arguments: Sequence[str]) -> NoReturn:
    """Serve until there is nobody to serve, then end the process.

    Raises: HomeUnusable, ConfigurationError: before anything is served.
    """
    Parser("mcp", "Serve MCP over standard input and output.", "sonde mcp").parse_args(arguments)
    launcher = Launcher()
    home = sonde_home()
    if _looks_unusable(home):
        _prepare_home()
    server, late_hub = _make_server(home)
    asyncio.run(_live(server, late_hub, launcher))


def _looks_unusable(home: Path) -> bool:
    """Glance at SONDE_HOME. What it finds suspect, the hub's own check judges and words."""
    if len(os.fsencode(home / "hub.sock")) > _LONGEST_SOCKET_PATH:
        return True
    try:
        exists = next(place for place in (home, *home.parents) if place.exists())
        is_mine = exists != home or home.stat().st_uid == os.getuid()
        return not (exists.is_dir() and is_mine and os.access(exists, os.W_OK | os.X_OK))
    except OSError:
        return True


def _prepare_home() -> None:
    from mcp_server.config import config_from_environment  # noqa: PLC0415 - imports structlog
    from mcp_server.home import prepare_home  # noqa: PLC0415 - beside the other

    prepare_home(config_from_environment())


def _make_server(home: Path) -> tuple[MCPServer[Any], LateHub]:
    """Import the SDK and build the server on it."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="sonde: %(message)s")
    with _no_collection():
        from mcp_server.tools import LateHub, make_server  # noqa: PLC0415 - most of the start

        late_hub = LateHub(_open_hub, _complain)
        version = importlib.metadata.version("sonde")
        return make_server(late_hub, version=version, home=str(home)), late_hub


@contextmanager
def _no_collection() -> Iterator[None]:
    """Import with no collection of garbage: there is none yet, and looking for it takes a fifth of
    the time.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


async def _open_hub() -> Hub:
    """Open the hub; what it needs is imported in a thread, so that replies go on."""
    kind = await asyncio.to_thread(_import_hub)

    from mcp_server.config import config_from_environment  # noqa: PLC0415 - imports structlog
    from mcp_server.identity import local_principal  # noqa: PLC0415 - beside the other

    return await kind.open(config_from_environment(), local_principal())


def _import_hub() -> type[Hub]:
    with _no_collection():
        from mcp_server.hub import Hub  # noqa: PLC0415 - the database, gRPC, the log: 0.5 s

    return Hub


def _complain(error: SondeError) -> None:
    sys.stderr.write(f"sonde: {error.what}: {error.why}. {error.next_step}.\n")
    sys.stderr.flush()


async def _live(server: MCPServer[Any], late_hub: LateHub, launcher: Launcher) -> NoReturn:
    """Serve until one of the ends comes; give the hub a second to close; be gone."""
    signalled = _on_signals()
    serving = asyncio.create_task(server.run_stdio_async())
    orphaned = asyncio.create_task(launcher.gone())
    ends: set[asyncio.Future[Any]] = {serving, orphaned, signalled}
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    if not late_hub.has_begun and not signalled.done():
        # Nobody said a word, e.g. `sonde mcp </dev/null`: who tries it learns what is wrong.
        ends = {asyncio.create_task(_open_in_time(late_hub)), signalled}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    await _close_in_time(late_hub)
    status = signalled.result() if signalled.done() else 0
    if serving.done() and serving.exception() is not None:
        logging.getLogger(__name__).error("serving failed", exc_info=serving.exception())
        status = _FAILED
    if late_hub.has_failed:
        status = status or _FAILED
    sys.stderr.flush()
    # Not sys.exit: the thread that reads standard input cannot be told to stop.
    os._exit(status)


def _on_signals() -> asyncio.Future[int]:
    """Return what is done when a signal asks us to go, with the exit status. A signal that was
    ignored from the start (nohup) stays so.
    """
    loop = asyncio.get_running_loop()
    signalled: asyncio.Future[int] = loop.create_future()

    def leave(number: int) -> None:
        if not signalled.done():
            signalled.set_result(128 + number)

    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, leave, number)
    return signalled


async def _open_in_time(late_hub: LateHub) -> None:
    try:
        async with asyncio.timeout(_OPENING_S):
            await late_hub.get()
    except (SondeError, TimeoutError):
        pass  # told on stderr


async def _close_in_time(late_hub: LateHub) -> None:
    try:
        async with asyncio.timeout(_CLOSING_S):
            await late_hub.close()
    except TimeoutError:
        pass  # the lease ends what is left
    except Exception:
        logging.getLogger(__name__).exception("closing failed")
