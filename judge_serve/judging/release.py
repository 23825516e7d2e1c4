"""A release: an immutable judge with its lineage and evidence, as one JSON document with a digest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from judge_serve.judging.calibration import Calibration
from judge_serve.judging.canaries import CanaryAnswers
from judge_serve.judging.content_key import digest_of
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.judge import Judge
from judge_serve.judging.judgment import Judgment

MAX_RELEASE_BYTES = 1_000_000
SHORT_ID_CHARS = 12


class Release(BaseModel):
    """What is registered and deployed; equal content has an equal digest.

    Attributes:
        calibration: turns what the judge answers into what people would have said; None leaves it as it is.
        parents: digests of the releases it was derived from.
        evidence: figures of baseline and winner on held-out data; empty for an unmeasured baseline.
        canaries: what its model answered to the canaries when it was made; None in releases of version 0.1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int = Field(1, ge=1, le=1)
    name: str = Field("relevance", pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")
    judge: Judge
    calibration: Calibration | None = None
    parents: tuple[str, ...] = ()
    evidence: dict[str, Any] = {}
    # left out where there are none, so that releases of earlier versions keep their digests
    canaries: CanaryAnswers | None = Field(None, exclude_if=lambda canaries: canaries is None)

    @model_validator(mode="after")
    def _check_calibration(self) -> Release:
        if self.calibration is not None and self.calibration.fitted_on.judge != self.judge.digest:
            raise ValueError("the calibration was fitted for another judge; calibrate this one")
        return self

    def calibrated(self, judgment: Judgment) -> Judgment:
        """What the release answers where its judge gave a judgment; apply it once, to what came from the judge.

        `expected_rating` becomes the calibrated value and `rating` its rounding, in any mode. The raw reply and an
        invalid judgment stay, and so does everything where the release has no calibration.
        """
        if self.calibration is None or judgment.value is None:
            return judgment
        scale = self.judge.task.scale
        value = self.calibration.value(judgment.value, scale)
        return replace(judgment, expected_rating=value, rating=scale.nearest(value))

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Release:
        """A copy that takes its own digest."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("digest", None)
        return copied

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON of everything else."""
        return digest_of(self.model_dump(mode="json"))

    @property
    def id(self) -> str:
        """The digest prefix by which people name a release."""
        return self.digest[:SHORT_ID_CHARS]

    def to_json(self) -> str:
        """The document with its digest, indented for people."""
        document = {**self.model_dump(mode="json"), "digest": self.digest}
        return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str = "release") -> Release:
        """Read a document and check its digest.

        Raises: RefusedInputError if it is too large, malformed or was changed after its digest was taken.
        """
        if len(text.encode("utf-8", "surrogatepass")) > MAX_RELEASE_BYTES:
            raise RefusedInputError(f"{source}: larger than {MAX_RELEASE_BYTES} bytes; a release holds text only")
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise RefusedInputError(f"{source}: not a JSON release document ({error})") from error
        return cls.from_document(document, source)

    @classmethod
    def from_document(cls, document: Any, source: str = "release") -> Release:
        """Check a parsed document; same errors as `from_json`."""
        if not isinstance(document, dict) or "digest" not in document:
            raise RefusedInputError(f"{source}: a release is a JSON object with a 'digest'; export it again")
        content = {key: value for key, value in document.items() if key != "digest"}
        try:
            release = cls.model_validate(content)
            digest = release.digest
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise RefusedInputError(f"{source}: {where}: {first['msg']}") from error
        except (ValueError, RecursionError) as error:  # evidence that has no JSON form, nested too deep
            raise RefusedInputError(f"{source}: not a JSON release document ({error})") from error
        if digest != document["digest"]:
            raise RefusedInputError(
                f"{source}: digest {str(document['digest'])[:SHORT_ID_CHARS]} does not match its content "
                f"({release.id}); it was changed after release, import the original"
            )
        return release

    @classmethod
    def from_file(cls, path: Path) -> Release:
        """Read a `release.json`; same errors as `from_json`."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RefusedInputError(f"{path}: not a readable release file ({error})") from error
        return cls.from_json(text, str(path))
