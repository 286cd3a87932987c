"""SONDE_HOME: the folder that only its user may enter, and the lock of who holds the agents."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path
from typing import Final

from mcp_server.config import ServerConfig
from mcp_server.errors import HomeUnusable

_LONGEST_SOCKET_PATH: Final = 107  # sun_path has 108 bytes, the last one for the closing zero
_PRIVATE: Final = 0o700


def prepare_home(config: ServerConfig) -> None:
    """Make the folder if need be, and check that it can be used and that nobody else can.

    Raises: HomeUnusable.
    """
    length = len(os.fsencode(config.socket))
    if length > _LONGEST_SOCKET_PATH:
        raise HomeUnusable(
            f"Cannot use SONDE_HOME {config.home}",
            f"its socket's path has {length} bytes, and {_LONGEST_SOCKET_PATH} is the most",
            "Set SONDE_HOME to a folder with a shorter path, for Sonde and for the services",
        )
    try:
        config.home.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        _close_to_others(config.home)
    except OSError as error:
        raise _not_usable(config.home, error) from error
    if not os.access(config.home, os.W_OK | os.X_OK):
        raise HomeUnusable(
            f"Cannot use SONDE_HOME {config.home}",
            "this user may not write there",
            "Set SONDE_HOME to a folder of this user's",
        )


def _close_to_others(home: Path) -> None:
    status = home.stat()
    if status.st_uid != os.getuid():
        raise HomeUnusable(
            f"Cannot use SONDE_HOME {home}",
            f"it belongs to the user with id {status.st_uid}, and this process runs as"
            f" {os.getuid()}",
            "Set SONDE_HOME to a folder of this user's",
        )
    if stat.S_IMODE(status.st_mode) & ~_PRIVATE == 0:
        return
    if any(not entry.name.startswith(("hub.", "sonde.db")) for entry in home.iterdir()):
        # Somebody's folder with things of their own in it: not ours to change.
        raise HomeUnusable(
            f"Cannot use SONDE_HOME {home}",
            "others may enter it, and it holds more than Sonde's own files",
            f"Set SONDE_HOME to a folder of its own, or run: chmod 700 {home}",
        )
    home.chmod(_PRIVATE)


def _not_usable(home: Path, error: OSError) -> HomeUnusable:
    return HomeUnusable(
        f"Cannot use SONDE_HOME {home}",
        f"it cannot be made or entered ({error.strerror or 'the system refused'})",
        "Set SONDE_HOME to a folder that this user can make and write",
    )


class HolderLock:
    """The lock of who holds the agents; the system lets it go when its process dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    @property
    def is_held(self) -> bool:
        """True while this process has it."""
        return self._file is not None

    def take(self) -> bool:
        """Take the lock if it is free.

        Raises: HomeUnusable: its file cannot be opened.
        """
        try:
            file = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _not_usable(self._path.parent, error) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            return False
        self._file = file
        return True

    def release(self) -> None:
        """Let the lock go, if this process has it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
