"""Opening MLflow: its database made whole by one process, and a stated place for the files of its runs."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")  # what MLflow keeps itself in
_SQLITE = "sqlite:///"
LOCK_S = 600.0  # making the tables takes seconds, on a busy machine a minute


class Opened(NamedTuple):
    """MLflow at an address.

    Attributes:
        uri: of runs and releases alike.
        artifacts: where files of runs go; None where a server decides that.
        mlflow: the module.
        client: its client.
    """

    uri: str
    artifacts: Path | None
    mlflow: Any
    client: Any


class _NothingStored:
    """The client of a store that was not made yet."""

    def search_registered_models(self, *_: Any, **__: Any) -> _EmptyPage:
        return _EmptyPage()

    def search_model_versions(self, *_: Any, **__: Any) -> _EmptyPage:
        return _EmptyPage()


class _EmptyPage(list[Any]):
    token = None  # of the next page


def look_at_mlflow(folder: Path) -> Opened:
    """MLflow as `open_mlflow` has it, for reading: where no database was made, none is, and nothing is found."""
    file = _file_of(_uri_of(folder))
    if file is not None and not _is_made(file):
        return Opened(_uri_of(folder), None, None, _NothingStored())
    return open_mlflow(folder)


def open_mlflow(folder: Path) -> Opened:
    """MLflow at `MLFLOW_TRACKING_URI`, else in `mlflow.db` of a folder, which is made if it is not there yet."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # third-party deprecations at import
        import mlflow
        from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    folder.mkdir(parents=True, exist_ok=True)
    uri = _uri_of(folder)
    scheme = uri.partition("://")[0].partition("+")[0]
    artifacts = folder.resolve() / "mlartifacts" if scheme in _DATABASES else None
    if artifacts is not None and (file := _file_of(uri)) is not None:
        make_database(file, artifacts)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    return Opened(uri, artifacts, mlflow, MlflowClient(tracking_uri=uri, registry_uri=uri))


def _uri_of(folder: Path) -> str:
    return os.environ.get("MLFLOW_TRACKING_URI") or f"{_SQLITE}{folder / 'mlflow.db'}"


def _file_of(uri: str) -> Path | None:
    """The file of an SQLite database."""
    is_file = uri.startswith(_SQLITE) and not uri.endswith(":memory:")
    return Path(uri.removeprefix(_SQLITE).partition("?")[0]) if is_file else None


def make_database(file: Path, artifacts: Path) -> None:
    """Make MLflow's tables where there are none; it is made beside its place, so that half a database never counts."""
    if _is_made(file):
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_name(f"{file.name}.lock"), timeout=LOCK_S):
        if _is_made(file):
            return
        scratch = file.with_name(f".{file.name}.new")
        scratch.unlink(missing_ok=True)  # of a process that was killed
        SqlAlchemyStore(f"{_SQLITE}{scratch}", artifacts.as_uri()).engine.dispose()
        scratch.replace(file)


def _is_made(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0
