"""The agent's settings: read once from the environment, passed down from then on.

`sonde run` writes the same variables that this module reads. The server takes `sonde_home` from
here, so that both ends agree where the socket is.
"""

from __future__ import annotations

import os
import pwd
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from probe_agent.errors import ConfigurationError

_NOT_ALLOWED: Final = re.compile(r"[^A-Za-z0-9._:/@+-]")
_LONGEST_NAME: Final = 100
_ID_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz234567"


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """Who this process is and which hub it dials.

    `hub`: `unix:PATH`. `environment`: `default` where none is given. Characters outside
    `[A-Za-z0-9._:/@+-]` in names, versions and labels become `_`.
    """

    service: str
    environment: str
    version: str
    hub: str
    labels: Mapping[str, str] = field(default_factory=dict)

    # A hub that starts is found within a second (tool contract).
    retry_s: float = 0.5
    # How often the intake is emptied while a probe is armed: well under a person's patience.
    intake_ms: float = 10.0
    # At 2 kB a result, 2 MB of somebody else's memory at the most.
    outbox_results: int = 1000


def sonde_home(environ: Mapping[str, str] | None = None) -> Path:
    """Find Sonde's state folder: `SONDE_HOME`, else `.local/state/sonde` in the home that the
    password database names.
    """
    given = (os.environ if environ is None else environ).get("SONDE_HOME", "")  # noqa: TID251
    if given:
        return Path(given).absolute()
    return Path(pwd.getpwuid(os.getuid()).pw_dir) / ".local" / "state" / "sonde"


def clean_name(text: str) -> str:
    """Replace every character that ids, labels and service names may not have by `_`, and cut to
    100.
    """
    return _NOT_ALLOWED.sub("_", text)[:_LONGEST_NAME]


def parse_labels(text: str) -> dict[str, str]:
    """Read `k=v,k2=v2`.

    Raises: ConfigurationError: a part has no `=` or no key.
    """
    labels: dict[str, str] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        key, equals, value = part.partition("=")
        if not equals or not key:
            raise ConfigurationError(
                "Cannot read the labels",
                "one of them is not of the form key=value",
                "Write them as k=v,k2=v2",
            )
        labels[clean_name(key)] = clean_name(value)
    return labels


def make_config(
    service: str,
    *,
    environment: str | None = None,
    version: str | None = None,
    hub: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> AgentConfig:
    """Build the settings from arguments, taking the rest from the environment.

    Raises: ConfigurationError: no service name, or a hub address of an unknown form.
    """
    environ = os.environ  # noqa: TID251
    if not service:
        raise ConfigurationError(
            "Cannot start the agent",
            "the service has no name",
            "Give service=... or set SONDE_SERVICE",
        )
    given_labels = parse_labels(environ.get("SONDE_LABELS", "")) if labels is None else labels
    return AgentConfig(
        service=clean_name(service),
        environment=clean_name(environment or environ.get("SONDE_ENV", "") or "default"),
        version=clean_name(
            version or environ.get("SONDE_VERSION", "") or commit_beside(Path.cwd())
        ),
        hub=_hub_address(
            hub or environ.get("SONDE_HUB", "") or f"unix:{sonde_home() / 'hub.sock'}"
        ),
        labels={clean_name(k): clean_name(v) for k, v in given_labels.items()},
    )


def config_from_environment() -> AgentConfig:
    """Build the settings of a process that `sonde run` started."""
    return make_config(os.environ.get("SONDE_SERVICE", ""))  # noqa: TID251


def inherited_environment() -> dict[str, str]:
    """Copy what this process was given: `sonde run` hands it on to the program."""
    return dict(os.environ)  # noqa: TID251


def _hub_address(text: str) -> str:
    if text.startswith("unix:/"):
        return text
    raise ConfigurationError(
        "Cannot use the hub's address",
        "it is not of the form unix:/absolute/path",
        "Correct hub= or SONDE_HUB",
    )


def commit_beside(folder: Path) -> str:
    """Name the git commit of the checkout that holds `folder`, 7 characters, or "" if there is
    none. Runs no program.
    """
    try:
        for place in (folder, *folder.parents):
            head = place / ".git" / "HEAD"
            if head.is_file():
                return _commit_of(place / ".git", head.read_text(encoding="utf-8").strip())
    except OSError:
        pass
    return ""


def _commit_of(git: Path, head: str) -> str:
    if not head.startswith("ref: "):
        return head[:7]
    ref = head.removeprefix("ref: ")
    if (git / ref).is_file():
        return (git / ref).read_text(encoding="utf-8").strip()[:7]
    packed = git / "packed-refs"
    for line in packed.read_text(encoding="utf-8").splitlines() if packed.is_file() else ():
        if line.endswith(f" {ref}"):
            return line[:7]
    return ""


def random_id(prefix: str, length: int) -> str:
    """Make an id such as `i-7k2mq4`: random, of [a-z2-7]."""
    return f"{prefix}-" + "".join(secrets.choice(_ID_LETTERS) for _ in range(length))
