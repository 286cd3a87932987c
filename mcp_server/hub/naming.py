"""Which probes a caller names, and whether they are his to read or to remove."""

from __future__ import annotations

from collections.abc import Sequence

from mcp_server.errors import UnknownProbe
from mcp_server.hub.targets import listed, shown
from mcp_server.model import Owner
from mcp_server.store import ProbeFacts, Store


async def named(store: Store, owner: Owner, probe_ids: Sequence[str]) -> tuple[ProbeFacts, ...]:
    """Find these probes, in the order asked.

    Raises: UnknownProbe: names the nearest of the caller's own. A probe of another principal is
    as unknown as one that never was.
    """
    found = {
        f.probe.probe_id: f
        for f in await store.probes.by_id(probe_ids)
        if f.probe.owner.principal == owner.principal
    }
    for probe_id in probe_ids:
        if probe_id not in found:
            raise await _unknown(store, owner, probe_id)
    return tuple(found[probe_id] for probe_id in dict.fromkeys(probe_ids))


async def _unknown(store: Store, owner: Owner, probe_id: str) -> UnknownProbe:
    mine = [f.probe.probe_id for f in await store.probes.of_session(owner.session)]
    return UnknownProbe(
        f"Cannot find probe {shown(probe_id)}",
        "no probe of yours has this id, or it ended longer ago than results are kept",
        f"Use one of: {listed(mine[::-1], probe_id)}" if mine else "Call list_probes with all=true",
    )
