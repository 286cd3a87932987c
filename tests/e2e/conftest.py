"""Fixtures of the end-to-end tests; what they are made of is in `living`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from living import Service


@pytest.fixture
def home() -> Iterator[Path]:
    # Not tmp_path: a socket's path may have 107 bytes at the most.
    with tempfile.TemporaryDirectory(prefix="sonde") as folder:
        yield Path(folder)


@pytest.fixture
def start_service(home: Path) -> Iterator[Callable[..., Service]]:
    services: list[Service] = []

    def start(**options: str) -> Service:
        services.append(Service(home, **options))
        return services[-1]

    yield start
    for service in services:
        if service.process.poll() is None:
            service.kill()


@pytest.fixture
def shop(start_service: Callable[..., Service]) -> Iterator[Service]:
    service = start_service()
    yield service
    if service.process.poll() is None:
        assert service.end() == ""


@pytest.fixture(params=["legacy", "auto"], ids=["handshake era", "modern era"])
def era(request: pytest.FixtureRequest) -> str:
    return request.param
