"""MLflow whose writes fail: the real one behind it, the fault at a chosen write."""

from __future__ import annotations

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE


class FailingClient:
    """Fails at write number `at` and at `more` after it; an `answered` write is carried out and its answer lost."""

    def __init__(self, client, at, *, answered=False, more=0):
        self._client = client
        self._failing = range(at, at + 1 + more)
        self._answered = answered
        self.writes = 0

    def __getattr__(self, name):
        method = getattr(self._client, name)
        if not name.startswith(("create_", "set_", "delete_")):
            return method

        def write(*arguments, **options):
            self.writes += 1
            fails = self.writes in self._failing
            if not fails or self._answered:
                result = method(*arguments, **options)
            if fails:
                raise MlflowException("the store is gone", TEMPORARILY_UNAVAILABLE)
            return result

        return write


def failing(registry, at, **how):
    """Let the writes of a registry fail from now on; returns what counts them."""
    client = FailingClient(registry._client, at, **how)
    registry._prompts._client = client
    return client


def healthy(registry):
    """MLflow is back."""
    registry._prompts._client = registry._client
