"""How much one hit may copy."""

from __future__ import annotations

from dataclasses import dataclass

from probe_agent.builtin_names import BUILTINS

__builtins__ = BUILTINS  # the application may replace its own


@dataclass(frozen=True, slots=True)
class CaptureLimits:
    """Bounds of a capture. Together they keep the worst case well under 10 ms and a result under
    what a model would read.

    The sizes of one value (`depth`, `items`, `length`, `fields`) hold for each; `nodes` is shared
    by all that one hit copies from inside its values. Texts take at most
    `length * (nodes + values)` characters in all.
    """

    # A variable, its fields, their items, the items' fields: `self` expanded, and one thing in it.
    depth: int = 4
    # Enough to see the pattern of a collection; its true size is always said.
    items: int = 20
    # The contract's "first 200 characters"; also bytes.
    length: int = 200
    # Most classes have fewer.
    fields: int = 20
    # Items, keys and fields. Some 0.3 us each, an object's up to 5; 64,000 characters of text,
    # which is far above any token budget.
    nodes: int = 320
