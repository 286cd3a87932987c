"""The two protocol eras."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["legacy", "auto"], ids=["handshake era", "modern era"])
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)
