"""What all tests share: one filter for a warning that third parties raise on import, and patience of hypothesis."""

import pytest
from hypothesis import settings

settings.register_profile("project", deadline=None)  # timing per example says nothing on a shared machine
settings.load_profile("project")


def pytest_configure(config: pytest.Config) -> None:
    # ray 2.60 declares its Serve schema with an argument that pydantic 2 deprecates
    config.addinivalue_line(
        "filterwarnings",
        r"ignore:Using extra keyword arguments on `Field`:pydantic.warnings.PydanticDeprecatedSince20:ray\.serve",
    )
