"""The option that makes the corpus complete: `pytest tests/corpus --corpus`."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--corpus", action="store_true", default=False, help="all of the library, not a slice"
    )
