"""A coding assistant's end of the line: MCP calls over stdio, each shown as the model sees it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import CallToolResult, TextContent

from walkthrough.failure import StepFailed
from walkthrough.screen import Screen

# The longest wait that a tool allows, and the 4 s that it may take beyond.
_CALL_TIMEOUT_S = 44.0


class Assistant:
    """Makes tool calls and shows them. Counts what its model would have had to read."""

    def __init__(self, client: Client, screen: Screen) -> None:
        self._client = client
        self._screen = screen
        self.calls = 0
        self.tokens = 0

    async def call(self, tool: str, **arguments: object) -> dict[str, Any]:
        """Call a tool, show call and answer.

        Returns: the structured form of the answer.
        Raises: StepFailed: the tool refused.
        """
        self._screen.call(tool, arguments)
        began = time.monotonic()
        result = await self._client.call_tool(tool, arguments)
        text = _text_of(result)
        self.calls += 1
        self.tokens += len(text) // 4
        self._screen.answer(
            text, f"{time.monotonic() - began:.1f} s, about {len(text) // 4} tokens"
        )
        if result.is_error:
            raise StepFailed(f"{tool} was refused, see its answer above")
        return dict(result.structured_content or {})


@asynccontextmanager
async def launched(sonde: str, home: Path, log: Path, screen: Screen) -> AsyncIterator[Assistant]:
    """Launch `sonde mcp` the way an IDE does: a bare environment, another folder, pipes, and its
    stderr in a `log` that nobody reads unless it fails.
    """
    server = StdioServerParameters(
        command=sonde, args=["mcp"], env={"SONDE_HOME": str(home)}, cwd="/"
    )
    with log.open("w", encoding="utf-8") as errors:
        transport = stdio_client(server, errlog=errors)
        async with Client(transport, read_timeout_seconds=_CALL_TIMEOUT_S) as client:
            yield Assistant(client, screen)


def _text_of(result: CallToolResult) -> str:
    return "\n".join(part.text for part in result.content if isinstance(part, TextContent))
