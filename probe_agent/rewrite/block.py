"""The block that is inserted: for each probe a stage that decides and a stage that hits.

    [decide: go on at the hit, or behind it]  [hit: callable, values, CALL; POP_TOP]  X

What decides is a quick test where the condition is one (see `deciding`), else a call of the guard.
Nothing of the block touches what lies on the stack below it.
"""

from __future__ import annotations

from collections.abc import Sequence

from probe_agent.rewrite.assembly import Assembly, Constants, Place
from probe_agent.rewrite.deciding import call_guard, decide_quickly
from probe_agent.rewrite.insertion import Insertion
from probe_agent.rewrite.units import Unit
from probe_agent.rewrite.variables import Slots


class Block:
    """Insertions in front of one unit, assembled.

    `units`: run in placing order, then go on to what stands next. `stubs`: belong behind all other
    code.
    """

    def __init__(
        self, insertions: Sequence[Insertion], place: Place, slots: Slots, constants: Constants
    ) -> None:
        self._assembly = Assembly(place, slots, constants)
        units: list[Unit] = []
        # From the last to the first, so that each knows where to go on.
        for insertion in reversed(insertions):
            units = [*self._stage(insertion, units[0] if units else place.end), *units]
        self.units = self._assembly.finish(units)
        self.stubs = self._assembly.stubs

    def _stage(self, insertion: Insertion, following: Unit) -> list[Unit]:
        hit = self._assembly.call(insertion.hit, insertion.hit_names)
        hit.append(self._assembly.unit("POP_TOP"))
        if insertion.guard is None:
            return hit
        guard = call_guard(self._assembly, insertion, following)
        quick = decide_quickly(self._assembly, insertion, guard, hit, following)
        return quick or [*guard, *hit]
