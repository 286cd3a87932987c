"""Become the command, with the agent inside: what `sonde run` does after its arguments are read.

The process stays the same one: same pid, parent, standard streams, working folder, limits. So the
exit status and every signal are the program's own business.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from probe_agent.config import inherited_environment, make_config
from probe_agent.errors import SondeError
from probe_agent.launch.environment import environment_for_run
from probe_agent.launch.fitness import require_fit
from probe_agent.launch.interpreter import interpreter_of

# CPython ignores them at start, and ignored signals stay so in what we become.
_IGNORED_BY_PYTHON: Final = (signal.SIGPIPE, signal.SIGXFSZ)

# As shells have it.
_NOT_FOUND_STATUS: Final = 127
_NOT_EXECUTABLE_STATUS: Final = 126

_SHELL: Final = "/bin/sh"


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What to start, as which service. None leaves a setting to the environment and the defaults.

    `command`: the program and its arguments, at least one word.
    """

    command: Sequence[str]
    service: str | None = None
    environment: str | None = None
    version: str | None = None
    labels: Mapping[str, str] | None = None


class CommandNotStarted(SondeError):
    """The operating system cannot run the command. `exit_status`: 127 not found, 126 otherwise."""

    code = "invalid_argument"

    def __init__(self, what: str, why: str, next_step: str, exit_status: int) -> None:
        super().__init__(what, why, next_step)
        self.exit_status = exit_status


def run(options: RunOptions) -> NoReturn:
    """Replace this process by `options.command` with the agent inside.

    Raises: ConfigurationError: a setting cannot be used. Unsupported: the agent cannot live in the
    command's Python. CommandNotStarted: there is no such program.
    """
    inherited = inherited_environment()
    settings = _settings(options, inherited)
    environ = environment_for_run(inherited, settings, is_c_locale=_started_in_c_locale(inherited))
    interpreter = interpreter_of(options.command, environ.get("PATH", os.defpath))
    if interpreter is not None:
        require_fit(interpreter, inherited)
    _become(options.command, environ)


def _settings(options: RunOptions, inherited: Mapping[str, str]) -> dict[str, str]:
    """Write the options as the variables that `config` reads; only those that were given."""
    service = options.service or inherited.get("SONDE_SERVICE", "")
    config = make_config(  # refuses here what the program's agent could only be silent about
        service,
        environment=options.environment,
        version=options.version,
        labels=options.labels,
    )
    settings = {"SONDE_SERVICE": config.service}
    if options.environment:
        settings["SONDE_ENV"] = config.environment
    if options.version:
        settings["SONDE_VERSION"] = config.version
    if options.labels is not None:
        settings["SONDE_LABELS"] = ",".join(f"{k}={v}" for k, v in config.labels.items())
    return settings


def _started_in_c_locale(inherited: Mapping[str, str]) -> bool:
    """True if the C locale, and not a person, has switched the UTF-8 mode on (PEP 540)."""
    return bool(sys.flags.utf8_mode) and "PYTHONUTF8" not in inherited


def _become(command: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    for ignored in _IGNORED_BY_PYTHON:
        signal.signal(ignored, signal.SIG_DFL)
    try:
        os.execvpe(command[0], list(command), dict(environ))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _not_found(command[0], environ) from error
    except OSError as error:
        if error.errno == errno.ENOEXEC:
            _become_script_without_first_line(command, environ)
        raise CommandNotStarted(
            f"Cannot start {command[0]}",
            f"the operating system says: {error.strerror}",
            "Check that it is a program and that you may execute it",
            _NOT_EXECUTABLE_STATUS,
        ) from error


def _not_found(program: str, environ: Mapping[str, str]) -> CommandNotStarted:
    found = shutil.which(program, path=environ.get("PATH", os.defpath))
    if found is not None:
        why = f"{found} is there, but the interpreter that its first line names is not"
        next_step = "Install that interpreter or correct the line"
    else:
        why = "there is no such file" if os.sep in program else "no folder on PATH has it"
        next_step = "Check the name, and that the right virtual environment is active"
    return CommandNotStarted(f"Cannot start {program}", why, next_step, _NOT_FOUND_STATUS)


def _become_script_without_first_line(command: Sequence[str], environ: Mapping[str, str]) -> None:
    """Hand a script without `#!` to sh, as shells and the C library do."""
    script = shutil.which(command[0], path=environ.get("PATH", os.defpath)) or command[0]
    os.execve(_SHELL, [_SHELL, script, *command[1:]], dict(environ))
