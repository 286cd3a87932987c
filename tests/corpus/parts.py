"""A part of the corpus on one Python: what its process is told, and what comes back."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from corpus.child import UNTOUCHED, Task
from corpus.compare import Ended
from corpus.suites import LEFT_ALONE, LIBRARY, NO_HITS, NOT_PROBED, PACKAGES, UNDER_TEST, Package
from matrix import ROOT

TESTS = Path(__file__).parent.parent
TIMEOUT_S = 3600.0
_CHILD = ("child", "outcomes", "under_pytest", "under_unittest")
_PROBED_CHILD = (*_CHILD, "probes", "loading")


@dataclass(frozen=True)
class Campaign:
    """One start of the corpus. `results`: where results are kept, and looked for. `stop`: when set,
    what runs is ended.
    """

    results: Path
    stop: threading.Event


@dataclass(frozen=True)
class Interpreter:
    """A Python of the corpus. `library`, `packages`: its folders, as code objects name them."""

    version: str
    path: Path
    library: str
    packages: str


def interpreter(version: str, path: Path) -> Interpreter:
    text = "import sysconfig as s; p = s.get_paths(); print(p['stdlib'], p['purelib'], sep='\\n')"
    asked = subprocess.run([path, "-c", text], capture_output=True, text=True, check=True)
    return Interpreter(version, path, *asked.stdout.split())


@dataclass(frozen=True)
class Part:
    """What one process runs. `name` is unique on one Python; `source`: folder of a package's tests."""

    suite: str
    name: str
    runs: tuple[str, ...]
    modules: tuple[str, ...] = ()
    package: Package | None = None
    source: Path | None = None
    arguments: tuple[str, ...] = ()


def library_parts(python: Interpreter) -> list[Part]:
    """List the modules that this Python has."""
    folder = Path(python.library, "test")
    paths = {name: folder / name.replace(".", "/") for name in LIBRARY}
    return [
        library_part(name)
        for name, path in paths.items()
        if path.is_dir() or path.with_suffix(".py").is_file()
    ]


def library_part(*names: str) -> Part:
    runs = ("false",) if names[0] in NO_HITS else ("condition", "capture")
    return Part("library", "+".join(names), runs, modules=names)


def package_parts(package: Package, source: Path) -> list[Part]:
    """List the parts of a package's suite. `source`: its unpacked source distribution."""
    return [
        Part(
            suite=package.name,
            name=f"{source.name}:{arguments[0].replace('/', '.')}",
            runs=("condition", "capture"),
            package=package,
            source=source,
            arguments=arguments,
        )
        for arguments in package.parts
    ]


def package_named(name: str) -> Package:
    return next(package for package in PACKAGES if package.name == name)


def run_part(
    campaign: Campaign, python: Interpreter, part: Part, run: str, again: str = ""
) -> Ended:
    """Run one part once in a process of its own, or take what an equal run left before."""
    kept = campaign.results / python.version / f"{part.name}.{run}{again}.json"
    key = _key(run)
    if kept.exists():
        ended = Ended(**json.loads(kept.read_text()))
        if ended.result is not None and ended.result.get("key") == key:
            return ended
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="corpus") as folder:
        ended = _start(python, part, run, Path(folder).resolve(), campaign.stop)
    if ended.result is not None:
        ended.result["key"] = key
    kept.write_text(json.dumps(asdict(ended)))
    return ended


def _start(python: Interpreter, part: Part, run: str, folder: Path, stop: threading.Event) -> Ended:
    work = folder / "work"
    if part.source is None:
        work.mkdir()
    else:
        shutil.copytree(part.source, work)  # suites write beside themselves
    out, log = folder / "result.json", folder / "log"
    task = Task(
        run=run,
        out=str(out),
        folder=str(work),
        wanted=_wanted(python, part, work),
        unwanted=tuple(f"{python.library}/{name}" for name in NOT_PROBED),
        left_alone=LEFT_ALONE if "test_code" in part.modules else (),
        timeout_s=TIMEOUT_S - 10,
        modules=tuple(f"test.{name}" for name in part.modules),
        arguments=("--rootdir=.", *part.arguments) if part.arguments else (),
    )
    # -B: nothing that was compiled with probes, or by pytest, may be found by a later run.
    command = [python.path, "-B", "-W", "default", "-m", "corpus.child", json.dumps(asdict(task))]
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=TESTS,
            env=_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        why = ended_badly(process, stop)
    seconds = round(time.monotonic() - began, 1)
    if out.exists() and not why:
        return Ended(json.loads(out.read_text()), "", seconds)
    tail = log.read_bytes()[-3000:].decode(errors="replace")
    return Ended(None, f"{why or 'no result'}\n{tail}", seconds)


def ended_badly(process: subprocess.Popen[bytes], stop: threading.Event) -> str:
    """Wait for a process, then end what it left behind. Returns: how it ended, if not well."""
    deadline_s = time.monotonic() + TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline_s and not stop.wait(0.03):
        pass
    status = process.poll()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # and what its tests left behind
    process.wait()
    if stop.is_set():
        return "stopped"
    if status is None:
        return f"took longer than {TIMEOUT_S:.0f} s"
    if status < 0:
        return f"CRASH: ended by signal {-status} ({signal.Signals(-status).name})"
    return f"exit status {status}" if status else ""


def _wanted(python: Interpreter, part: Part, work: Path) -> tuple[str, ...]:
    if part.package is not None:
        return (f"{work}/", *(f"{python.packages}/{name}/" for name in part.package.imports))
    names = {"test", *(name for module in part.modules for name in _under_test(module))}
    return tuple(f"{python.library}/{name}{end}" for name in sorted(names) for end in ("/", ".py"))


def _under_test(module: str) -> tuple[str, ...]:
    """Name the library modules that a test module tests: mostly its own name says it."""
    first = module.partition(".")[0]
    return UNDER_TEST.get(first, (first.removeprefix("test_"),))


def _environment(folder: Path) -> dict[str, str]:
    """Equal for all runs: no order of hashes, no colours, no bad example for hypothesis to keep."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}  # noqa: TID251
    same = {"LANG": "C.UTF-8", "TZ": "UTC", "CI": "true", "COLUMNS": "80", "PYTHONHASHSEED": "0"}
    return kept | same | {"TMPDIR": str(folder), "HYPOTHESIS_STORAGE_DIRECTORY": str(folder)}


@cache
def _key(run: str) -> str:
    """Tell results apart that different code made: the agent's and the runner's own."""
    names = _CHILD if run == UNTOUCHED else _PROBED_CHILD
    files = [TESTS / "corpus" / f"{name}.py" for name in names]
    files += [] if run == UNTOUCHED else sorted((ROOT / "probe_agent").rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
