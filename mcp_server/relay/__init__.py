"""The gRPC service that agents dial: the only place where the server knows the wire."""

from mcp_server.relay.server import Relay

__all__ = ["Relay"]
