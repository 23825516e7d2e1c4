"""Configs of `evaluate`, `optimize` and `calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from cluster.endpoint.config import DEFAULT_JUDGE, DEFAULT_MODE, JudgeChoice
from cluster.runs.config import LabelledData, MaxInFlight, RunConfig, Split
from judge_serve.catalogue.entries import EMBEDDED, Prices, prices_of
from judge_serve.judging.judgment import AnswerMode
from judge_serve.judging.votes import MAX_SAMPLES
from optimize_workers.evidence.gate.config import GateConfig
from optimize_workers.optimizers import OPTIMIZERS, check_optimizer

MAX_SEED = 2**32 - 1  # numpy's and Optuna's, which gets one more
# of `optimize_workers.evidence.calibration_fit.Method`, which imports libraries that take seconds; a test compares them
MethodName = Literal["auto", "none", "affine", "isotonic"]


class EvaluateConfig(JudgeChoice, RunConfig):
    """Config of `evaluate`."""

    data: LabelledData
    split: Split = Field("test", description="Split to measure on.")
    limit: int | None = Field(None, ge=1, description="At most this many examples, drawn by a fixed seed.")
    repeats: int | None = Field(
        None, ge=2, le=MAX_SAMPLES, description="Times to judge each example, to see the noise."
    )
    temperature: float | None = Field(None, ge=0.0, le=2.0, description="In place of the judge file's temperature.")
    rankings: str | None = Field(
        None, description="Ranked lists of these pairs: their NDCG under human and judge labels."
    )
    k: int = Field(10, ge=1, description="Rank that NDCG stops at.")
    max_in_flight: MaxInFlight = None

    @model_validator(mode="after")
    def _check_temperature(self) -> EvaluateConfig:
        if self.temperature is not None and self.release is not None:
            raise ValueError("--temperature cannot be given beside --release, which holds it")
        return self


class OptimizeConfig(RunConfig):
    """Config of `optimize`."""

    data: LabelledData
    optimizer: Annotated[str, AfterValidator(check_optimizer)] = Field(
        description=f"How a better prompt is searched: {', '.join(OPTIMIZERS)}."
    )
    judge: Path = Field(DEFAULT_JUDGE, description="Judge file (TOML); its prompt is the baseline.")
    model: str = Field(
        EMBEDDED,
        description="embedded, catalogue name, folder, Hugging Face id, http(s)://host/v1#name, endpoint file.",
    )
    reflection_model: str | None = Field(None, description="Model that writes instructions, as --model.")
    mode: AnswerMode = Field(DEFAULT_MODE, description="How a rating is read.")
    budget: int = Field(300, ge=1, description="Judge calls on train and val, baseline included.")
    max_tokens: int | None = Field(
        None, ge=1, description="Prompt and completion tokens of the search, of judging and reflecting."
    )
    max_usd: float | None = Field(None, gt=0, description="US dollars of the search.")
    price: dict[str, Prices] = Field(
        {}, description="NAME=PROMPT/COMPLETION, US dollars per million tokens of a model, over the catalogue's."
    )
    seed: int = Field(0, ge=0, lt=MAX_SEED, description="Seed of the search.")
    limit: int = Field(200, ge=0, description="Compare on at most this many held-out test examples; 0 is all.")
    bullets: Path | None = Field(
        None, description="Bullets to choose from, .jsonl or one a line; the library by default."
    )
    max_bullets: int | None = Field(
        None, ge=1, description="How many bullets may be kept beyond those that the judge holds, 10 by default."
    )
    calibrate: bool = Field(
        False, description="Calibrate the winner on train before the test split, with judge calls beside the budget."
    )
    rules: GateConfig = Field(GateConfig(), description="Limits of the gate.")
    max_in_flight: MaxInFlight = None

    @model_validator(mode="after")
    def _check_bullets(self) -> OptimizeConfig:
        given = [f"--{key.replace('_', '-')}" for key in ("bullets", "max_bullets") if getattr(self, key) is not None]
        if given and self.optimizer != "bullets":
            raise ValueError(f"{' and '.join(given)} cannot be given to optimizer {self.optimizer!r}; use 'bullets'")
        return self

    @field_validator("price", mode="before")
    @classmethod
    def _read_prices(cls, given: Any) -> Any:
        if not isinstance(given, list | tuple):
            return given
        prices = {}
        for text in given:
            name, _, amounts = str(text).rpartition("=")
            prompt, _, completion = amounts.partition("/")
            try:
                prices[name] = {"prompt": float(prompt), "completion": float(completion)}
            except ValueError as error:
                raise ValueError(f"{text!r} is no price, write NAME=PROMPT/COMPLETION, such as o3=2/8") from error
        return prices

    def prices_of(self, model: str) -> Prices | None:
        """What the tokens of a model cost, None if nobody said so."""
        return self.price.get(model) or prices_of(model)


class CalibrateConfig(JudgeChoice, RunConfig):
    """Config of `calibrate`."""

    data: LabelledData
    limit: int | None = Field(None, ge=1, description="At most this many examples of train and of test.")
    method: MethodName = Field("auto", description="auto: the best by cross-validation on train.")
    max_in_flight: MaxInFlight = None
