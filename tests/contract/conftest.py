"""The endpoint of one test."""

from collections.abc import Iterator

import pytest

from tests.contract.endpoints import Endpoint


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    running = Endpoint()
    yield running
    running.close()
