"""Moving a release between machines: one JSON document of the release and what the gate said of it.

Both parts are covered by digests, which show a change and no author. An imported pass counts, and is shown as imported
with its origin.
"""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cluster.registry.config import ExportReleaseConfig, ImportReleaseConfig
from cluster.registry.gate_record import MAX_DOCUMENT_CHARS, GateRecord, now
from cluster.registry.store import Registered, Registry, resolve_release
from cluster.runs.folder import write_whole
from judge_serve.judging.content_key import digest_of
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.release import MAX_RELEASE_BYTES, SHORT_ID_CHARS, Release
from judge_serve.serving.home import home

EXPORT_VERSION = 1
MAX_EXPORT_BYTES = MAX_RELEASE_BYTES + 2 * MAX_DOCUMENT_CHARS
MAX_ORIGIN_CHARS = 200
UNNAMED = "an unnamed machine"


def run_export_release(config: ExportReleaseConfig) -> dict[str, Any]:
    """Write a release with its gate result to a file."""
    registered = resolve_release(config.release)
    if config.out.exists():
        raise RefusedInputError(f"{config.out} exists; choose another name or remove it")
    text = json.dumps(exported(registered), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        write_whole(config.out, text)
    except OSError as error:
        raise RefusedInputError(
            f"{config.out} cannot be written ({error.strerror or error}); choose another"
        ) from error
    gate = registered.gate
    return {
        "release": registered.release.id,
        "path": str(config.out),
        "gate_passed": gate.passed if gate else None,
    }


def run_import_release(config: ImportReleaseConfig) -> dict[str, Any]:
    """Register the release of a file, with the gate result that came with it unless one of this registry is known.

    A file says itself when and where its result was made, so a result of this registry stays, however old.
    """
    release, gate = read_export(config.path)
    registry = Registry(home())
    entry = registry.register(release)
    taken = gate is not None and (
        (entry.gate is None and not entry.gate_is_unreadable)
        or (entry.gate is not None and bool(entry.gate.imported_from) and entry.gate.date < gate.date)
    )
    if gate is not None and taken:
        entry = registry.register(release, gate=gate)
    return {
        "release": release.id,
        "name": release.name,
        "gate_passed": entry.gate_passed if entry.gate else None,
        "gate_taken": taken,
        "imported_from": entry.gate.imported_from if entry.gate else None,
    }


def exported(registered: Registered) -> dict[str, Any]:
    """The document: release, gate result, origin, and a digest over them."""
    release, gate = registered.release, registered.gate
    content = {
        "export_version": EXPORT_VERSION,
        "exported_at": now(),
        "exported_from": platform.node()[:MAX_ORIGIN_CHARS] or UNNAMED,
        "release": {**release.model_dump(mode="json"), "digest": release.digest},
        "gate": gate.model_dump(mode="json") if gate else None,
    }
    return {**content, "digest": digest_of(content)}


def read_export(path: Path) -> tuple[Release, GateRecord | None]:
    """A release and its gate result of a file that `export` wrote, or a bare `release.json`.

    Raises: RefusedInputError if it is too large, malformed, or was changed after its digest was taken.
    """
    document = _read(path)
    if isinstance(document, dict) and "judge" in document:
        return Release.from_document(document, str(path)), None
    if not isinstance(document, dict) or document.get("export_version") != EXPORT_VERSION:
        raise RefusedInputError(f"{path}: neither an exported release (version {EXPORT_VERSION}) nor a release.json")
    content = {key: value for key, value in document.items() if key != "digest"}
    try:
        digest = digest_of(content)
    except (ValueError, RecursionError) as error:
        raise RefusedInputError(f"{path}: not an exported release ({error})") from error
    if digest != document.get("digest"):
        raise RefusedInputError(
            f"{path}: digest {str(document.get('digest'))[:SHORT_ID_CHARS]!r} does not match its content; "
            "it was changed after export, export it again"
        )
    release = Release.from_document(document.get("release"), f"{path}: release")
    if document.get("gate") is None:
        return release, None
    return release, _read_gate(document, path)


def _read(path: Path) -> Any:
    try:
        if path.stat().st_size > MAX_EXPORT_BYTES:
            raise RefusedInputError(f"{path}: larger than {MAX_EXPORT_BYTES} bytes; a release holds text only")
        with path.open("rb") as file:
            return json.loads(file.read(MAX_EXPORT_BYTES + 1).decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RefusedInputError(f"{path}: not a readable JSON file ({error})") from error


def _read_gate(document: dict[str, Any], path: Path) -> GateRecord:
    try:
        gate = GateRecord.model_validate(document["gate"])
    except (ValidationError, RecursionError) as error:
        said = error.errors()[0]["msg"] if isinstance(error, ValidationError) else "nested too deep"
        raise RefusedInputError(f"{path}: its gate result is malformed ({said}); export it again") from error
    origin = str(document.get("exported_from") or "")[:MAX_ORIGIN_CHARS].strip() or UNNAMED
    if gate.passed and not gate.rules:
        raise RefusedInputError(f"{path}: its gate result names no rule that it passed; run 'gate' again and export it")
    kept = (gate.imported_from or "").strip()
    marked = gate.model_copy(update={"imported_from": kept or origin})
    if any(not text.isprintable() for text in _texts_of(marked.model_dump(mode="json"))):
        raise RefusedInputError(f"{path}: its gate result holds control characters; export it again")
    return marked


def _texts_of(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in parts for text in _texts_of(part)]
