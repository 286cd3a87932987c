"""`sonde run` with real processes: who gets the agent, who is left alone, what is refused and how."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = sys.executable
SONDE = [PYTHON, "-m", "mcp_server.cli"]
RUN = [*SONDE, "run", "--service", "trades"]
AT_ONCE = 3  # commands; most of what one takes is starting interpreters

WAIT = "import os, sys\nprint(os.getpid(), flush=True)\nsys.stdin.read()\n"
IS_INSIDE = "import sys; print('probe_agent.agent' in sys.modules)"
PARENT = f"""
import os, subprocess, sys
print(os.getpid(), flush=True)
sys.exit(subprocess.call([sys.executable, "-c", {WAIT!r}]))
"""
SPAWNING_PARENT = """
import multiprocessing, os, sys
def wait(pipe):
    print(os.getpid(), flush=True)
    pipe.recv()
if __name__ == "__main__":
    print(os.getpid(), flush=True)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=wait, args=(theirs,))
    child.start()
    sys.stdin.read()
    ours.send("go home")
    child.join()
"""
LOOK_AROUND = """
import sys
print(sys.path, "sitecustomize" in sys.modules, "probe_agent" in sys.modules)
sys.exit(3)
"""


class Hub:
    """A socket where a hub would be: tells which processes dial it."""

    def __init__(self, home: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(os.path.join(home, "hub.sock"))
        self._socket.listen()
        self._socket.settimeout(15)
        self._connections: list[socket.socket] = []

    def callers(self, count: int) -> set[int]:
        """Wait until so many processes have dialled. Returns: their pids."""
        pids: set[int] = set()
        while len(pids) < count:
            connection, _ = self._socket.accept()
            self._connections.append(connection)
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            pids.add(struct.unpack("3i", credentials)[0])
        return pids

    def close(self) -> None:
        for opened in (*self._connections, self._socket):
            opened.close()


def environment(home: str) -> dict[str, str]:
    """A Sonde to import, and this state folder."""
    inherited = dict(os.environ)  # noqa: TID251 - what a person's shell would hand on
    kept = {k: v for k, v in inherited.items() if not k.startswith(("SONDE_", "PYTEST", "COV"))}
    if "sonde" not in {found.name for found in importlib.metadata.distributions()}:
        kept["PYTHONPATH"] = os.pathsep.join([kept.get("PYTHONPATH", str(ROOT)), str(ROOT)])
    return {**kept, "SONDE_HOME": home}


@pytest.fixture
def environ() -> Iterator[dict[str, str]]:
    # Not tmp_path: a socket's path is short.
    with tempfile.TemporaryDirectory(prefix="sonde") as home:
        yield environment(home)


@pytest.fixture
def bare_python(tmp_path: Path) -> str:
    """A virtual environment without Sonde and without pip."""
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    return str(tmp_path / "bare" / "bin" / "python")


def executable(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def run(
    command: Sequence[str], environ: dict[str, str], folder: Path
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=environ, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30
    )  # fmt: skip


def without_sonde(environ: dict[str, str]) -> dict[str, str]:
    return {k: v for k, v in environ.items() if k != "PYTHONPATH"}


def pids_of(command: Sequence[str], folder: Path) -> list[int]:
    """Run a command that prints pids and waits. Returns: its own pid, then those printed, all of
    which have an agent.
    """
    expected = 2 if PARENT in command or "spawn.py" in command else 1
    with tempfile.TemporaryDirectory(prefix="sonde") as home, closing(Hub(home)) as hub:
        environ = environment(home)
        environ["PATH"] = os.pathsep.join([str(folder), environ["PATH"]])
        with subprocess.Popen(
            [*RUN, "--", *command],
            env=environ,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as started:
            assert started.stdout is not None
            printed = [int(started.stdout.readline()) for _ in range(expected)]
            assert hub.callers(expected) == set(printed)
            started.communicate("")
    assert started.returncode == 0
    return [started.pid, *printed]


@contextmanager
def begun(
    commands: Mapping[str, Sequence[str]], folder: Path
) -> Iterator[dict[str, Future[list[int]]]]:
    """Begin all of these commands, a few at a time, each before a hub of its own."""
    if not hasattr(socket, "SO_PEERCRED"):
        pytest.skip("Linux tells who dials a Unix socket; this is another system")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {name: pool.submit(pids_of, command, folder) for name, command in commands.items()}
        pool.shutdown(cancel_futures=True)


def trampoline(python: str) -> str:
    return f"#!/bin/sh\n'''exec' {python} \"$0\" \"$@\"\n' '''\n{WAIT}"


COMMANDS = {
    "a script": [PYTHON, "app.py"],
    "a module": [PYTHON, "-m", "app"],
    "code": [PYTHON, "-u", "-c", WAIT],
    "code under strict warnings": [
        *(PYTHON, "-bb", "-W", "error", "-X", "warn_default_encoding", "-X", "dev", "-c", WAIT)
    ],
    "a console script": ["./console"],
    "a console script found on PATH": ["console"],
    "a console script that asks env": ["./by-env"],
    "a console script that asks env with options": ["./by-env-split"],
    "a console script with a long path": ["./long"],
    "a console script with a quoted path": ["./quoted"],
    "a console script of a relocatable environment": ["./relocatable"],
    "a sonde run inside another": [*SONDE, "run", "--service", "orders", "--", PYTHON, "-c", WAIT],
}


@pytest.fixture(scope="module")
def python_commands(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Future[list[int]]]]:
    folder = tmp_path_factory.mktemp("commands")
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("0123456789abcdef")
    (folder / "app.py").write_text(WAIT)
    executable(folder / "console", f"#!{PYTHON}\n{WAIT}")
    executable(folder / "by-env", f"#!/usr/bin/env python-here\n{WAIT}")
    executable(folder / "by-env-split", f"#!/usr/bin/env -S python-here -u\n{WAIT}")
    executable(folder / "long", trampoline(PYTHON))
    executable(folder / "quoted", trampoline(f'"{PYTHON}"'))
    beside = '"$(dirname -- "$(realpath -- "$0")")"/\'python-here\''
    executable(folder / "relocatable", trampoline(beside))
    executable(folder / "python-here", f'#!/bin/sh\nexec {PYTHON} "$@"\n')
    with begun(COMMANDS, folder) as pids:
        yield pids


@pytest.mark.parametrize("name", COMMANDS)
def test_a_python_command_gets_the_agent_in_the_same_process(
    name: str, python_commands: dict[str, Future[list[int]]]
) -> None:
    own, printed = python_commands[name].result()
    assert own == printed


LAUNCHERS = {
    "a shell": ["sh", "-c", f"'{PYTHON}' app.py; exit $?"],
    "env": ["env", "EXTRA=1", PYTHON, "app.py"],
    "a program with a child": [PYTHON, "-c", PARENT],
    "multiprocessing": [PYTHON, "spawn.py"],
}


@pytest.fixture(scope="module")
def launchers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[list[int]]]]:
    folder = tmp_path_factory.mktemp("launchers")
    (folder / "app.py").write_text(WAIT)
    (folder / "spawn.py").write_text(SPAWNING_PARENT)
    with begun(LAUNCHERS, folder) as pids:
        yield pids


@pytest.mark.parametrize("name", LAUNCHERS)
def test_every_python_below_the_command_gets_an_agent(
    name: str, launchers: dict[str, Future[list[int]]]
) -> None:
    assert launchers[name].result()


@pytest.mark.parametrize("module", ["resource_tracker", "forkserver"])
def test_a_process_that_only_serves_multiprocessing_gets_no_agent(
    module: str, environ: dict[str, str], tmp_path: Path
) -> None:
    code = f"from multiprocessing.{module} import main; {IS_INSIDE}"
    assert run([*RUN, "--", PYTHON, "-c", code], environ, tmp_path).stdout == "False\n"


def test_a_subinterpreter_gets_no_agent_of_its_own(environ: dict[str, str], tmp_path: Path) -> None:
    module, go = (
        ("_interpreters", "exec")
        if sys.version_info >= (3, 13)
        else ("_xxsubinterpreters", "run_string")
    )
    code = f"import {module} as i; sub = i.create(); i.{go}(sub, {IS_INSIDE!r}); i.destroy(sub)"
    program = f"{code}; {IS_INSIDE}"
    said = run([*RUN, "--", PYTHON, "-u", "-c", program], environ, tmp_path)
    assert (said.stdout, said.stderr) == ("False\nTrue\n", "")


def test_the_sonde_command_itself_gets_no_agent(environ: dict[str, str], tmp_path: Path) -> None:
    executable(tmp_path / "sonde", f"#!{PYTHON}\n{IS_INSIDE}")
    assert run([*RUN, "--", "./sonde"], environ, tmp_path).stdout == "False\n"


def other_pythons() -> list[str]:
    """Every Python on this machine that cannot carry the agent, of any version."""
    names = ("python2.7", "python2", *(f"python3.{minor}" for minor in range(4, 11)), "pypy3")
    pyenv = [str(found) for found in sorted(Path.home().glob(".pyenv/versions/*/bin/python"))]
    system = [found for name in (*names, "/usr/bin/python3") if (found := shutil.which(name))]
    works = [
        p
        for p in [*pyenv, *system]
        if subprocess.run([p, "-c", ""], capture_output=True).returncode == 0
    ]
    return list(dict.fromkeys(works))


def test_another_python_started_by_the_program_is_left_alone(
    environ: dict[str, str], tmp_path: Path, bare_python: str
) -> None:
    def alone_and_below(python: str) -> tuple[subprocess.CompletedProcess[str], ...]:
        alone = run([python, "-c", LOOK_AROUND], without_sonde(environ), tmp_path)
        # Through sh, because sonde would refuse this Python if it were the command.
        shell = ["sh", "-c", 'exec "$0" "$@"', python, "-c", LOOK_AROUND]
        return alone, run([*RUN, "--", *shell], environ, tmp_path)

    pythons = [bare_python, *other_pythons()]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(alone_and_below, pythons))
    for python, (alone, below) in zip(pythons, outcomes, strict=True):
        # Where Sonde is not installed, its folders are seen below.
        stdout = below.stdout if "PYTHONPATH" in environ else alone.stdout
        said = (python, below.returncode, below.stdout, below.stderr)
        assert said == (python, 3, stdout, "")


@pytest.fixture
def old_protobuf(tmp_path: Path) -> str:
    """A folder for PYTHONPATH that hides the real protobuf behind one of long ago."""
    package = tmp_path / "old" / "google" / "protobuf"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("__version__ = '5.29.0'\n")
    (tmp_path / "old" / "protobuf-5.29.0.dist-info").mkdir()
    return str(tmp_path / "old")


def test_a_python_with_an_old_protobuf_is_refused_with_the_command_that_mends_it(
    environ: dict[str, str], tmp_path: Path, old_protobuf: str
) -> None:
    environ["PYTHONPATH"] = os.pathsep.join([old_protobuf, environ.get("PYTHONPATH", old_protobuf)])
    refused = run([*RUN, "--", PYTHON, "-c", "print('ran')"], environ, tmp_path)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "5.29.0" in refused.stderr
    assert f"install --python {PYTHON} 'protobuf>=6.31.1'" in refused.stderr.replace(
        f"{PYTHON} -m pip install", f"uv pip install --python {PYTHON}"
    )


def test_a_child_with_an_old_protobuf_starts_silently(
    environ: dict[str, str], tmp_path: Path, old_protobuf: str
) -> None:
    environ["PYTHONPATH"] = os.pathsep.join([old_protobuf, environ.get("PYTHONPATH", old_protobuf)])
    below = run([*RUN, "--", "sh", "-c", f"{PYTHON} -c 'print(1); exit(4)'"], environ, tmp_path)
    assert (below.returncode, below.stdout, below.stderr) == (4, "1\n", "")


def test_a_python_without_sonde_is_refused_with_the_command_that_mends_it(
    environ: dict[str, str], tmp_path: Path, bare_python: str
) -> None:
    program = executable(tmp_path / "console", f"#!{bare_python}\nprint('ran')")
    # Sonde may be importable here through PYTHONPATH alone, which the bare Python must not have.
    blind = f"import sys; sys.path[:0] = {sys.path!r}; from mcp_server.cli import main; sys.exit(main())"
    command = [PYTHON, "-c", blind, "run", "--service", "trades", "--", program]
    refused = run(command, without_sonde(environ), tmp_path)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"uv pip install --python {bare_python} sonde." in refused.stderr


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ([PYTHON, "-I", "-c", ""], "-I"),
        ([PYTHON, "-uE", "-c", ""], "-E"),
        ([PYTHON, "-W", "error", "-S", "app.py"], "-S"),
        (["./blind"], "-E"),
    ],
)
def test_an_option_that_shuts_the_agent_out_is_refused_with_another_way(
    command: list[str], option: str, environ: dict[str, str], tmp_path: Path
) -> None:
    executable(tmp_path / "blind", f"#!{PYTHON} -Es\n")
    refused = run([*RUN, "--", *command], environ, tmp_path)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"its option {option} makes it" in refused.stderr
    assert "probe_agent.start()" in refused.stderr


@pytest.mark.parametrize(
    ("command", "status", "why"),
    [
        pytest.param(["no-such-program"], 127, "no folder on PATH has it", id="unknown name"),
        pytest.param(["./no-such"], 127, "there is no such file", id="unknown path"),
        pytest.param(["./lost"], 127, "interpreter", id="no interpreter"),
        pytest.param(["./plain"], 126, "Permission denied", id="not executable"),
        pytest.param(["./folder"], 126, "Permission denied", id="folder"),
    ],
)
def test_a_command_that_cannot_be_started_is_named_with_the_reason(
    command: list[str], status: int, why: str, environ: dict[str, str], tmp_path: Path
) -> None:
    executable(tmp_path / "lost", "#!/no/such/python3\n")
    (tmp_path / "plain").write_text("")
    (tmp_path / "folder").mkdir()
    failed = run([*RUN, "--", *command], environ, tmp_path)
    assert (failed.returncode, failed.stdout) == (status, "")
    assert command[0] in failed.stderr
    assert why in failed.stderr


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        pytest.param(["run", "--service", "trades"], "-- python app.py", id="no command"),
        pytest.param(["run", "--service", "trades", "--"], "-- python app.py", id="empty command"),
        pytest.param(["run", "--", PYTHON, "-c", ""], "SONDE_SERVICE", id="no service"),
        pytest.param(["run", "--serv", "trades", "--", PYTHON], "--serv", id="unknown option"),
        pytest.param(["run", "--service", "t", "--label", "k", "--", PYTHON], "k=v", id="label"),
        pytest.param(["walk"], "run", id="unknown verb"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    arguments: list[str], word: str, environ: dict[str, str], tmp_path: Path
) -> None:
    wrong = run([*SONDE, *arguments], environ, tmp_path)
    assert (wrong.returncode, wrong.stdout, wrong.stderr.count("\n")) == (2, "", 1)
    assert word in wrong.stderr


def test_the_options_arrive_as_settings_and_the_last_sonde_run_wins(
    environ: dict[str, str], tmp_path: Path
) -> None:
    say = "import os; print({k: v for k, v in os.environ.items() if k[:6] in ('SONDE_', 'PYTHON')})"
    first = [*RUN, "--environment", "prod", "--labels", "a=1,b=2", "--label", "c=3", "--"]
    second = [*SONDE, "run", "--service", "orders", "--version", "1.2", "--", PYTHON, "-c", say]
    said = eval(run([*first, *second], {**environ, "SONDE_HOME": "state"}, tmp_path).stdout)
    assert said.pop("PYTHONPATH").count(os.path.join("launch", "site")) == 1
    assert {name: value for name, value in said.items() if name.startswith("SONDE_")} == {
        "SONDE_SERVICE": "orders",
        "SONDE_ENV": "prod",
        "SONDE_VERSION": "1.2",
        "SONDE_LABELS": "a=1,b=2,c=3",
        "SONDE_HOME": str(tmp_path / "state"),
    }


def test_a_script_without_a_first_line_is_given_to_the_shell(
    environ: dict[str, str], tmp_path: Path
) -> None:
    executable(tmp_path / "start", 'echo "$0" "$1"')
    assert run([*RUN, "--", "./start", "a b"], environ, tmp_path).stdout == "./start a b\n"


def test_help_and_version_are_answered_on_standard_output(
    environ: dict[str, str], tmp_path: Path
) -> None:
    assert "run " in run([*SONDE, "--help"], environ, tmp_path).stdout
    assert "--service" in run([*SONDE, "run", "--help"], environ, tmp_path).stdout
    assert run([*SONDE, "--version"], environ, tmp_path).stdout.startswith("sonde ")
