"""`place_snapshot` and `place_dynamic_log`: place, wait, answer."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from mcp_server.errors import InvalidArgument
from mcp_server.model import Capture, PlaceRequest, Target
from mcp_server.render import NextCall, Rendered
from mcp_server.render.hits import render_placed
from mcp_server.tools.call import Call
from mcp_server.tools.checking import given_arguments, shown
from mcp_server.tools.inputs import Place, PlaceDynamicLog, PlaceSnapshot
from probe_agent.probe import Kind, Where

# `name=expression`: an identifier, then `=` and not `==`.
_NAMED: Final = re.compile(r"([^\W\d]\w*)\s*=(?!=)(.*)", re.DOTALL)


async def place_snapshot(call: Call, asked: PlaceSnapshot) -> Rendered:
    """Place a snapshot probe.

    Raises: InvalidArgument, or what `Hub.place` refuses with: nothing was placed.
    """
    request = replace(
        _request(asked, Kind.SNAPSHOT),
        captures=_captures(asked.capture or []),
        stack_frames=asked.stack_frames,
    )
    return await _place(call, "place_snapshot", asked, request)


async def place_dynamic_log(call: Call, asked: PlaceDynamicLog) -> Rendered:
    """Place a log probe.

    Raises: InvalidArgument, or what `Hub.place` refuses with: nothing was placed.
    """
    request = replace(_request(asked, Kind.LOG), message=asked.message, stack_frames=0)
    return await _place(call, "place_dynamic_log", asked, request)


async def _place(call: Call, tool: str, asked: Place, request: PlaceRequest) -> Rendered:
    view = await call.hub.place(request, call.progress, call.by)

    def cursor_after(count: int) -> str:
        return call.hub.cursor_at(view.results[count - 1].position) if count else ""

    again = {k: v for k, v in given_arguments(asked).items() if k != "dry_run"}
    after_rehearsal = NextCall(tool, again) if asked.dry_run else None
    return render_placed(view, after_rehearsal, cursor_after)


def _request(asked: PlaceSnapshot | PlaceDynamicLog, kind: Kind) -> PlaceRequest:
    """Read what the placing tools have in common."""
    return PlaceRequest(
        target=_target(asked),
        kind=kind,
        where=_where(asked),
        reason=asked.reason,
        condition=asked.condition,
        max_hits=asked.max_hits,
        ttl_seconds=asked.ttl_seconds,
        wait_seconds=asked.wait_seconds,
        dry_run=asked.dry_run,
    )


def _target(asked: Place) -> Target:
    instances = asked.instances
    return Target(
        service=asked.service,
        environment=asked.environment,
        version=asked.version,
        instances=tuple(instances) if isinstance(instances, list) else instances,
        labels=asked.labels or {},
    )


def _where(asked: Place) -> Where:
    if asked.line is None and asked.expect_code is None:
        raise InvalidArgument(
            "Cannot tell which line is meant",
            "file alone does not say it",
            "Give line, or expect_code (the text of the line), or both",
        )
    return Where(asked.file, asked.line, asked.expect_code)


def _captures(items: list[str]) -> tuple[Capture, ...]:
    captures = tuple(_capture(item) for item in items)
    names = [capture.name for capture in captures]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidArgument(
            "Cannot use capture",
            f"two of its items are named {shown(twice)}",
            "Leave one out, or name it: name=expression",
        )
    return captures


def _capture(item: str) -> Capture:
    named = _NAMED.fullmatch(item)
    if named is None:
        return Capture(item, item)
    name, expression = named[1], named[2].strip()
    if not expression:
        raise InvalidArgument(
            "Cannot use capture",
            f"its item {shown(item)} has a name and no expression",
            "Write name=expression, or the expression alone",
        )
    return Capture(name, expression)
