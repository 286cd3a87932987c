"""Who asks: the principal of this process, and the random ids of what it makes."""

from __future__ import annotations

import os
import pwd
from typing import Final

from probe_agent.config import clean_name, random_id

_ID_LENGTH: Final = 6


def local_principal() -> str:
    """Name the user of this process as the password database does; `uid-N` where it does not."""
    try:
        return clean_name(pwd.getpwuid(os.getuid()).pw_name)
    except KeyError:
        return f"uid-{os.getuid()}"


def new_id(prefix: str) -> str:
    """Make a random short id, e.g. `p-7k2mq4`: easy to say, too many to guess by accident."""
    return random_id(prefix, _ID_LENGTH)
