"""The answer of `list_services` within its tokens: instances are cut first, then services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mcp_server.model import ServiceView
from mcp_server.render.answers import ListedInstance, ListedService, Services
from mcp_server.render.fitting import Rendered, Shape, fit
from mcp_server.render.next_step import after_services, more_tokens
from mcp_server.render.text import services_text


def render_services(
    views: tuple[ServiceView, ...], given: Mapping[str, object], how_to_connect: str, tokens: int
) -> Rendered:
    """Write both forms. Args: given: the call's own arguments. how_to_connect: empty where
    somebody is connected.
    """
    was_named = "service" in given
    rows = tuple(_service(view, with_instances=was_named) for view in views)
    names = [(view.service, view.environment) for view in views]
    wider = more_tokens("list_services", given, tokens)

    def with_instances(most: int) -> Services:
        cut = tuple(replace(row, instance_list=row.instance_list[:most]) for row in rows)
        missing = _listed(rows) - _listed(cut)
        usual = after_services(names, was_named=was_named)
        return Services(
            services=cut,
            how_to_connect=how_to_connect,
            left_out={"instances": missing} if missing else {},
            next_call=wider if missing and wider else usual,
        )

    def with_services(count: int) -> Services:
        return Services(
            services=tuple(replace(row, instance_list=()) for row in rows[:count]),
            more=len(rows) - count,
            left_out={"instances": _listed(rows)} if _listed(rows) else {},
            next_call=wider or after_services(names[count:], was_named=False),
        )

    longest = max((len(row.instance_list) for row in rows), default=0)
    shapes = [Shape(longest, 0, with_instances), Shape(len(rows), 0, with_services)]
    return fit(shapes, services_text, tokens).rendered


def _listed(rows: tuple[ListedService, ...]) -> int:
    return sum(len(row.instance_list) for row in rows)


def _service(view: ServiceView, *, with_instances: bool) -> ListedService:
    instances = tuple(
        ListedInstance(
            instance=i.instance,
            version=i.version,
            python=i.python,
            pid=i.pid,
            host=i.host,
            labels=i.labels,
            since=i.since,
        )
        for i in view.instance_list
    )
    return ListedService(
        service=view.service,
        environment=view.environment,
        versions=view.versions,
        instances=view.instances,
        python=view.python,
        probes=view.probes,
        allowed=tuple(kind.value for kind in view.allowed),
        instance_list=instances if with_instances else (),
    )
