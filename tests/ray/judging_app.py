"""The judging application with a simulated model in place of vLLM, for Serve's declarative configuration."""

from __future__ import annotations

from typing import Any

from ray import serve
from ray.serve.deployment import Application

from benchmarks.simulated_serving import build_model
from judge_serve.serving.app import INGRESS, AppArgs
from judge_serve.serving.ingress import JudgeIngress, api


def build(args: dict[str, Any]) -> Application:
    """As `judge_serve.serving.app.build`, whose ingress it takes."""
    (model,) = AppArgs.model_validate(args).models
    simulated = build_model({"engine": {"model": model.name}})
    return serve.deployment(serve.ingress(api)(JudgeIngress), name=INGRESS).bind(model_0=(model.name, simulated))
