"""Configs of `serve`, `deploy` and `check`, and the choice of a judge that other commands' configs hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from cluster.runs.config import CommandConfig, ModelOfRelease, OverrideReason, ReleaseReference
from judge_serve.catalogue.entries import EMBEDDED
from judge_serve.judging.judgment import AnswerMode

_PACKAGED = Path(__file__).resolve().parents[1] / "examples"  # where the wheel has them, see setup.py
EXAMPLES = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).resolve().parents[2] / "examples"
DEFAULT_JUDGE = EXAMPLES / "judge.toml"
DEFAULT_MODE = AnswerMode.GENERATE


class JudgeChoice(CommandConfig):
    """A judge by `release`, or by `judge` file, `model` and `mode` (the shipped judge on the embedded model).

    Beside a release, `model` only says where its model is; `judge` and `mode` are part of the release.
    """

    release: str | None = Field(None, description="Release: id, alias or path; it holds its judge and mode.")
    model: str | None = Field(
        None,
        description="embedded (the default), catalogue name, folder, Hugging Face id, http(s)://host/v1#name, "
        "endpoint file.",
    )
    judge: Path | None = Field(None, description="Judge file (TOML); the shipped one by default.")
    mode: AnswerMode | None = Field(None, description="How a rating is read; generate by default.")

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: dict[str, Any]) -> dict[str, Any]:
        return fill_in_judge(values)


def fill_in_judge(values: dict[str, Any]) -> dict[str, Any]:
    """The shipped judge on the embedded model where no release is named.

    Raises: ValueError if a release is given with what it holds.
    """
    if values.get("release") is None:
        return {"model": EMBEDDED, "judge": DEFAULT_JUDGE, "mode": DEFAULT_MODE, **values}
    given = [f"--{key}" for key in ("judge", "mode") if values.get(key) is not None]
    if given:
        raise ValueError(f"{' and '.join(given)} cannot be given beside --release, which holds them")
    return values


class ServeConfig(JudgeChoice):
    """Config of `serve`; `force` is the reason for serving a release to others that has not passed the gate.

    Where neither release nor judge, model or mode is named, the champion is served if there is one.
    """

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8_000, ge=1, le=65_535, description="Port to listen on.")
    force: OverrideReason = None

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: dict[str, Any]) -> dict[str, Any]:
        names_one = any(values.get(key) is not None for key in ("release", "model", "judge", "mode"))
        return fill_in_judge(values) if names_one else values

    @property
    def names_nothing(self) -> bool:
        """Whether it is left open what is served."""
        return self.release is None and self.model is None and self.judge is None and self.mode is None


class DeployConfig(CommandConfig):
    """Config of `deploy`."""

    release: ReleaseReference
    force: OverrideReason = None


class CheckConfig(CommandConfig):
    """Config of `check`."""

    release: ReleaseReference
    model: ModelOfRelease = None


class RollbackConfig(CommandConfig):
    """Config of `rollback`."""

    force: OverrideReason = None
