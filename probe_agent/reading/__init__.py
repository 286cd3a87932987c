"""Read attributes, items and fields of the application's objects without running its code.

The one place that knows how, under `expression` and `capture`. It calls only the interpreter's own
slots and exact builtins; it writes nothing, and keeps no reference to what it read.
"""

from probe_agent.reading.attributes import read_attribute
from probe_agent.reading.errors import EvaluationError, NotRun
from probe_agent.reading.fields import Layout, Nature, make_layouts, read_fields
from probe_agent.reading.items import read_item, read_slice
from probe_agent.reading.kinds import type_name
from probe_agent.reading.readers import make_attribute, make_item, testable

__all__ = [
    "EvaluationError",
    "Layout",
    "Nature",
    "NotRun",
    "make_attribute",
    "make_item",
    "make_layouts",
    "read_attribute",
    "read_fields",
    "read_item",
    "read_slice",
    "testable",
    "type_name",
]
