"""What can go wrong, one class per situation, each saying what, why and what to do next.

MCP errors, `Problem`s on the wire, command-line messages and log lines are all made from these four
fields. The codes are those of the tool contract. No captured value may ever stand in one of these
sentences.
"""

from __future__ import annotations

from typing import ClassVar


class SondeError(Exception):
    """A refusal or failure that a person or a model can act on.

    `what` cannot be done, `why`, and the `next_step`: each a sentence without its full stop.
    """

    code: ClassVar[str] = "internal"

    def __init__(self, what: str, why: str, next_step: str) -> None:
        super().__init__(what, why, next_step)
        self.what = what
        self.why = why
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.code}: {self.what}. {self.why}. {self.next_step}."


class InvalidArgument(SondeError):
    """An argument is missing, unknown, of the wrong type, out of range, or does not fit."""

    code = "invalid_argument"


class Unsupported(SondeError):
    """This interpreter, code object or place cannot carry a probe."""

    code = "unsupported"


class UnknownFile(SondeError):
    """No loaded module and no file on the import path has this name."""

    code = "unknown_file"


class AmbiguousFile(SondeError):
    """Several files end in this name."""

    code = "ambiguous_file"


class LineNotExecutable(SondeError):
    """No code starts on this line."""

    code = "line_not_executable"


class AmbiguousCode(SondeError):
    """The expected text stands on several lines."""

    code = "ambiguous_code"


class CodeMismatch(SondeError):
    """The line holds other text than expected."""

    code = "code_mismatch"


class UnknownFunction(SondeError):
    """No function has this name."""

    code = "unknown_function"


class AmbiguousFunction(SondeError):
    """Several functions have this name."""

    code = "ambiguous_function"


class ExpressionRefused(SondeError):
    """The expression is outside the read-only language."""

    code = "expression_refused"


class ConfigurationError(SondeError):
    """A setting of this process cannot be used."""

    code = "invalid_argument"
