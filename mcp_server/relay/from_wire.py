"""What agents say, as the model's types. What no agent of ours would say is Malformed."""

from __future__ import annotations

import math
import re
from typing import Final

from mcp_server.model import Answer, CodeAnswer
from probe_agent.probe import (
    Counts,
    Location,
    Problem,
    Result,
    SourceMatch,
    State,
    Status,
    Value,
)
from probe_agent.wire.sonde.v1 import relay_pb2 as wire

_ID: Final = re.compile(r"[A-Za-z0-9._:/@+-]{1,100}")
_LARGEST: Final = 2**63 - 1  # SQLite's integers
_LATEST_MS: Final = 253_402_300_799_000  # the end of the year 9999, which a datetime can still hold
_LONGEST_SENTENCE: Final = 1000
_STATES: Final = {
    wire.PROBE_STATE_PENDING: State.PENDING,
    wire.PROBE_STATE_ARMED: State.ARMED,
    wire.PROBE_STATE_SUSPENDED: State.SUSPENDED,
    wire.PROBE_STATE_DONE: State.DONE,
    wire.PROBE_STATE_EXPIRED: State.EXPIRED,
    wire.PROBE_STATE_REMOVED: State.REMOVED,
    wire.PROBE_STATE_REFUSED: State.REFUSED,
    wire.PROBE_STATE_FAILED: State.FAILED,
}


class Malformed(Exception):
    """A message that no agent of ours would send; the connection is closed. `reason`: ours."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read_result(result: wire.Result) -> Result:
    """Read one result.

    Raises: Malformed: an id, a number or a time that cannot be.
    """
    if not 0 <= result.time_unix_ms <= _LATEST_MS:
        raise Malformed("a result's time is out of range")
    return Result(
        number=_counting("a result's number", result.number),
        result_id=_id("a result's id", result.result_id),
        probe_id=_id("a probe's id", result.probe_id),
        sequence=_counting("a result's sequence", result.sequence),
        time_ms=result.time_unix_ms,
        thread=result.thread,
        task=result.task or None,
        values=tuple(_value(v) for v in result.values),
        message=result.message or None,
        stack=tuple(result.stack),
    )


def read_status(status: wire.ProbeStatus) -> Status:
    """Read one probe's status.

    Raises: Malformed: an id or a state that cannot be.
    """
    if status.state not in _STATES:
        raise Malformed("a status has no state")
    return Status(
        probe_id=_id("a probe's id", status.probe_id),
        state=_STATES[status.state],
        counts=_counts(status.counts),
        problem=_problem(status.problem) if status.HasField("problem") else None,
        ever_armed=status.ever_armed,
        frames_missed=status.frames_missed,
        location=_location(status.location) if status.HasField("location") else None,
        samples=tuple(tuple(_value(v) for v in sample.parts) for sample in status.samples),
        condition_error=status.condition_error or None,
        ns_per_hit=_finite(status.overhead.ns_per_hit),
        core_share=min(1.0, _finite(status.overhead.core_share)),
    )


def read_location_answer(answer: wire.LocationAnswer) -> Answer:
    """Read where a place is, or why it is nowhere.

    Raises: Malformed: neither is set.
    """
    match answer.WhichOneof("answer"):
        case "location":
            return Answer(answer.question_id, location=_location(answer.location))
        case "problem":
            return Answer(answer.question_id, problem=_problem(answer.problem))
        case _:
            raise Malformed("an answer about a location is empty")


def read_source_answer(answer: wire.SourceAnswer) -> Answer:
    """Read what the running source says."""
    if answer.HasField("problem"):
        return Answer(answer.question_id, problem=_problem(answer.problem))
    matches = tuple(_match(m) for m in answer.matches)
    return Answer(answer.question_id, code=CodeAnswer(matches, answer.more))


def _match(match: wire.SourceMatch) -> SourceMatch:
    return SourceMatch(
        file=match.file,
        line=match.line,
        function=match.function,
        code=match.code,
        executable=match.executable,
        before=tuple(match.before),
        after=tuple(match.after),
        names=tuple(match.names),
        source_sha256=match.source_sha256,
    )


def _location(location: wire.Location) -> Location:
    return Location(
        file=location.file,
        line=location.line,
        function=location.function,
        code=location.code,
        moved_from=location.moved_from or None,
        loaded=location.loaded,
    )


def _problem(problem: wire.Problem) -> Problem:
    return Problem(
        code=_sentence(problem.code),
        what=_sentence(problem.what),
        why=_sentence(problem.why),
        next_step=_sentence(problem.next_step),
    )


def _sentence(text: str) -> str:
    """Take an agent's sentence: it may name a file, whose name may hold anything."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:_LONGEST_SENTENCE])


def _counts(counts: wire.Counts) -> Counts:
    return Counts(
        line_hits=counts.line_hits,
        condition_true=counts.condition_true,
        condition_false=counts.condition_false,
        condition_errors=counts.condition_errors,
        captured=counts.captured,
        dropped_hit_limit=counts.dropped_hit_limit,
        dropped_rate=counts.dropped_rate,
        dropped_budget=counts.dropped_budget,
        dropped_outbox=counts.dropped_outbox,
        dropped_capture_failed=counts.dropped_capture_failed,
    )


def _value(value: wire.Value) -> Value:
    return Value(value.name, value.literal, value.type, value.redacted)


def _finite(number: float) -> float:
    return max(0.0, number) if math.isfinite(number) else 0.0


def _counting(what: str, number: int) -> int:
    if not 1 <= number <= _LARGEST:
        raise Malformed(f"{what} is not a positive number")
    return number


def _id(what: str, text: str) -> str:
    if _ID.fullmatch(text) is None:
        raise Malformed(f"{what} is not an id")
    return text
