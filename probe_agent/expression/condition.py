"""Check a condition: the language, and that it does not look at what is kept secret."""

from __future__ import annotations

from probe_agent.errors import ExpressionRefused
from probe_agent.expression.grammar import Checked, check
from probe_agent.redaction import is_sensitive_name


def check_condition(text: str) -> Checked:
    """Check a condition.

    How often a condition is true would tell a hidden value bit by bit, so it may not read one.
    Raises: ExpressionRefused.
    """
    checked = check(text)
    if any(map(is_sensitive_name, (*checked.words, "_".join(checked.words)))):
        raise ExpressionRefused(
            "Cannot use this condition",
            "it reads a name whose values are kept secret (password, token, key, ...)",
            "Leave that part out, or place a probe on the line that runs only if it holds",
        )
    return checked
