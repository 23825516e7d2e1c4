"""Which model answers: its name, what pins its weights, what else changes its answers; never the address."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from judge_serve.judging.content_key import digest_of

ENDPOINT = "endpoint"  # revision of what only an endpoint shows of itself
UNKNOWN = "unknown"
ID_CHARS = 12
_PINNED = ("commit:", "content:", "sha256:")


def _is_none(value: Any) -> bool:
    return value is None


class ModelIdentity(BaseModel):
    """What answers, as it is served or as an endpoint shows it; what is left out of its JSON leaves old digests alone.

    Attributes:
        name: as served or asked for.
        revision: `commit:` (Hugging Face), `content:` (a folder) or `sha256:` (as published) pin the weights;
            `endpoint` and `unknown` do not. Version 0.1 wrote the address of an endpoint here.
        reported: the name that an endpoint gives to the model that answered.
        dtype: of the weights, where the model is not served as its catalogue entry or folder says.
        engine_options: (name, value) of vLLM options that change answers, quantization among them.
        scope: how often its answers were seen to change before, in one ledger; no release holds it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    revision: str = UNKNOWN
    reported: str | None = Field(None, exclude_if=_is_none)
    dtype: str | None = Field(None, exclude_if=_is_none)
    engine_options: tuple[tuple[str, str], ...] = Field((), exclude_if=lambda options: not options)
    scope: int = Field(0, ge=0, exclude_if=lambda scope: not scope)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON."""
        return digest_of(self.model_dump(mode="json"))

    @property
    def id(self) -> str:
        """The digest prefix that judgments and results name it by."""
        return self.digest[:ID_CHARS]

    @property
    def is_pinned(self) -> bool:
        """Whether the weights are known by their content, so that they cannot change under this name."""
        return self.revision.startswith(_PINNED)

    @property
    def address(self) -> str | None:
        """The address of an endpoint, which version 0.1 took for a revision."""
        return self.revision if "://" in self.revision else None

    @property
    def words(self) -> str:
        """For people: the name and what is known beside it."""
        known = [f"revision {self.revision}"] if self.revision not in (ENDPOINT, UNKNOWN) else []
        known += [f"reported as {self.reported!r}"] if self.reported not in (None, self.name) else []
        known += [f"dtype {self.dtype}"] if self.dtype else []
        known += [f"{name} {value}" for name, value in self.engine_options]
        return f"{self.name!r}" + (f" ({', '.join(known)})" if known else "")

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> ModelIdentity:
        """A copy that takes its own digest."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("digest", None)
        return copied

    def in_scope(self, scope: int) -> ModelIdentity:
        """The same model in a scope of the ledger; see `scope`."""
        return self if scope == self.scope else self.model_copy(update={"scope": scope})
