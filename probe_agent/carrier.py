"""What inserted code refers to: an object of ours, one attribute away from the code's constants.

Others compare, hash and pickle code objects (cloudpickle ships functions by value, with their
constants). So nothing of ours stands in the constants itself: a carrier does, which is hashed by
identity, and which arrives elsewhere as something that needs no Sonde and does nothing.
"""

from __future__ import annotations

from functools import partial
from typing import Final

# The attribute that inserted code reads. This adds a name to the names of the probed code;
# `inspect.getclosurevars` passes over this one.
CARRIED: Final = "None"


class Carrier:
    """Carries one object. `elsewhere`: what stands in for it where the code is unpickled."""

    __slots__ = (CARRIED, "_elsewhere")

    def __init__(self, carried: object, elsewhere: object) -> None:
        self.put(carried)
        self._elsewhere = elsewhere

    def put(self, carried: object) -> None:
        """Carry something else from now on. In one step: code that runs reads one or the other."""
        setattr(self, CARRIED, carried)

    def __reduce__(self) -> tuple[object, ...]:
        """Be pickled as an object that has the attribute."""
        return partial, (int,), (int, (), {}, {CARRIED: self._elsewhere})


def carry_callable(carried: object) -> Carrier:
    """Carry what inserted code calls. Elsewhere it takes any arguments and gives nothing true."""
    return Carrier(carried, "".format)
