"""Check a condition: the language, and that it does not look at what is kept secret."""

from __future__ import annotations

from probe_agent.errors import ExpressionRefused
from probe_agent.expression.grammar import Checked, check
from probe_agent.redaction import Redactor


def check_condition(text: str) -> Checked:
    """Check a condition.

    How often a condition is true would tell a hidden value bit by bit, so it may not read one.
    Raises: ExpressionRefused.
    """
    checked = check(text)
    if Redactor().is_sensitive_expression(checked.words):
        raise ExpressionRefused(
            "Cannot use this condition",
            "it reads a name whose values are kept secret (password, token, key, ...)",
            "Leave that part out, or place a probe on the line that runs only if it holds",
        )
    return checked
