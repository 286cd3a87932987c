"""A Hello, believed or refused in words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from mcp_server.errors import SondeError
from mcp_server.model import Instance
from mcp_server.registry import Capability
from mcp_server.store import now_ms, to_time
from probe_agent.wire.sonde.v1 import relay_pb2 as wire

PROTOCOL_VERSION: Final = 1

_NAME: Final = re.compile(r"[A-Za-z0-9._:/@+-]{1,100}")
_MOST_LABELS: Final = 50
_A_DAY_MS: Final = 24 * 3600 * 1000
_CAPABILITIES: Final = {
    wire.CAPABILITY_SNAPSHOT_LINE: Capability.SNAPSHOT_LINE,
    wire.CAPABILITY_LOG_LINE: Capability.LOG_LINE,
    wire.CAPABILITY_SOURCE: Capability.SOURCE,
}


class HelloRefused(SondeError):
    """The agent cannot be taken; the four fields go into a Refusal."""

    code = "agent_refused"


@dataclass(frozen=True, slots=True)
class Newcomer:
    """An agent whose Hello is sound."""

    instance: Instance
    capabilities: frozenset[Capability]


def read_hello(request: wire.ConnectRequest) -> Newcomer:
    """Check the first message of a stream.

    Raises: HelloRefused: not a Hello, another protocol version, or a name that may not be.
    """
    if request.WhichOneof("message") != "hello":
        raise HelloRefused(
            "Cannot take this agent",
            "its first message is not a Hello",
            "Send Hello first",
        )
    hello = request.hello
    if hello.protocol_version != PROTOCOL_VERSION:
        raise HelloRefused(
            "Cannot take this agent",
            f"it speaks version {hello.protocol_version} of the protocol,"
            f" and this hub speaks version {PROTOCOL_VERSION}",
            "Install the same Sonde on both sides and restart the older one",
        )
    capabilities = frozenset(_CAPABILITIES[c] for c in hello.capabilities if c in _CAPABILITIES)
    return Newcomer(_instance(hello), capabilities)


def _instance(hello: wire.Hello) -> Instance:
    if len(hello.labels) > _MOST_LABELS:
        raise HelloRefused(
            "Cannot take this agent",
            f"it has more than {_MOST_LABELS} labels",
            "Give it fewer",
        )
    return Instance(
        instance=_name("instance id", hello.instance),
        service=_name("service name", hello.service),
        environment=_name("environment name", hello.environment or "default"),
        version=_optional("version", hello.version),
        language=_optional("language", hello.runtime.language),
        python=_optional("language version", hello.runtime.version),
        pid=hello.pid,
        host=_optional("host name", hello.host),
        labels={_name("label", k): _optional("label", v) for k, v in hello.labels.items()},
        since=to_time(_started_ms(hello.started_unix_ms)),
        connected=True,
    )


def _started_ms(said_ms: int) -> int:
    now = now_ms()
    return said_ms if 0 < said_ms < now + _A_DAY_MS else now


def _optional(what: str, text: str) -> str:
    return _name(what, text) if text else ""


def _name(what: str, text: str) -> str:
    if _NAME.fullmatch(text) is None:
        raise HelloRefused(
            "Cannot take this agent",
            f"its {what} is empty, longer than 100 characters, or has others than A-Za-z0-9._:/@+-",
            "Correct the agent's settings",
        )
    return text
