"""Why a value cannot be read or computed. Raised by `reading` and `expression`, told by `hit`."""

from __future__ import annotations

from probe_agent.builtin_names import BUILTINS

__builtins__ = BUILTINS  # the application may replace its own


class EvaluationError(Exception):
    """A value does not exist, or cannot be had without running code of the application's.

    `reason`: in the style of `KeyError: 'status'`; may hold captured text.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    @property
    def mark(self) -> str:
        """The literal that stands in the value's place."""
        return f"<error {self.reason}>"


class NotRun(EvaluationError):
    """The value is there only if code of the application's runs: a property, a method."""

    @property
    def mark(self) -> str:
        """The literal that stands in the value's place, e.g. `<property total: not run>`."""
        return f"<{self.reason}>"
