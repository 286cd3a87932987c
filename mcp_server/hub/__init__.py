"""The verbs: list, find, place, wait, read, remove. Knows neither MCP nor the wire."""

from mcp_server.hub.hub import Hub
from mcp_server.hub.waiting import Progress

__all__ = ["Hub", "Progress"]
