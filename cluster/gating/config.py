"""Config of `gate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from cluster.runs.config import CommandConfig
from optimize_workers.evidence.gate.config import GateConfig


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
