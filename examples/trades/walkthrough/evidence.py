"""From captured values to a verdict: what the running code compared, as text and as numbers."""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from walkthrough.failure import StepFailed

LEFT = "trade.amount"
RIGHT = "self.limit"

_GONE = ("done", "removed")


@dataclass(frozen=True)
class Comparison:
    """One captured `left > right`, both sides as the literals that the tool gave."""

    left: str
    right: str

    @property
    def as_text(self) -> bool:
        """What Python answers for the two strings."""
        return str(literal_eval(self.left)) > str(literal_eval(self.right))

    @property
    def as_numbers(self) -> bool:
        """What the desk means."""
        return Decimal(literal_eval(self.left)) > Decimal(literal_eval(self.right))

    def __str__(self) -> str:
        as_written = f"{self.left} > {self.right}"
        verdict = "right" if self.as_text == self.as_numbers else "WRONG"
        return f"{as_written:<21} {self.as_text!s:<5}  as numbers {self.as_numbers!s:<5}  {verdict}"


def comparisons(snapshot: dict[str, Any]) -> list[Comparison]:
    """Read what the snapshot captured, each pair once.

    Raises: StepFailed: nothing was captured, or a side is not a string, so this is not the fault.
    """
    types = {entry["name"]: entry["types"] for entry in snapshot.get("summary", ())}
    for name in (LEFT, RIGHT):
        if set(types.get(name, ())) != {"str"}:
            raise StepFailed(f"{name} was captured as {types.get(name)}, where str was expected")
    values = [result["values"] for result in snapshot.get("results", ())]
    return list(dict.fromkeys(Comparison(each[LEFT], each[RIGHT]) for each in values))


def messages(log: dict[str, Any]) -> list[str]:
    """Read the lines that a log probe brought back.

    Raises: StepFailed: none came.
    """
    lines = [str(result["message"]) for result in log.get("results", ())]
    if not lines:
        raise StepFailed("No order met the condition of the second probe while it was watched")
    return lines


def standing(listing: dict[str, Any], probe_ids: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Read each probe's state and how often its line was reached; one that is not listed is left
    out.

    Raises: StepFailed: one is neither done nor removed.
    """
    found = {
        probe["probe_id"]: (probe["state"], int(probe.get("counts", {}).get("line_hits", 0)))
        for probe in listing.get("probes", ())
        if probe["probe_id"] in probe_ids
    }
    for probe_id, (state, _) in found.items():
        if state not in _GONE:
            raise StepFailed(f"{probe_id} should be gone, and is {state}")
    return found
