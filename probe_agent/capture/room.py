"""What is left of a hit's bounds while it is copied, and how texts and copies keep to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Final

from probe_agent import plain
from probe_agent.builtin_names import BUILTINS
from probe_agent.literal import MOST_BITS, hexadecimal_head
from probe_agent.plain import Plain

__builtins__ = BUILTINS  # the application may replace its own

CYCLE: Final = (plain.MARK, "<cycle>")
DEEPER: Final = (plain.MARK, "<deeper>")
CHANGED: Final = (plain.MARK, "<error RuntimeError: changed while it was read>")
NAME_LENGTH: Final = 100


class Room:
    """What is left of a hit's `nodes`, and the `path` of ids from the value to what is being
    copied. Lives for one hit on one thread.
    """

    __slots__ = ("nodes", "path")

    def __init__(self, nodes: int) -> None:
        self.nodes = nodes
        self.path: list[int] = []

    def take(self, count: int) -> int:
        """Take nodes for that many items; returns for how many there was room."""
        taken = count if count <= self.nodes else self.nodes
        self.nodes -= taken
        return taken


# Copies one value below which `levels` more are opened.
Copy = Callable[[Any, int, Room], Plain]
CopyItems = Callable[[Any, int, Room], tuple[Plain, ...]]


def cut_text(head: Any, total: int, most: int) -> Plain:
    """Cut an exact str or bytes of `total` length, of which `head` is enough."""
    if total <= most:
        whole: Plain = head
        return whole
    return (plain.CUT_STR if type(head) is str else plain.CUT_BYTES, head[:most], total)


def cut_int(of: int) -> Plain:
    """Copy an int, or an instance of a subclass, without printing a large one."""
    bits = int.bit_length(of)
    return int.__pos__(of) if bits <= MOST_BITS else (plain.CUT_INT, hexadecimal_head(of), bits)


def copy_first(view: Callable[[Any], Iterable[Any]], of: Any, most: int) -> tuple[Any, ...] | None:
    """Copy the first items of a container that other threads may change; None if they keep doing so
    in the two tries that it gets.
    """
    for _ in range(2):
        try:
            return tuple(islice(view(of), most))
        except RuntimeError as error:
            if type(error) is not RuntimeError:
                raise
    return None
