"""The registry on MLflow: releases as prompt versions with aliases, and runs with their figures.

The prompt's text is the release document itself, so that what is loaded can be checked against its digest.
"""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cluster.registry.gate_record import (
    MAX_DOCUMENT_CHARS,
    GateRecord,
    GateSummary,
    Override,
    read_history,
    read_overrides,
    read_record,
)
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.release import Release
from judge_serve.serving.home import home

CHAMPION, PREVIOUS = "champion", "previous"
DIGEST_TAG, GATE_TAG, GATE_REASONS_TAG = "digest", "gate.passed", "gate.reasons"
GATE_RECORD_TAG, GATE_HISTORY_TAG, OVERRIDES_TAG = "gate.record", "gate.history", "overrides"
MAX_TAG_CHARS = 4_000
MAX_REASON_CHARS = 1_000
DEFAULT_NAME = "relevance"


class Registered(NamedTuple):
    """A release as the registry knows it."""

    release: Release
    version: str
    aliases: tuple[str, ...]
    tags: dict[str, str]
    registered_ms: int = 0  # since 1970

    @property
    def gate_passed(self) -> bool:
        """Whether a gate said yes, and no later one no, whose storing may have been interrupted."""
        gate = self.gate
        return self.tags.get(GATE_TAG) == "true" and (gate is None or gate.passed)

    @property
    def gate(self) -> GateRecord | None:
        """The last answer of a gate, None if no gate has seen the release or its record cannot be read."""
        return read_record(self.tags.get(GATE_RECORD_TAG))

    @property
    def gate_history(self) -> tuple[GateSummary, ...]:
        """Earlier answers, oldest first."""
        return read_history(self.tags.get(GATE_HISTORY_TAG))

    @property
    def overrides(self) -> tuple[Override, ...]:
        """When the gate was overridden for this release, by which command and why; the latest ones."""
        return read_overrides(self.tags.get(OVERRIDES_TAG))


class Registry:
    """Releases and aliases at a tracking URI."""

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("DO_NOT_TRACK", "true")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # third-party deprecations at import
            import mlflow
            from mlflow import MlflowClient

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        folder.mkdir(parents=True, exist_ok=True)
        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder / 'mlflow.db'}"
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        self.uri = uri
        self._artifacts = folder / "mlartifacts" if uri.startswith("sqlite") else None
        self._mlflow = mlflow
        self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)

    @property
    def shown_uri(self) -> str:
        """The tracking URI without credentials."""
        scheme, separator, rest = self.uri.partition("://")
        return scheme + separator + rest.rpartition("@")[2]

    def register(self, release: Release, gate: GateRecord | None = None) -> Registered:
        """Store a release once; a known one only gets the new gate result."""
        known = self._find(release.name, release.digest)
        if known is None:
            self._mlflow.genai.register_prompt(
                name=release.name,
                template=release.to_json(),
                commit_message=f"{release.judge.model.name} {release.judge.mode}",
                tags={DIGEST_TAG: release.digest},
            )
            known = self._require(release.name, release.digest)
        if gate is not None:
            self._record_gate(known, gate)
        return self._require(release.name, release.digest)

    def _record_gate(self, known: Registered, gate: GateRecord) -> None:
        if (before := known.gate) is not None:
            history = GateSummary.dump_all([*known.gate_history, before.summary()])
            self._tag(known, GATE_HISTORY_TAG, history, MAX_DOCUMENT_CHARS)
        self._tag(known, GATE_RECORD_TAG, gate.dump(MAX_DOCUMENT_CHARS), MAX_DOCUMENT_CHARS)
        self._tag(known, GATE_REASONS_TAG, "; ".join(gate.reasons) or "none")
        self._tag(known, GATE_TAG, str(gate.passed).lower())  # last: what deploy and label ask for

    def resolve(self, reference: str) -> Registered:
        """Find a release by digest prefix, `alias` or `name@alias`.

        Raises: RefusedInputError if there is none, or if a prefix fits several.
        """
        name, _, alias = reference.rpartition("@")
        if name or reference in (CHAMPION, PREVIOUS, "challenger"):
            return self._by_alias(name or DEFAULT_NAME, alias)
        fitting = [entry for entry in self.releases() if entry.release.digest.startswith(reference)]
        if len(fitting) != 1 or len(reference) < 4:
            found = "fits several releases" if len(fitting) > 1 else "is not in the registry"
            raise RefusedInputError(
                f"release {reference!r} {found} ({self.shown_uri}); give a longer id, an alias, or a release.json"
            )
        return fitting[0]

    def releases(self) -> list[Registered]:
        """All releases, newest first."""
        names = [prompt.name for prompt in self._mlflow.genai.search_prompts()]
        entries = [entry for name in names for entry in self._versions(name)]
        return sorted(entries, key=lambda entry: (entry.registered_ms, int(entry.version)), reverse=True)

    def champion_of(self, name: str) -> Registered | None:
        """The release of this name that is deployed, if one is."""
        return self._find_alias(name, CHAMPION)

    def promote(self, registered: Registered, override: str | None) -> None:
        """Make a release the champion; the one before becomes `previous`."""
        name = registered.release.name
        current = self._find_alias(name, CHAMPION)
        if current is not None and current.version != registered.version:
            self._client.set_prompt_alias(name, PREVIOUS, current.version)
        self._client.set_prompt_alias(name, CHAMPION, registered.version)
        if override:
            self.record_override(registered, "deploy", override)

    def record_override(self, registered: Registered, command: str, reason: str) -> None:
        """Remember that a command went on without the gate's yes, and why."""
        known = self._require(registered.release.name, registered.release.digest)  # as it is now
        override = Override(command=command, reason=reason[:MAX_REASON_CHARS])
        self._tag(known, OVERRIDES_TAG, Override.dump_all([*known.overrides, override]), MAX_DOCUMENT_CHARS)

    def log_run(
        self,
        name: str,
        params: dict[str, Any],
        figures: dict[str, float],
        files: list[Path],
        over_calls: Sequence[tuple[int, dict[str, float]]] = (),
    ) -> str:
        """Record a run with its figures and files; returns MLflow's run id.

        `over_calls` are further figures by the number of judge calls after which they were known, in that order.
        """
        experiment = self._mlflow.get_experiment_by_name("relevance-judge")
        if experiment is None:
            location = self._artifacts.as_uri() if self._artifacts else None
            experiment_id = self._mlflow.create_experiment("relevance-judge", artifact_location=location)
        else:
            experiment_id = experiment.experiment_id
        with self._mlflow.start_run(experiment_id=experiment_id, run_name=name) as run:
            self._mlflow.log_params(params)
            self._mlflow.log_metrics(figures)
            self._log_over_calls(run.info.run_id, over_calls)
            for file in files:
                self._mlflow.log_artifact(str(file))
            return str(run.info.run_id)

    def _log_over_calls(self, run_id: str, over_calls: Sequence[tuple[int, dict[str, float]]]) -> None:
        from mlflow.entities import Metric

        now_ms = time.time_ns() // 1_000_000
        metrics = [
            Metric(name, value, now_ms + place, calls)  # of equal calls MLflow shows the latest
            for place, (calls, figures) in enumerate(over_calls)
            for name, value in figures.items()
        ]
        self._client.log_batch(run_id, metrics=metrics)  # the client makes parts of what one request does not take

    def _by_alias(self, name: str, alias: str) -> Registered:
        found = self._find_alias(name, alias)
        if found is None:
            raise RefusedInputError(
                f"no release has the alias {alias!r} under {name!r}; 'relevance-judge deploy RELEASE' sets champion"
            )
        return found

    def _find_alias(self, name: str, alias: str) -> Registered | None:
        return next((entry for entry in self._versions(name) if alias in entry.aliases), None)

    def _find(self, name: str, digest: str) -> Registered | None:
        return next((entry for entry in self._versions(name) if entry.release.digest == digest), None)

    def _require(self, name: str, digest: str) -> Registered:
        found = self._find(name, digest)
        assert found is not None, "a release that was just registered"
        return found

    def _versions(self, name: str) -> list[Registered]:
        from mlflow.exceptions import MlflowException

        try:
            versions = self._client.search_prompt_versions(name)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return []
            raise
        entries = []
        for version in versions:
            if DIGEST_TAG not in version.tags:
                continue  # a prompt of somebody else
            full = self._client.get_prompt_version(name, version.version)
            release = Release.from_json(str(full.template), f"registry {name} version {full.version}")
            entries.append(Registered(release, str(full.version), tuple(full.aliases), dict(full.tags), _made_ms(full)))
        return entries

    def _tag(self, registered: Registered, key: str, value: str, most: int = MAX_TAG_CHARS) -> None:
        name = registered.release.name
        self._client.set_prompt_version_tag(name, registered.version, key, value[:most])


def _made_ms(version: Any) -> int:
    return int(version.creation_timestamp or 0)


def has_registry() -> bool:
    """Whether there is a registry already; asking an empty one would make it, which takes seconds."""
    return bool(os.environ.get("MLFLOW_TRACKING_URI")) or (home() / "mlflow.db").is_file()


def resolve_release(reference: str, registry: Registry | None = None) -> Registered:
    """A release by path, digest prefix or alias; a file that the registry does not know has no gate result."""
    path = Path(reference)
    registry = registry or Registry(home())
    if path.suffix == ".json" and path.is_file():
        release = Release.from_file(path)
        return registry.register(release)
    return registry.resolve(reference)
