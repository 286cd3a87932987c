"""Frozen types to JSON text and back, for the columns that no query looks into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from pydantic import TypeAdapter

from mcp_server.model import Answer, Capture, Question, Target
from probe_agent.probe import Location, Result, Status, Where

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Spec:
    """What of a probe no query looks into."""

    target: Target
    where: Where
    location: Location | None
    condition: str | None
    captures: tuple[Capture, ...]
    message: str | None
    stack_frames: int
    reason: str


class Codec(Generic[T]):
    """One frozen type as JSON text, exactly there and back."""

    def __init__(self, kind: type[T]) -> None:
        self._adapter: TypeAdapter[T] = TypeAdapter(kind)

    def text(self, value: T) -> str:
        """Write `value`, which must hold finite numbers and encodable text."""
        return self._adapter.dump_json(value).decode()

    def value(self, text: str) -> T:
        """Read what `text` wrote."""
        return self._adapter.validate_json(text)


SPEC: Final = Codec(Spec)
STATUS: Final = Codec(Status)
RESULT: Final = Codec(Result)
QUESTION: Final = Codec(Question)
ANSWER: Final = Codec(Answer)
LABELS: Final = Codec(dict[str, str])
DETAILS: Final = Codec(dict[str, object])
