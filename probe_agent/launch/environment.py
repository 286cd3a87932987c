"""Build the environment in which `sonde run` starts a program: what we inherited, and the agent's
settings. Pure: `config` reads os.environ.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

SITE_FOLDER: Final = str(Path(__file__).with_name("site"))
_END_OF_SITE_FOLDERS: Final = str(Path("probe_agent", "launch", "site"))

# What CPython may set LC_CTYPE to when it starts in the C locale (PEP 538).
_COERCED: Final = frozenset({"C.UTF-8", "C.utf8", "UTF-8"})


def environment_for_run(
    inherited: Mapping[str, str], settings: Mapping[str, str], *, is_c_locale: bool
) -> dict[str, str]:
    """Put `settings` and our folder into what we inherited.

    Args: settings: SONDE_* variables. is_c_locale: this process was started in the C locale.
    """
    environ = {**inherited, **settings}
    environ["PYTHONPATH"] = _with_site_folder(inherited.get("PYTHONPATH", ""))
    if environ.get("SONDE_HOME"):  # a child may work in another folder
        environ["SONDE_HOME"] = os.path.abspath(environ["SONDE_HOME"])
    # Our own Python has replaced C by UTF-8 in the environment. The program must find the locale
    # that was given; if it is a Python, it will do the same again, and set the same flags.
    if is_c_locale and not environ.get("LC_ALL") and environ.get("LC_CTYPE") in _COERCED:
        environ["LC_CTYPE"] = "C"
    return environ


def _with_site_folder(python_path: str) -> str:
    """Put our folder in front, once: a `sonde run` inside another replaces it."""
    entries = python_path.split(os.pathsep) if python_path else []  # empty means none, not "."
    others = [entry for entry in entries if not entry.endswith(_END_OF_SITE_FOLDERS)]
    return os.pathsep.join([SITE_FOLDER, *others])
