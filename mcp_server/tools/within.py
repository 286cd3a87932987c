"""Answer in time, whatever hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from mcp_server.errors import AgentUnreachable

T = TypeVar("T")


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Await work that may hang, even in its own clean-up: it is cancelled, not waited for.

    Raises: AgentUnreachable: `seconds` passed. Being cancelled cancels the work.
    """
    task = asyncio.create_task(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if done:
        return task.result()
    # Its failure, if it still has one, is nobody's business any more.
    task.add_done_callback(lambda late: late.cancelled() or late.exception())
    task.cancel()
    raise AgentUnreachable(
        "Cannot answer in time",
        f"the service or Sonde's own state did not answer within {seconds:.1f} s",
        "Call list_probes to see what is in place, then try again",
    )
