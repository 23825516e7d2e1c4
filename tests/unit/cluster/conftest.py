"""Homes for tests: nothing of this user's state is read or written."""

import shutil

import pytest

from cluster.registry.store import Registry

_VARIABLES = (
    "MLFLOW_TRACKING_URI",
    "RAY_ADDRESS",
    "RELEVANCE_JUDGE_API_KEYS_FILE",
    "RELEVANCE_JUDGE_MODEL_KEY",
    "RELEVANCE_JUDGE_MODELS",
    "RELEVANCE_JUDGE_STORE",
)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home."""
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("RELEVANCE_JUDGE_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory):
    """An empty MLflow database; creating one takes seconds, copying it does not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        folder = tmp_path_factory.mktemp("mlflow")
        assert Registry(folder).releases() == []
    return folder / "mlflow.db"


@pytest.fixture
def registry_home(home, migrated_database):
    """A home with an empty registry."""
    shutil.copy(migrated_database, home / "mlflow.db")
    return home
