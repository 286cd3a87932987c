"""`read_results`, `list_probes` and `remove_probes`: what became of the probes."""

from __future__ import annotations

from mcp_server.errors import InvalidArgument
from mcp_server.render import Rendered
from mcp_server.render.hits import render_results
from mcp_server.render.probe_list import render_probes, render_removal
from mcp_server.tools.call import Call
from mcp_server.tools.checking import given_arguments
from mcp_server.tools.inputs import ListProbes, ReadResults, RemoveProbes


async def read_results(call: Call, asked: ReadResults) -> Rendered:
    """Read what came after the cursor.

    Raises: UnknownProbe, StaleCursor.
    """
    ids = None if asked.probe_ids is None else tuple(asked.probe_ids)
    cursor = asked.cursor or ""
    answer = await call.hub.read(
        ids, cursor, asked.wait_seconds, asked.limit, call.progress, call.by
    )

    def cursor_after(count: int) -> str:
        return call.hub.cursor_at(answer.results[count - 1].position) if count else cursor

    return render_results(
        answer,
        given_arguments(asked),
        asked.token_budget,
        cursor_after,
        in_full=asked.detail == "full",
    )


async def list_probes(call: Call, asked: ListProbes) -> Rendered:
    """List the caller's probes, or all of its principal.

    Raises: StaleCursor, UnknownService.
    """
    page = await call.hub.probes(asked.service, asked.all, asked.cursor or "")
    return render_probes(page, given_arguments(asked), asked.token_budget)


async def remove_probes(call: Call, asked: RemoveProbes) -> Rendered:
    """Remove probes.

    Raises: InvalidArgument, UnknownProbe: nothing was removed.
    """
    if (asked.probe_ids is None) is not asked.all_mine:
        raise InvalidArgument(
            "Cannot tell what to remove",
            "probe_ids and all_mine are two ways to say it, and exactly one is needed",
            "Give probe_ids, or all_mine=true",
        )
    ids = None if asked.probe_ids is None else tuple(asked.probe_ids)
    return render_removal(await call.hub.remove(ids, call.by))
