"""Orders to agents, as wire messages."""

from __future__ import annotations

from typing import Final, assert_never

from mcp_server import registry
from mcp_server.model import Question, StoredProbe
from mcp_server.store import now_ms, to_ms
from probe_agent.probe import Kind, Where
from probe_agent.wire.sonde.v1 import relay_pb2 as wire

_KINDS: Final = {Kind.SNAPSHOT: wire.PROBE_KIND_SNAPSHOT, Kind.LOG: wire.PROBE_KIND_LOG}


def write_order(order: registry.Order, hits_per_second: int) -> wire.ConnectResponse:
    """Make the message for one order.

    Args: hits_per_second: the cap that each probe is sent with.
    """
    match order:
        case registry.Desired(probes):
            sent = wire.DesiredSet(probes=[_probe(p, hits_per_second) for p in probes])
            return wire.ConnectResponse(desired=sent)
        case registry.Change(place, remove):
            new = [_probe(p, hits_per_second) for p in place]
            return wire.ConnectResponse(change=wire.DesiredChange(place=new, remove=remove))
        case registry.Ask(question):
            return _question(question)
        case registry.Acknowledge(through_number):
            stored = wire.Acknowledgement(through_number=through_number)
            return wire.ConnectResponse(acknowledgement=stored)
        case registry.Renew():
            return wire.ConnectResponse(renewal=wire.LeaseRenewal())
        case registry.Leave(reason):
            return wire.ConnectResponse(goodbye=wire.Goodbye(reason=reason))
        case _:
            assert_never(order)


def _probe(probe: StoredProbe, hits_per_second: int) -> wire.Probe:
    return wire.Probe(
        probe_id=probe.probe_id,
        kind=_KINDS[probe.kind],
        where=_where(probe.where),
        condition=probe.condition or "",
        captures=[
            wire.CaptureExpression(name=c.name, expression=c.expression) for c in probe.captures
        ],
        message=probe.message or "",
        max_hits=probe.max_hits,
        stack_frames=probe.stack_frames,
        ttl_ms=max(1, to_ms(probe.expires_at) - now_ms()),
        max_hits_per_second=hits_per_second,
    )


def _question(question: Question) -> wire.ConnectResponse:
    if question.where is not None:
        place = wire.LocationQuestion(
            question_id=question.question_id, where=_where(question.where)
        )
        return wire.ConnectResponse(location=place)
    asked = question.source
    assert asked is not None, "a question has either a place or a source"
    return wire.ConnectResponse(
        source=wire.SourceQuestion(
            question_id=question.question_id,
            file=asked.file,
            line=asked.line,
            function=asked.function,
        )
    )


def _where(where: Where) -> wire.Where:
    return wire.Where(file=where.file, line=where.line or 0, expect_code=where.expect_code or "")
