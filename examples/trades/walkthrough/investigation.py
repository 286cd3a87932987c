"""What the assistant does: list, find, look, look again, tidy up, make sure.

The script is fixed, the answers are not: what it needs next it takes from the structured form of
the answer before, and an answer that lacks it ends the demo.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp import MCPError

from walkthrough.assistant import Assistant, launched
from walkthrough.evidence import LEFT, RIGHT, Comparison, comparisons, messages, standing
from walkthrough.failure import StepFailed
from walkthrough.measure import Window
from walkthrough.screen import Screen

FUNCTION = "LimitCheck.forbids"
COMPARISON_LINE = f"return {LEFT} > {RIGHT}"
ACCEPTING_LINE = "return Decision(trade.trade_id, accepted=True)"
SUSPECT = f"{LEFT} == '15000'"

_WATCH_S = 2
_QUIET_S = 2
_TIMEOUT_S = 40.0


@dataclass(frozen=True)
class Found:
    """What the assistant brought back, and when its probes were in the service.

    `accepted`: one line for each order that met `SUSPECT` and was accepted.
    """

    location: str
    compared: list[Comparison]
    accepted: list[str]
    during: Window
    after: Window
    calls: int
    tokens: int


async def investigate(sonde: str, home: Path, log: Path, screen: Screen) -> Found:
    """Launch the assistant's server, whose stderr goes to `log`, and go through the script.

    Raises: StepFailed: a step did not give what it must, or 40 s passed.
    """
    try:
        async with asyncio.timeout(_TIMEOUT_S), launched(sonde, home, log, screen) as assistant:
            return await _script(assistant)
    except TimeoutError:
        raise StepFailed(f"The investigation took longer than {_TIMEOUT_S:.0f} s") from None
    except (ExceptionGroup, MCPError, OSError) as error:
        raise _failure_in(error, log) from error


def _failure_in(error: Exception, log: Path) -> StepFailed:
    """Find what failed: the client's task group wraps whatever leaves it."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, StepFailed):
        return error
    said = log.read_text(encoding="utf-8", errors="replace").splitlines()[-3:]
    return StepFailed(f"`sonde mcp` broke off ({error}): {' / '.join(said) or 'it wrote nothing'}")


async def _script(assistant: Assistant) -> Found:
    await _find_service(assistant)
    file = await _find_line(assistant)

    placed_s = time.monotonic()
    snapshot = await _look(assistant, file)
    log = await _look_again(assistant, file)
    probe_ids = [snapshot["probe_id"], log["probe_id"]]
    await _tidy_up(assistant, armed=log["probe_id"])
    removed_s = time.monotonic()

    await _make_sure(assistant, probe_ids)
    place = snapshot["location"]
    return Found(
        location=f"{place['file']}:{place['line']}",
        compared=comparisons(snapshot),
        accepted=messages(log),
        during=Window("probes in place", placed_s, removed_s),
        after=Window("after", removed_s, time.monotonic()),
        calls=assistant.calls,
        tokens=assistant.tokens,
    )


async def _find_service(assistant: Assistant) -> None:
    answer = await assistant.call("list_services")
    if not any(entry["service"] == "trades" for entry in answer.get("services", ())):
        raise StepFailed("The service trades is not listed, so its agent has not dialled in")


async def _find_line(assistant: Assistant) -> str:
    """Read the function that should know the limit. Returns: its file."""
    answer = await assistant.call("find_code", service="trades", function=FUNCTION)
    match answer.get("matches"):
        case [{"file": str(file), **match}] if COMPARISON_LINE in str(match):
            return file
        case _:
            raise StepFailed(f"find_code did not show {FUNCTION} with `{COMPARISON_LINE}`")


async def _look(assistant: Assistant, file: str) -> dict[str, Any]:
    return await assistant.call(
        "place_snapshot",
        service="trades",
        file=file,
        expect_code=COMPARISON_LINE,
        capture=[LEFT, RIGHT],
        reason="Trades over the limit are accepted: are both sides numbers here?",
    )


async def _look_again(assistant: Assistant, file: str) -> dict[str, Any]:
    """Watch one amount at the line that accepts. True for a str alone: no number equals it."""
    return await assistant.call(
        "place_dynamic_log",
        service="trades",
        file=file,
        expect_code=ACCEPTING_LINE,
        condition=SUSPECT,
        message="{trade.trade_id} accepted: {trade.amount} against {self.limits.limit}",
        reason="Does a trade of 15000 really pass a limit of 9000?",
        wait_seconds=_WATCH_S,
    )


async def _tidy_up(assistant: Assistant, armed: str) -> None:
    """Remove everything. The probe still armed must be confirmed by the service's agent."""
    answer = await assistant.call("remove_probes", all_mine=True)
    if armed not in answer.get("removed", ()):
        raise StepFailed(f"The service has not confirmed that {armed} is gone")


async def _make_sure(assistant: Assistant, probe_ids: list[str]) -> None:
    """Let traffic pass, then see that nothing is counted any more."""
    before = standing(await assistant.call("list_probes"), probe_ids)
    await asyncio.sleep(_QUIET_S)
    after = standing(await assistant.call("list_probes"), probe_ids)
    if before != after:
        raise StepFailed("A removed probe goes on counting")
