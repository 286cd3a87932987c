"""The one shared state: every table and every query.

All server processes on one SONDE_HOME are replicas over this store; what one of them writes, the
others notice (`Database.changed`). Nothing else is shared.
"""

from mcp_server.store.audit import Act
from mcp_server.store.database import Database
from mcp_server.store.fleet import Fleet, read_fleet
from mcp_server.store.instances import KnownInstance
from mcp_server.store.probes import Held, Page, ProbeFacts
from mcp_server.store.reports import Evidence, StatusRow
from mcp_server.store.store import Store, open_store
from mcp_server.store.times import now_ms, to_ms, to_time

__all__ = [
    "Act",
    "Database",
    "Evidence",
    "Fleet",
    "Held",
    "KnownInstance",
    "Page",
    "ProbeFacts",
    "StatusRow",
    "Store",
    "now_ms",
    "open_store",
    "read_fleet",
    "to_ms",
    "to_time",
]
