"""The judging application: `build` assembles model deployments and the judge ingress in front of them.

Ray Serve imports it by path, from a config file or a RayService; it gets models in `args`, releases in the
ingress's `user_config`, secrets from the environment, and nothing else.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from ray import serve
from ray.serve.deployment import Application

from judge_serve.catalogue.served_model import ServedModel
from judge_serve.serving.ingress import JudgeIngress, api

INGRESS = "JudgeIngress"
MAX_ONGOING_REQUESTS = 256  # per ingress replica, judge calls of batches not counted


class AppArgs(BaseModel):
    """Arguments of `build`, as they stand in a Serve config file."""

    model_config = ConfigDict(extra="forbid")

    models: list[ServedModel] = Field(min_length=1)


def build(args: dict[str, Any]) -> Application:
    """Serve's application builder."""
    from judge_serve.serving.models import build_model  # vLLM, needed on the building node only

    models = AppArgs.model_validate(args).models
    handles = {f"model_{index}": (model.name, build_model(model)) for index, model in enumerate(models)}
    ingress = serve.deployment(
        serve.ingress(api)(JudgeIngress), name=INGRESS, max_ongoing_requests=MAX_ONGOING_REQUESTS
    )
    return ingress.bind(**handles)
