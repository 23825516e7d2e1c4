"""What all tests share: filters for warnings that third parties raise, and patience of hypothesis."""

import os
import signal

import pytest
from hypothesis import settings

from cluster.endpoint.ray_environment import prepare_ray_environment

# Ray's core reads its settings once in the life of a process, at the first import of any module of it; in one run
# of all tests that is long before the first test that starts a Ray.
prepare_ray_environment()

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test asks the hub

# A shell starts what runs in the background with Ctrl-C ignored, and so would all that tests start be: they send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("project", deadline=None)  # timing per example says nothing on a shared machine
settings.load_profile("project")


def pytest_configure(config: pytest.Config) -> None:
    # ray 2.60 declares its Serve schema with an argument that pydantic 2 deprecates
    config.addinivalue_line(
        "filterwarnings",
        r"ignore:Using extra keyword arguments on `Field`:pydantic.warnings.PydanticDeprecatedSince20:ray\.serve",
    )
    # mlflow 3.17 asks SQLAlchemy for a loader that 2.1 deprecates
    config.addinivalue_line("filterwarnings", r"ignore:The ``noload`` loader strategy:DeprecationWarning")
