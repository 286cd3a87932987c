"""The MCP tools: thin. Check the arguments, ask the hub within the deadline, hand to `render`.

`make_server` builds the one server object for every transport; it starts nothing.
"""

from mcp_server.tools.late_hub import LateHub, OpenHub
from mcp_server.tools.server import make_server

__all__ = ["LateHub", "OpenHub", "make_server"]
