"""Start and end the processes of the demo: the service under `sonde run`, and its traffic.

Each is ended by its own id. What it writes goes to a file, so that a process that stays behind
(`--keep`) has no pipe to break.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from load import Answer, read_report

from walkthrough.failure import StepFailed

TRADES_FOLDER = Path(__file__).resolve().parents[1]

_START_TIMEOUT_S = 15.0
_END_TIMEOUT_S = 5.0
_POLL_S = 0.05
_VERSION = "2026.11.2"
_ANNOUNCEMENT = "trades: listening on "


@dataclass(frozen=True)
class Running:
    """A process of ours and the file that holds all it has written. Leaving it ends the process.

    Not a generator under `contextmanager`: forgetting one closes it, which would end a service that
    shall stay.
    """

    process: subprocess.Popen[bytes]
    log: Path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        end(self.process)


def sonde_command() -> str:
    """Find the installed `sonde` command, as an absolute path.

    Raises: StepFailed: it is not installed beside this Python.
    """
    scripts = sysconfig.get_path("scripts")
    found = shutil.which("sonde", path=scripts) or shutil.which("sonde")
    if found is None:
        raise StepFailed(f"There is no `sonde` in {scripts}: install it with the `server` extra")
    return str(Path(found).absolute())


def inherited_environment(home: Path) -> dict[str, str]:
    """Give this process's environment, with `home` as the only setting of Sonde."""
    inherited = os.environ.items()  # noqa: TID251 - handed on to children, not read
    ours = {name: value for name, value in inherited if not name.startswith("SONDE_")}
    return {**ours, "SONDE_HOME": str(home)}


def start(command: Sequence[str], log: Path, env: Mapping[str, str]) -> Running:
    """Run a command in the folder of the example."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=TRADES_FOLDER,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us; we end our children ourselves
        )
    return Running(process, log)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end; after 5 s, kill it and the children that it started."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(_END_TIMEOUT_S)


def service_command(sonde: str) -> list[str]:
    """Start `python -m trades` with the agent inside."""
    identity = ["--service", "trades", "--env", "prod", "--version", _VERSION]
    return [sonde, "run", *identity, "--", sys.executable, "-m", "trades"]


def load_command(address: str, report: Path | None, *, rate: float, seconds: float) -> list[str]:
    """Send orders to `address`: `rate` a second, for `seconds`."""
    bounds = ["--rate", str(rate), "--seconds", str(seconds)]
    written = [] if report is None else ["--report", str(report)]
    script = str(TRADES_FOLDER / "load.py")
    return [sys.executable, script, "--address", address, *bounds, *written]


def address_of(service: Running) -> str:
    """Wait until the service has printed its address.

    Raises: StepFailed: it ended, or 15 s passed.
    """
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        has_ended = service.process.poll() is not None
        for line in written_by(service):
            if line.startswith(_ANNOUNCEMENT):
                return line.removeprefix(_ANNOUNCEMENT)
        if has_ended:
            break
        time.sleep(_POLL_S)
    said = " / ".join(written_by(service)[-3:]) or "it wrote nothing"
    raise StepFailed(f"The service did not start: {said}")


def answers_of(load: Running, report: Path) -> list[Answer]:
    """End the load process and read what was answered.

    Raises: StepFailed: it ended before, or without a single answer.
    """
    was_running = load.process.poll() is None
    end(load.process)
    if not was_running or load.process.returncode != 0:
        said = " / ".join(written_by(load)[-3:]) or "it wrote nothing"
        raise StepFailed(f"The traffic stopped by itself: {said}")
    return read_report(report)


def written_by(running: Running) -> list[str]:
    """Read all lines that a process has written so far."""
    return running.log.read_text(encoding="utf-8", errors="replace").splitlines()
