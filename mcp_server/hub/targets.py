"""Which service, environment and instances a call means, or which it could have meant."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from mcp_server.errors import AmbiguousService, UnknownInstance, UnknownService
from mcp_server.model import Instance, ServiceView, Target
from mcp_server.reconcile import choose
from mcp_server.store import KnownInstance, now_ms
from probe_agent.probe import Kind


@dataclass(frozen=True, slots=True)
class Site:
    """A target whose environment is settled, and the connected instances chosen for it."""

    target: Target
    chosen: tuple[Instance, ...]


def settle(target: Target, known: Sequence[KnownInstance]) -> Site:
    """Find what a target means among all instances that are remembered.

    Raises: UnknownService, AmbiguousService, UnknownInstance.
    """
    service = of_service(target.service, known)
    environment = _environment(target, service)
    here = [k for k in service if k.instance.environment == environment]
    if isinstance(target.instances, tuple):
        _check_instances(target.instances, here)
    settled = dataclasses.replace(target, environment=environment)
    return Site(settled, choose(settled, here, (), now_ms()))


def of_service(service: str, known: Sequence[KnownInstance]) -> list[KnownInstance]:
    """List a service's instances, connected or not.

    Raises: UnknownService: none was ever seen; names those that were.
    """
    found = [k for k in known if k.instance.service == service]
    if found:
        return found
    real = sorted({k.instance.service for k in known})
    raise UnknownService(
        f"Cannot find service {shown(service)}",
        "no instance of it has ever connected",
        f"Use one of: {listed(real, service)}"
        if real
        else "Start it with: sonde run --service NAME -- COMMAND",
    )


@contextlib.contextmanager
def unless_early(*, in_time: bool) -> Iterator[None]:
    """Say of a service that is not there that it may still come, if it was too early to tell.

    Raises: UnknownService.
    """
    try:
        yield
    except UnknownService as error:
        if in_time:
            raise
        raise UnknownService(
            error.what,
            "none has connected yet, and this server has started only just now",
            "Try again in two seconds",
        ) from None


def list_services(
    known: Sequence[KnownInstance],
    placed: Iterable[tuple[str, str]],
    service: str | None,
    environment: str | None,
) -> tuple[ServiceView, ...]:
    """Describe services by environment: those with a connected instance, and the one asked for.

    Args: placed: service and environment of every wanted probe.
    Raises: UnknownService.
    """
    if service is not None:
        known = of_service(service, known)
    if environment is not None and known:
        _require_environment(service, environment, known)
    groups = sorted({(k.instance.service, k.instance.environment) for k in known})
    probes = list(placed)
    views = [
        _describe(name, where, known, probes.count((name, where)))
        for name, where in groups
        if environment in (None, where)
    ]
    return tuple(v for v in views if v.instances or service is not None)


def _describe(
    service: str, environment: str, known: Sequence[KnownInstance], probes: int
) -> ServiceView:
    here = [
        k.instance
        for k in known
        if (k.instance.service, k.instance.environment) == (service, environment)
    ]
    connected = tuple(i for i in here if i.connected)
    described = connected or here[-1:]  # nobody there: as it was last seen
    return ServiceView(
        service=service,
        environment=environment,
        versions=tuple(sorted({i.version for i in described if i.version})),
        instances=len(connected),
        python=tuple(sorted({i.python for i in described if i.python})),
        probes=probes,
        allowed=tuple(Kind),
        instance_list=connected,
    )


def _environment(target: Target, service: Sequence[KnownInstance]) -> str:
    if target.environment is not None:
        _require_environment(target.service, target.environment, service)
        return target.environment
    seen = sorted({k.instance.environment for k in service})
    connected = sorted({k.instance.environment for k in service if k.instance.connected})
    choices = connected or seen
    if len(choices) > 1:
        raise AmbiguousService(
            f"Cannot tell which {shown(target.service)} is meant",
            f"it runs in {len(choices)} environments",
            f"Give environment, one of: {listed(choices, '')}",
        )
    return choices[0]


def _require_environment(
    service: str | None, environment: str, known: Sequence[KnownInstance]
) -> None:
    """Args: known: instances of the service; of any where none is asked for."""
    seen = sorted({k.instance.environment for k in known})
    if environment in seen:
        return
    what = "a service" if service is None else f"service {shown(service)}"
    raise UnknownService(
        f"Cannot find {what} in environment {shown(environment)}",
        f"no instance {'' if service is None else 'of it '}has ever connected from there",
        f"Use one of the environments: {listed(seen, environment)}",
    )


def _check_instances(ids: Sequence[str], here: Sequence[KnownInstance]) -> None:
    remembered = {k.instance.instance for k in here}
    unknown = [i for i in ids if i not in remembered]
    if not unknown:
        return
    connected = [k.instance.instance for k in here if k.instance.connected]
    raise UnknownInstance(
        f"Cannot find instance {shown(unknown[0])}",
        "the service has had no instance of this id",
        f"Use one of: {listed(connected, unknown[0])}"
        if connected
        else "Call list_services; none of its instances is connected now",
    )


def listed(names: Collection[str], asked: str, most: int = 10) -> str:
    """Join names for a sentence, the nearest to `asked` first."""
    near = difflib.get_close_matches(asked, names, n=3) if len(asked) <= 100 else []
    ordered = [*near, *(n for n in names if n not in near)]
    rest = len(ordered) - most
    return ", ".join(ordered[:most]) + (f" and {rest} more" if rest > 0 else "")


def shown(text: str, most: int = 60) -> str:
    """Quote a caller's own text for a sentence: ASCII only, and short."""
    return ascii(text[:most]) + (" (cut)" if len(text) > most else "")
