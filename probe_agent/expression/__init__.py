"""The read-only language: check an expression, compile it to a guarded function, fill templates.

Shared with the server. `eval` never appears; what is not known to be safe is refused in words.
"""

from probe_agent.expression.compile import compile_condition, compile_expression, compile_guard
from probe_agent.expression.grammar import Checked, check
from probe_agent.expression.quick import quick_test
from probe_agent.expression.template import CheckedTemplate, check_template, fill
from probe_agent.reading import EvaluationError, NotRun

__all__ = [
    "Checked",
    "CheckedTemplate",
    "EvaluationError",
    "NotRun",
    "check",
    "check_template",
    "compile_condition",
    "compile_expression",
    "compile_guard",
    "fill",
    "quick_test",
]
