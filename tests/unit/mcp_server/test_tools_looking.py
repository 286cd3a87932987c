"""`list_services` where nobody is connected: says of whom and where that is so."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, cast

from mcp_server.deadline import Deadline
from mcp_server.hub import Hub
from mcp_server.model import ServiceView
from mcp_server.tools.call import Call
from mcp_server.tools.inputs import ListServices
from mcp_server.tools.looking import list_services


@dataclass
class Services:
    """A hub with these services."""

    found: tuple[ServiceView, ...] = ()

    async def services(self, *_: str | None) -> tuple[ServiceView, ...]:
        return self.found


def how_to_connect(*found: ServiceView, **asked: str) -> Any:
    async def progress(waited_s: float, sentence: str) -> None: ...

    call = Call(cast("Hub", Services(found)), progress, Deadline(1), "/home/sonde")
    rendered = asyncio.run(list_services(call, ListServices(**asked)))
    said = rendered.structured.get("how_to_connect", "")
    assert str(said) in rendered.text
    return said


def seen(instances: int) -> ServiceView:
    return ServiceView("trades", "prod", ("v1",), instances, ("3.12.1",), 0, ())


def test_an_environment_without_services_is_not_said_to_be_all_there_is() -> None:
    said = how_to_connect(environment="staging")
    assert said.startswith("No service is connected in environment 'staging'. Start one with: ")


def test_a_service_that_has_gone_is_told_with_how_it_comes_back() -> None:
    said = how_to_connect(seen(0), service="trades")
    assert said.startswith("No instance of trades is connected. Start one with: ")


def test_where_somebody_is_connected_nothing_is_said_about_connecting() -> None:
    assert how_to_connect(seen(1), service="trades") == ""
    assert how_to_connect(seen(1)) == ""
