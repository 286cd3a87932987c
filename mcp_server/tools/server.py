"""The MCP server object: the tool list, and the way of one call through it."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Mapping
from typing import Any, Final

from mcp.server import MCPServer
from mcp.server.context import (
    CallNext,
    HandlerResult,
    ServerMiddleware,
    ServerRequestContext,
)
from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, TextContent, Tool

from mcp_server.deadline import Deadline
from mcp_server.errors import InternalError, SondeError
from mcp_server.render import Rendered
from mcp_server.render.escape import escape
from mcp_server.tools.call import Call, Progress
from mcp_server.tools.checking import check, unknown_tool
from mcp_server.tools.faces import FACES, INSTRUCTIONS, Face
from mcp_server.tools.inputs import Input
from mcp_server.tools.late_hub import LateHub
from mcp_server.tools.within import within

_logger = logging.getLogger(__name__)

# Of the 4 s beyond its waiting that a tool has; the rest is the protocol's.
BEYOND_WAITING_S: Final = 3.7
# Of these, what is kept for reading what is stored and for writing the answer.
_WRITING_S: Final = 0.4
_LONGEST_SENTENCE: Final = 1_500
# An ordinary word, not the beginning of `wait_seconds`, `trades/validate.py` or `order.total`.
_WORD_FIRST: Final = re.compile(r"[a-z]+(?=[ ,;]|$)")


def make_server(
    late_hub: LateHub, *, version: str, home: str, beyond_waiting_s: float = BEYOND_WAITING_S
) -> MCPServer[Any]:
    """Build the server. Starts nothing: the hub opens after the first reply.

    Args: version: of our distribution. home: SONDE_HOME, named in advice to a person.
        beyond_waiting_s: how long a tool may take besides what it was asked to wait.
    """

    async def after_reply(
        ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        result = await call_next(ctx)
        late_hub.begin_soon()
        return result

    return _SondeServer(late_hub, version, home, beyond_waiting_s, after_reply)


class _SondeServer(MCPServer[Any]):
    """The SDK's server with our own list and our own way of a call: arguments are checked and
    failures told in our words, which the SDK's tool objects do not offer.
    """

    def __init__(
        self,
        late_hub: LateHub,
        version: str,
        home: str,
        beyond_waiting_s: float,
        after_reply: ServerMiddleware[Any],
    ) -> None:
        super().__init__(
            "sonde",
            title="Sonde",
            instructions=INSTRUCTIONS,
            version=version,
            log_level="WARNING",
            middleware=[after_reply],
        )
        self._late_hub = late_hub
        self._home = home
        self._beyond_waiting_s = beyond_waiting_s
        self._faces: Mapping[str, Face] = {face.name: face for face in FACES}

    async def list_tools(self) -> list[Tool]:
        """List all tools, always in the same order."""
        return self._tools

    @functools.cached_property
    def _tools(self) -> list[Tool]:
        # Making the schemas takes 15 ms, and modern clients list the tools again and again.
        return [face.to_mcp() for face in self._faces.values()]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult:
        """Run one tool. Failures become `isError` with text only; nothing is raised."""
        try:
            rendered = await self._answer(name, arguments, context)
        except SondeError as error:
            return _refusal(error)
        except Exception:
            _logger.exception("a tool failed: %s", name if name in self._faces else "unknown")
            return _refusal(
                InternalError(
                    f"Cannot finish {name if name in self._faces else 'the call'}",
                    "something unexpected went wrong; the server's log on stderr has it",
                    "Call list_probes to see what is in place, then try again",
                )
            )
        content = TextContent(type="text", text=rendered.text)
        return CallToolResult(content=[content], structured_content=dict(rendered.structured))

    async def _answer(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None
    ) -> Rendered:
        face = self._faces.get(name)
        if face is None:
            raise unknown_tool(name, list(self._faces))
        asked = check(name, face.input, arguments)
        wait_s = float(getattr(asked, "wait_seconds", 0.0))
        most_s = wait_s + self._beyond_waiting_s
        by = Deadline(most_s - _WRITING_S)
        return await within(most_s, self._run(face, asked, by, _progress(context, wait_s), context))

    async def _run(
        self,
        face: Face,
        asked: Input,
        by: Deadline,
        progress: Progress,
        context: Context[Any, Any] | None,
    ) -> Rendered:
        hub = await self._late_hub.get(_client_of(context))
        return await face.run(Call(hub, progress, by, self._home), asked)


def _client_of(context: Context[Any, Any] | None) -> str:
    """Name the assistant as it named itself: at initialize, or in this request."""
    said = context.session.client_params if context is not None else None
    return said.client_info.name if said is not None else ""


def _progress(context: Context[Any, Any] | None, wait_s: float) -> Progress:
    """Report growing seconds of `wait_s`, as the protocol wants them."""
    told = -1.0

    async def tell(waited_s: float, sentence: str) -> None:
        nonlocal told
        if context is None or waited_s <= told:
            return
        told = waited_s
        await context.report_progress(round(waited_s, 1), max(wait_s, waited_s), sentence)

    return tell


def _refusal(error: SondeError) -> CallToolResult:
    parts = (error.what, error.why, error.next_step)
    sentences = " ".join(f"{_sentence(part)}." for part in parts)
    content = TextContent(type="text", text=f"{error.code}: {sentences}")
    return CallToolResult(content=[content], is_error=True)


def _sentence(text: str) -> str:
    """Escape and cut what may name files and texts of the service; begin with a capital, unless it
    begins with a name that has to be written as it is.
    """
    cut = text if len(text) <= _LONGEST_SENTENCE else f"{text[:_LONGEST_SENTENCE]} (cut)"
    escaped = escape(cut).rstrip(". ")
    return escaped[:1].upper() + escaped[1:] if _WORD_FIRST.match(escaped) else escaped
