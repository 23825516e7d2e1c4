"""The registry on MLflow: releases as prompt versions with aliases, and runs with their figures.

The prompt's text is the release document itself, so that what is loaded can be checked against its digest.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress
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
from cluster.registry.opening import look_at_mlflow, open_mlflow
from cluster.registry.promotion import CHAMPION, PREVIOUS, change_champion, meant_aliases, try_to_finish
from cluster.registry.prompts import DIGEST_TAG, Head, Prompts, Version
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.release import SHORT_ID_CHARS, Release
from judge_serve.serving.home import home

GATE_TAG, GATE_REASONS_TAG = "gate.passed", "gate.reasons"
GATE_RECORD_TAG, GATE_HISTORY_TAG, OVERRIDES_TAG = "gate.record", "gate.history", "overrides"
MAX_TAG_CHARS = 4_000
MAX_REASON_CHARS = 1_000
DEFAULT_NAME = "relevance"
MIN_PREFIX_CHARS = 4
EXPERIMENT = "relevance-judge"


class Registered(NamedTuple):
    """A release as the registry knows it."""

    release: Release
    version: str
    aliases: tuple[str, ...]
    tags: dict[str, str]
    registered_ms: int = 0  # since 1970

    @property
    def gate_passed(self) -> bool:
        """Whether a gate said yes, by a record that can be read, and no later one no, stored in whole or in part."""
        gate = self.gate
        return self.tags.get(GATE_TAG) == "true" and gate is not None and gate.passed

    @property
    def gate(self) -> GateRecord | None:
        """The last answer of a gate, None if no gate has seen the release or its record cannot be read."""
        return read_record(self.tags.get(GATE_RECORD_TAG))

    @property
    def gate_is_unreadable(self) -> bool:
        """Whether a gate has answered and nobody can read what."""
        return self.gate is None and (GATE_RECORD_TAG in self.tags or GATE_TAG in self.tags)

    @property
    def gate_history(self) -> tuple[GateSummary, ...]:
        """Earlier answers, oldest first."""
        kept, gate = read_history(self.tags.get(GATE_HISTORY_TAG)), self.gate
        is_last = gate is not None and kept[-1:] == (gate.summary(),)  # storing the next one was interrupted
        return kept[:-1] if is_last else kept

    @property
    def overrides(self) -> tuple[Override, ...]:
        """When the gate was overridden for this release, by which command and why; the latest ones."""
        return read_overrides(self.tags.get(OVERRIDES_TAG))


class Unreadable(NamedTuple):
    """A version whose text is no release, or not the one that was registered."""

    id: str
    name: str
    version: str
    aliases: tuple[str, ...]
    reason: str
    registered_ms: int  # since 1970


class Listing(NamedTuple):
    """All that is registered, newest first."""

    releases: list[Registered]
    unreadable: list[Unreadable]


class Registry:
    """Releases and aliases at a tracking URI; one that is `read_only` makes, registers and mends nothing."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        opened = look_at_mlflow(folder) if read_only else open_mlflow(folder)
        self._is_read_only = read_only
        self.uri = opened.uri
        self._artifacts = opened.artifacts
        self._mlflow = opened.mlflow
        self._client = opened.client
        self._prompts = Prompts(opened.client)

    @property
    def shown_uri(self) -> str:
        """The tracking URI without credentials."""
        scheme, separator, rest = self.uri.partition("://")
        return scheme + separator + rest.rpartition("@")[2]

    def register(self, release: Release, gate: GateRecord | None = None) -> Registered:
        """Store a release once; a known one only gets the new gate result."""
        known = self.find(release.digest)
        if self._is_read_only:
            return known or Registered(release, "", (), {})
        if known is None:
            return self._add(release, gate)
        return known if gate is None else self._record_gate(known, gate)

    def _add(self, release: Release, gate: GateRecord | None) -> Registered:
        tags = {DIGEST_TAG: release.digest, **(_tags_of(gate) if gate else {})}
        description = f"{release.judge.model.name} {release.judge.mode}"
        number = self._prompts.add(release.name, release.to_json(), description, tags)
        first = _first_readable(self._prompts.versions(digest_prefix=release.digest))
        assert first is not None, "a release that was just registered"
        if first.version == str(number):
            return first
        self._prompts.remove(release.name, number)  # another process was first, and its version is the one that counts
        known = self._with_aliases(first)
        return known if gate is None else self._record_gate(known, gate)

    def _record_gate(self, known: Registered, gate: GateRecord) -> Registered:
        tags = _tags_of(gate)
        if (before := known.gate) is not None:
            history = GateSummary.dump_all([*known.gate_history, before.summary()])
            tags = {GATE_HISTORY_TAG: history, **tags}
        for key, value in tags.items():
            self._tag(known, key, value)
        return known._replace(tags={**known.tags, **tags})

    def resolve(self, reference: str) -> Registered:
        """Find a release by digest prefix, `alias` or `name@alias`.

        Raises: RefusedInputError if there is none, or if a prefix fits several.
        """
        name, _, alias = reference.rpartition("@")
        if name or reference in (CHAMPION, PREVIOUS, "challenger"):
            return self._by_alias(name or DEFAULT_NAME, alias)
        is_prefix = re.fullmatch(r"[0-9a-f]+", reference) and len(reference) >= MIN_PREFIX_CHARS
        versions = self._prompts.versions(digest_prefix=reference) if is_prefix else []
        if len({version.tags[DIGEST_TAG] for version in versions}) != 1:
            found = "fits several releases" if versions else "is not in the registry"
            raise RefusedInputError(
                f"release {reference!r} {found} ({self.shown_uri}); give a longer id, an alias, or a release.json"
            )
        return self._with_aliases(_first_readable(versions) or _registered(versions[0]))

    def find(self, digest: str) -> Registered | None:
        """The release with this digest; None where there is none that can be read."""
        is_digest = re.fullmatch(r"[0-9a-f]{64}", digest)  # parents in a document may be any text
        found = _first_readable(self._prompts.versions(digest_prefix=digest)) if is_digest else None
        return self._with_aliases(found) if found else None

    def releases(self) -> list[Registered]:
        """All releases that can be read, newest first."""
        return self.listing().releases

    def listing(self) -> Listing:
        """All releases, newest first; those that cannot be read apart."""
        heads = {head.name: self._settled(head) for head in self._prompts.heads()}
        releases: dict[str, Registered] = {}  # by digest: of equal ones the first
        unreadable = []
        for version in self._prompts.versions():
            aliases = _aliases_of(version, heads.get(version.name))
            try:
                entry = _registered(version)._replace(aliases=aliases)
                releases.setdefault(entry.release.digest, entry)
            except RefusedInputError as error:
                id = version.tags[DIGEST_TAG][:SHORT_ID_CHARS]
                number = str(version.number)
                unreadable.append(Unreadable(id, version.name, number, aliases, str(error), version.registered_ms))
        return Listing(sorted(releases.values(), key=_age, reverse=True), sorted(unreadable, key=_age, reverse=True))

    def check_reachable(self) -> None:
        """Ask MLflow for something small; what it raises says why it cannot be reached."""
        self._prompts.head(DEFAULT_NAME)

    def champion_of(self, name: str) -> Registered | None:
        """The release of this name that is deployed, if one is.

        Raises: RefusedInputError if it cannot be read.
        """
        return self._find_alias(name, CHAMPION)

    def promote(self, registered: Registered, override: str | None) -> None:
        """Make a release the champion; the one before becomes `previous`, whichever write fails in between."""
        if override:
            self.record_override(registered, "deploy", override)  # first: a promotion against the gate leaves a trace
        head = self._prompts.head(registered.release.name)
        assert head is not None, "the name of a registered release"
        change_champion(head, int(registered.version), self._prompts)

    def record_override(self, registered: Registered, command: str, reason: str) -> None:
        """Remember that a command went on without the gate's yes, and why."""
        known = self._require(registered.release.digest)  # as it is now
        override = Override(command=command, reason=reason[:MAX_REASON_CHARS])
        self._tag(known, OVERRIDES_TAG, Override.dump_all([*known.overrides, override]))

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
        with self._mlflow.start_run(experiment_id=self._experiment_id(), run_name=name) as run:
            self._mlflow.log_params(params)
            self._mlflow.log_metrics(figures)
            self._log_over_calls(run.info.run_id, over_calls)
            for file in files:
                self._mlflow.log_artifact(str(file))
            return str(run.info.run_id)

    def _experiment_id(self) -> str:
        from mlflow.exceptions import MlflowException

        location = self._artifacts.as_uri() if self._artifacts else None
        if (known := self._client.get_experiment_by_name(EXPERIMENT)) is not None:
            return str(known.experiment_id)
        try:
            return str(self._client.create_experiment(EXPERIMENT, artifact_location=location))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        return str(self._client.get_experiment_by_name(EXPERIMENT).experiment_id)  # another process was first

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
        stored = self._prompts.head(name)
        head = self._settled(stored) if stored else None
        number = head.aliases.get(alias) if head else None
        versions = self._prompts.versions(name=name, number=number) if number is not None else []
        return _registered(versions[0])._replace(aliases=_aliases_of(versions[0], head)) if versions else None

    def _settled(self, head: Head) -> Head:
        """The same name with aliases as they are meant, what was interrupted being finished."""
        if not self._is_read_only:
            try_to_finish(head, self._prompts)
        return head._replace(aliases=meant_aliases(head))

    def _require(self, digest: str) -> Registered:
        found = self.find(digest)
        assert found is not None, "a release that was just registered"
        return found

    def _with_aliases(self, registered: Registered) -> Registered:
        head = self._prompts.head(registered.release.name)
        aliases = self._settled(head).aliases if head else {}
        named = tuple(alias for alias, number in aliases.items() if str(number) == registered.version)
        return registered._replace(aliases=named)

    def _tag(self, registered: Registered, key: str, value: str) -> None:
        self._prompts.tag_version(registered.release.name, int(registered.version), key, value)


def _tags_of(gate: GateRecord) -> dict[str, str]:
    return {
        GATE_RECORD_TAG: gate.dump(MAX_DOCUMENT_CHARS),
        GATE_REASONS_TAG: ("; ".join(gate.reasons) or "none")[:MAX_TAG_CHARS],
        GATE_TAG: str(gate.passed).lower(),  # last: a pass counts when all of it is stored
    }


def _first_readable(versions: Sequence[Version]) -> Registered | None:
    for version in versions:  # two processes at once may both have stored a release; the first is what counts
        with suppress(RefusedInputError):
            return _registered(version)
    return None


def _registered(version: Version) -> Registered:
    """What a version holds, aliases apart.

    Raises: RefusedInputError if it is not what was registered.
    """
    source = f"registry {version.name} version {version.number}"
    release = Release.from_json(version.text, source)
    if (release.name, release.digest) != (version.name, version.tags[DIGEST_TAG]):
        raise RefusedInputError(f"{source}: its text is another release ({release.id}); import the original")
    return Registered(release, str(version.number), (), version.tags, version.registered_ms)


def _age(entry: Registered | Unreadable) -> tuple[int, int]:
    return entry.registered_ms, int(entry.version)


def _aliases_of(version: Version, head: Head | None) -> tuple[str, ...]:
    return tuple(alias for alias, number in head.aliases.items() if number == version.number) if head else ()


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
