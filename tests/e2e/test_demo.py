"""The demo as a visitor runs it, and what it leaves.

It runs twice at once, since most of its time is spent watching traffic: plain, in a clone, and with
`--keep`, from another folder.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from living import wait_for_end

ROOT = Path(__file__).resolve().parents[2]
DEMO = Path("examples") / "trades" / "demo.py"
PROC = Path("/proc")

ENVIRON = {
    name: value
    for name, value in os.environ.items()  # noqa: TID251 - handed on to the demo
    if name not in ("NO_COLOR", "TMPDIR") and not name.startswith("SONDE_")
}

pytestmark = pytest.mark.timeout(120)


@dataclass(frozen=True)
class Ran:
    """A demo that has ended. `folder`: its TMPDIR, short, since a socket's path has 108 bytes."""

    status: int
    said: str
    complained: str
    seconds: float
    folder: Path

    @property
    def address(self) -> str:
        found = re.search(r"http://127\.0\.0\.1:\d+", self.said)
        assert found, self.said + self.complained
        return found[0]


def cloned(folder: Path) -> Path:
    """Lay out a clone with all that the demo is, so that git can tell what a run leaves in it."""
    folder.mkdir()
    shutil.copy(ROOT / ".gitignore", folder)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=ignored)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    return folder


def git(clone: Path, *arguments: str) -> str:
    command = ["git", "-C", str(clone), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def launched(
    demo: Path, folder: Path, *arguments: str, cwd: Path, **environ: str
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(demo), *arguments],
        cwd=cwd,
        env={**ENVIRON, "TMPDIR": str(folder), **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str], folder: Path, began: float) -> Ran:
    said, complained = process.communicate(timeout=90)
    return Ran(process.returncode, said, complained, time.monotonic() - began, folder)


def pids_to_kill(ran: Ran) -> list[int]:
    found = re.search(r"^To stop it: kill (\d+) (\d+)$", ran.said, re.MULTILINE)
    return [int(pid) for pid in found.groups()] if found else []


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cloned(tmp_path_factory.mktemp("visitor") / "sonde")


@pytest.fixture(scope="module")
def runs(clone: Path) -> Iterator[dict[str, Ran]]:
    with (
        tempfile.TemporaryDirectory(prefix="sd-") as plain,
        tempfile.TemporaryDirectory(prefix="sd-") as kept,
    ):
        began = time.monotonic()
        home = str(Path(kept) / "home")
        processes = {
            "plain": (launched(DEMO, Path(plain), cwd=clone), Path(plain)),
            "kept": (
                launched(ROOT / DEMO, Path(kept), "--keep", cwd=Path("/"), SONDE_HOME=home),
                Path(kept),
            ),
        }
        ended = {name: finished(*started, began) for name, started in processes.items()}
        try:
            yield ended
        finally:
            for pid in pids_to_kill(ended["kept"]):
                if is_running(pid):
                    os.kill(pid, signal.SIGKILL)


@pytest.fixture
def plain(runs: dict[str, Ran]) -> Ran:
    return runs["plain"]


@pytest.fixture
def kept(runs: dict[str, Ran]) -> Ran:
    return runs["kept"]


def is_running(pid: int) -> bool:
    """Ours and alive; a process that has ended and waits for its new parent counts as gone."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = PROC / str(pid) / "stat"
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def still_running_for(folder: Path) -> list[str]:
    """Processes whose environment names the demo's folder (its TMPDIR or SONDE_HOME)."""
    found = []
    for place in PROC.glob("[0-9]*/environ"):
        try:
            if str(folder).encode() in place.read_bytes():
                found.append((place.parent / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def answers(address: str) -> bool:
    try:
        with urlopen(f"{address}/health", timeout=5) as response:
            return bool(json.load(response)["status"] == "ok")
    except (URLError, ConnectionError):
        return False


def test_it_ends_well_within_a_minute(plain: Ran) -> None:
    assert plain.status == 0, plain.said + plain.complained
    assert plain.seconds < 60
    assert plain.complained == ""


def test_it_shows_the_values_that_prove_the_cause(plain: Ran) -> None:
    assert re.search(r"trades/validate\.py:\d+ compares two strings", plain.said)
    assert re.search(r"trade\.amount.*str x5", plain.said)
    assert re.search(r"self\.limit.*str x5.*'9000'", plain.said)
    assert re.search(r"accepted: 15000 against 9000$", plain.said, re.MULTILINE)
    assert "trade.amount == '15000' held" in plain.said


def test_it_shows_each_call_as_the_assistant_makes_it(plain: Ran) -> None:
    calls = re.findall(r"^> (\w+)\(", plain.said, re.MULTILINE)
    assert calls == [
        "list_services",
        "find_code",
        "place_snapshot",
        "place_dynamic_log",
        "remove_probes",
        "list_probes",
        "list_probes",
    ]


def test_the_service_answered_alike_before_during_and_after(plain: Ran) -> None:
    rows = re.findall(
        r"^ +(before|probes in place|after) +(\d+) +([\d.]+) +[\d.]+ +[\d.]+ +(\d+) +(\d+) +\d+%$",
        plain.said,
        re.MULTILINE,
    )
    assert [name for name, *_ in rows] == ["before", "probes in place", "after"]
    assert all(int(count) > 100 and float(rate) > 50 for _, count, rate, *_ in rows)
    assert all((failed, changed) == ("0", "0") for *_, failed, changed in rows)


def test_the_service_itself_logged_nothing(plain: Ran) -> None:
    written = re.search(r"^All that the service wrote: (.*)$", plain.said, re.MULTILINE)
    assert written
    assert written[1] == f"trades: listening on {plain.address}"


def test_a_pipe_gets_no_colour(plain: Ran) -> None:
    assert "\033" not in plain.said


def test_it_leaves_no_process_no_file_and_nothing_that_git_sees(plain: Ran, clone: Path) -> None:
    assert not answers(plain.address)
    assert still_running_for(plain.folder) == []
    assert list(plain.folder.iterdir()) == []
    seen = git(clone, "status", "--porcelain", "--untracked-files=all").splitlines()
    assert [line for line in seen if not line.startswith("A  ")] == []


def test_keep_leaves_the_service_and_says_how_to_point_a_client_at_it(kept: Ran) -> None:
    assert kept.status == 0, kept.said + kept.complained
    assert answers(kept.address)
    pids = pids_to_kill(kept)
    assert len(pids) == 2
    assert all(is_running(pid) for pid in pids)

    decoder = json.JSONDecoder()
    starts = [match.start() for match in re.finditer(r"^\{$", kept.said, re.MULTILINE)]
    claude, cursor, vscode = (decoder.raw_decode(kept.said, start)[0] for start in starts)
    server = claude["mcpServers"]["sonde"]
    assert cursor == claude
    assert vscode["servers"]["sonde"] == {"type": "stdio", **server}
    assert Path(server["command"]).is_absolute()
    assert os.access(server["command"], os.X_OK)
    assert server["args"] == ["mcp"]
    assert server["env"] == {"SONDE_HOME": str(kept.folder / "home")}


def test_what_keep_left_ends_with_the_command_that_it_names(kept: Ran) -> None:
    pids = pids_to_kill(kept)
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    for pid in pids:
        wait_for_end(pid)
    assert not answers(kept.address)
