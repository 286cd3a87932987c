"""The demo: a service decides wrongly, an assistant asks it why, and leaves no trace.

What is on the screen is what really came back. A step that does not give what it must ends the
demo with a sentence, and everything that was started is ended.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import tempfile
import time
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

from load import Answer

from probe_agent.config import sonde_home
from walkthrough.clients import QUESTION, configurations
from walkthrough.evidence import LEFT, RIGHT
from walkthrough.failure import StepFailed
from walkthrough.investigation import SUSPECT, Found, investigate
from walkthrough.measure import Row, Window, measure, table
from walkthrough.processes import (
    Running,
    address_of,
    answers_of,
    inherited_environment,
    load_command,
    service_command,
    sonde_command,
    start,
    written_by,
)
from walkthrough.screen import Screen

_LIMIT = Decimal(9000)
_RATE = 150.0
_LONGEST_S = 90.0
_WARM_UP_S = 0.5
_QUIET_S = 2.0
_KEPT_RATE = 20.0
_KEPT_S = 3600.0


def tell(*, keep: bool) -> int:
    """Run the demo. `keep`: leave the service running, under the SONDE_HOME that an IDE would use.

    Returns: the exit status: 0, 1 if a step failed, 130 if interrupted.
    """
    screen = Screen(os.environ.get("NO_COLOR", ""))  # noqa: TID251 - the demo's one setting
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="sonde-demo-") as work, ExitStack() as stage:
            _play(screen, Path(work), stage, keep=keep)
    except StepFailed as failure:
        screen.line(f"\nThe demo stopped. {str(failure).rstrip('.')}.")
        return 1
    except KeyboardInterrupt:
        screen.line("\nInterrupted. Everything that was started is ended.")
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def _play(screen: Screen, work: Path, stage: ExitStack, *, keep: bool) -> None:
    """Start the service on the stage, investigate it, conclude; with `keep`, empty the stage."""
    sonde = sonde_command()
    home = sonde_home() if keep else work / "home"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    env = inherited_environment(home)
    service = stage.enter_context(start(service_command(sonde), home / "trades.log", env))
    address = address_of(service)
    _set_the_scene(screen, sonde, service, address)

    found, answers, before = _investigate_under_traffic(screen, sonde, address, home, work)
    rows = measure(answers, [before, found.during, found.after], _LIMIT)
    _conclude(screen, found, rows, service)
    _insist(rows)
    if keep:
        command = load_command(address, None, rate=_KEPT_RATE, seconds=_KEPT_S)
        load = stage.enter_context(start(command, home / "trades-load.log", env))
        _say_how_to_go_on(screen, sonde, home, service, load)
        stage.pop_all()


def _set_the_scene(screen: Screen, sonde: str, service: Running, address: str) -> None:
    screen.title("The service")
    screen.line(f"$ {shlex.join(service_command(sonde))}")
    screen.line(f"{address}, pid {service.process.pid}. Its code knows nothing of Sonde.")
    screen.line(f"Traffic: {_RATE:.0f} orders a second from a load process, over loopback.")
    screen.line(f"The complaint: trades over the limit of {_LIMIT} pass. No exception, no log.")


def _investigate_under_traffic(
    screen: Screen, sonde: str, address: str, home: Path, work: Path
) -> tuple[Found, list[Answer], Window]:
    """Keep orders coming while the assistant is at work.

    Returns: what it found, every answer of the service, and the window before it came.
    """
    report = work / "load.json"
    command = load_command(address, report, rate=_RATE, seconds=_LONGEST_S)
    with start(command, work / "load.log", inherited_environment(home)) as load:
        time.sleep(_WARM_UP_S)
        began_s = time.monotonic()
        time.sleep(_QUIET_S)
        before = Window("before", began_s, time.monotonic())
        screen.title("The assistant")
        screen.line(f"Launched as an IDE launches it: {sonde} mcp")
        found = asyncio.run(investigate(sonde, home, work / "mcp.log", screen))
        return found, answers_of(load, report), before


def _conclude(screen: Screen, found: Found, rows: list[Row], service: Running) -> None:
    screen.title("The cause")
    screen.line(f"{found.location} compares two strings, letter by letter. {LEFT} > {RIGHT}:")
    for comparison in found.compared:
        screen.line(f"    {comparison}")
    screen.line(f"{SUSPECT} held {len(found.accepted)} times, which no number does; each time the")
    screen.line("trade was accepted, for example:")
    screen.line(f"    {found.accepted[0]}")

    quiet_s = found.after.ended_s - found.after.began_s
    screen.title("Nothing left behind")
    screen.line("The service's agent confirmed the removal: the original code objects are back.")
    screen.line(f"Its counts of the two lines then stood still for {quiet_s:.1f} s of traffic.")
    screen.line(f"All that the service wrote: {' / '.join(written_by(service))}")

    screen.title("The service meanwhile, seen from its client")
    for line in table(rows):
        screen.line(f"    {line}")
    screen.line("    changed: decided otherwise than before; wrong: against the limit as a number")
    screen.line(f"\n{found.calls} calls, about {found.tokens} tokens of answers.")


def _insist(rows: list[Row]) -> None:
    """Raises: StepFailed: the service failed a request, or decided one otherwise than before."""
    for row in rows:
        if not row.answers or row.failed or row.changed:
            raise StepFailed(f"The service did not answer as usual in the window `{row.name}`")


def _say_how_to_go_on(
    screen: Screen, sonde: str, home: Path, service: Running, load: Running
) -> None:
    is_default = home == sonde_home({})
    screen.title("Your turn")
    screen.line(f"The service is still running, with {_KEPT_RATE:.0f} orders a second.")
    for place, content in configurations(sonde, None if is_default else str(home)):
        screen.line(f"\n{place}")
        screen.line(content)
    screen.line(f"\nThen ask: {QUESTION}")
    screen.line(f"To stop it: kill {service.process.pid} {load.process.pid}")
    screen.line(f"The traffic ends by itself after {_KEPT_S / 60:.0f} minutes.")
