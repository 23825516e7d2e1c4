"""Configs of the commands: frozen values from defaults, a TOML file and flags, saved with each run."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from judge_serve.judging.catalogue import EMBEDDED, Prices, prices_of
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.judgment import AnswerMode
from judge_serve.judging.votes import MAX_SAMPLES
from optimize_workers.evidence.gate_config import GateConfig

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
DEFAULT_JUDGE = EXAMPLES / "judge.toml"
DEFAULT_MODE = AnswerMode.GENERATE
MAX_SEED = 2**32 - 1  # numpy's and Optuna's, which gets one more
SPLIT_PATTERN = "^(train|val|test)$"
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3)]  # blanks say nothing
AnyConfig = TypeVar("AnyConfig", bound="CommandConfig")


class CommandConfig(BaseModel):
    """Base of all command configs."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class JudgeChoice(CommandConfig):
    """A judge by `release`, or by `judge` file, `model` and `mode` (the shipped judge on the embedded model).

    Beside a release, `model` only says where its model is; `judge` and `mode` are part of the release.
    """

    release: str | None = None
    model: str | None = None
    judge: Path | None = None
    mode: AnswerMode | None = None

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


class RunConfig(CommandConfig):
    """Base of commands with a run's folder that can be resumed: what was judged comes from the ledger."""

    out: Path
    resume: bool = False

    def saved(self) -> dict[str, Any]:
        """What the folder keeps and a resumed run must repeat."""
        return self.model_dump(mode="json", exclude={"resume"})


class EvaluateConfig(JudgeChoice, RunConfig):
    """Config of `evaluate`.

    Attributes:
        repeats: how often each example is judged, to see the noise; once by default.
        temperature: in place of the judge file's.
        rankings: ranked lists of the judged pairs, to be evaluated under human and judge labels.
        k: rank that their NDCG stops at.
    """

    data: str
    split: str = Field("test", pattern=SPLIT_PATTERN)
    limit: int | None = Field(None, ge=1)
    repeats: int | None = Field(None, ge=2, le=MAX_SAMPLES)
    temperature: float | None = Field(None, ge=0.0, le=2.0)
    rankings: str | None = None
    k: int = Field(10, ge=1)

    @model_validator(mode="after")
    def _check_temperature(self) -> EvaluateConfig:
        if self.temperature is not None and self.release is not None:
            raise ValueError("--temperature cannot be given beside --release, which holds it")
        return self


class OptimizeConfig(RunConfig):
    """Config of `optimize`.

    Attributes:
        budget: judge calls of the search, on train and val.
        max_tokens: prompt and completion tokens of the search, of judging and reflecting.
        max_usd: the same in US dollars.
        price: US dollars per million tokens by model name, over those of the catalogue.
        limit: held-out examples that baseline and winner are compared on at most; 0 is all.
        bullets: file that optimizer `bullets` chooses from; the library by default.
        max_bullets: how many may be chosen, beyond those that the judge holds already.
        calibrate: calibrate the winner on train before the test split is opened, with judge calls beside the budget.
        rules: limits of the gate.
    """

    data: str
    optimizer: str
    judge: Path = DEFAULT_JUDGE
    model: str = EMBEDDED
    reflection_model: str | None = None
    mode: AnswerMode = DEFAULT_MODE
    budget: int = Field(300, ge=1)
    max_tokens: int | None = Field(None, ge=1)
    max_usd: float | None = Field(None, gt=0)
    price: dict[str, Prices] = {}
    seed: int = Field(0, ge=0, lt=MAX_SEED)
    limit: int = Field(200, ge=0)
    bullets: Path | None = None
    max_bullets: int | None = Field(None, ge=1)
    calibrate: bool = False
    rules: GateConfig = GateConfig()

    @model_validator(mode="after")
    def _check_bullets(self) -> OptimizeConfig:
        given = [f"--{key.replace('_', '-')}" for key in ("bullets", "max_bullets") if getattr(self, key) is not None]
        if given and self.optimizer != "bullets":
            raise ValueError(f"{' and '.join(given)} cannot be given to optimizer {self.optimizer!r}; use 'bullets'")
        return self

    @field_validator("price", mode="before")
    @classmethod
    def _read_prices(cls, given: Any) -> Any:
        if not isinstance(given, list):
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
    """Config of `calibrate`; `limit` bounds the examples of each split, `method` is one of `calibrating.Method`."""

    data: str
    limit: int | None = Field(None, ge=1)
    method: str = Field("auto", pattern="^(auto|affine|isotonic|none)$")


class AblateConfig(CommandConfig):
    """Config of `bullets ablate`; `model` says where the model of the release is, needed for a folder only."""

    data: str
    release: str
    model: str | None = None
    split: str = Field("val", pattern=SPLIT_PATTERN)
    limit: int | None = Field(None, ge=1)


class GateRunConfig(CommandConfig):
    """Config of `gate`.

    Attributes:
        against: release to compare with; by default the champion of its name, else its parent.
        model: where the model of the release is, needed for a folder only.
        adversarial: whether perturbed pairs are judged too.
        adversarial_examples: pairs of each adversarial kind at most.
        limit: held-out examples at most; all by default.
        rules: limits of the gate.
        out: folder of the run; without it nothing is written but the registry.
    """

    data: str
    release: str
    against: str | None = None
    model: str | None = None
    adversarial: bool = True
    adversarial_examples: int = Field(40, ge=1)
    limit: int | None = Field(None, ge=1)
    rules: GateConfig = GateConfig()
    out: Path | None = None
    resume: bool = False

    @model_validator(mode="after")
    def _check_resume(self) -> GateRunConfig:
        if self.resume and self.out is None:
            raise ValueError("--resume needs --out, the folder of the run that it goes on with")
        return self

    def saved(self) -> dict[str, Any]:
        """What the folder keeps and a resumed run must repeat."""
        return self.model_dump(mode="json", exclude={"resume"})


class DemoConfig(CommandConfig):
    """Config of `demo`."""

    quick: bool = False
    budget: int = Field(300, ge=1)
    seed: int = Field(0, ge=0, lt=MAX_SEED)
    out: Path


class ServeConfig(JudgeChoice):
    """Config of `serve`; `force` is the reason for serving a release to others that has not passed the gate.

    Where neither release nor judge, model or mode is named, the champion is served if there is one.
    """

    host: str = "127.0.0.1"
    port: int = Field(8_000, ge=1, le=65_535)
    force: Reason | None = None

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
    """Config of `deploy` and `rollback`; `force` is the reason for overriding the gate."""

    release: str
    force: Reason | None = None


class LabelConfig(CommandConfig):
    """Config of `label`; `model` says where the model of the release is, needed for a folder only."""

    input: str
    release: str
    model: str | None = None
    force: Reason | None = None
    out: Path


def build_config(kind: type[AnyConfig], file: Path | None, flags: dict[str, Any]) -> AnyConfig:
    """Values of a TOML file, overridden by the flags that were given (those not None).

    Raises: RefusedInputError naming the key and what is wrong with it.
    """
    values: dict[str, Any] = {}
    if file is not None:
        try:
            values = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RefusedInputError(f"--config {file}: not a readable TOML file ({error})") from error
    values.update({key: value for key, value in flags.items() if value is not None})
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        option = f"--{key.replace('_', '-')}: " if key else ""
        raise RefusedInputError(f"{option}{first['msg'].removeprefix('Value error, ')}") from error
