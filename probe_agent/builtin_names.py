"""Python's builtins as they were when the agent was loaded.

The application may replace a builtin function, and what it puts there is its own code. So each
module of ours that runs on the application's threads begins with `__builtins__ = BUILTINS`: its
functions look names up there. Source: Objects/funcobject.c, a function takes its builtins from its
globals' `__builtins__` when it is made.
"""

from __future__ import annotations

import builtins
from typing import Any, Final

BUILTINS: Final[Any] = dict(vars(builtins))
