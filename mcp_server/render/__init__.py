"""From the hub's answers to what a model reads: typed, sized, captured text fenced as data.

One answer object (`answers`) gives both forms: `structure` writes the JSON, `text` what a colleague
would write. `fitting` cuts to a number of tokens and counts what it left out; `next_step` names the
call that is most useful now. Called by `tools`; knows neither MCP nor the store.
"""

from mcp_server.render.fitting import DEFAULT_TOKENS, Rendered
from mcp_server.render.next_step import NextCall

__all__ = ["DEFAULT_TOKENS", "NextCall", "Rendered"]
