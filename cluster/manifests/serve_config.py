"""The Serve configuration of a RayService: Ray's schema with closed keys, and what the application makes of it."""

from __future__ import annotations

import importlib
import types
import typing
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel, ValidationError
from ray.serve.config import AutoscalingConfig
from ray.serve.schema import ServeDeploySchema

from cluster.endpoint.application import IMPORT_PATH, INGRESS
from cluster.manifests.ray_kinds import validation_problems
from judge_serve.catalogue.served_model import ServedModel, deployment_name
from judge_serve.serving.app import AppArgs

INGRESS_DEPLOYMENT = INGRESS  # as an application names its ingress


class ServeConfig(NamedTuple):
    """A Serve configuration that Ray accepts."""

    document: dict[str, Any]
    models: list[ServedModel]

    def deployments(self) -> list[dict[str, Any]]:
        """Deployment settings of all applications."""
        return [each for app in self.document["applications"] for each in app.get("deployments", [])]


def parse_serve_config(text: str) -> tuple[ServeConfig | None, list[str]]:
    """The configuration, or None with the reasons.

    Ray's schema drops keys that it does not know and takes any autoscaling bounds, so both are checked here.
    """
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        return None, [f"serveConfigV2 is not YAML: {' '.join(str(error).split())}"]
    if not isinstance(document, dict):
        return None, ["serveConfigV2 holds no mapping; is the replacement from serve-config.yaml in place?"]
    problems = [f"serveConfigV2: unknown key {key}" for key in _unknown_keys(ServeDeploySchema, document, "")]
    try:
        ServeDeploySchema.model_validate(document)
    except ValidationError as error:
        return None, problems + [f"serveConfigV2: {problem}" for problem in validation_problems(error)]
    models: list[ServedModel] = []
    for app in document["applications"]:
        found, reasons = _application(app)
        models += found
        problems += [f"serveConfigV2, application {app.get('name')!r}: {reason}" for reason in reasons]
    http = document.get("http_options") or {}
    if http.get("host", "0.0.0.0") not in {"0.0.0.0", "::"}:
        problems.append(f"serveConfigV2: http_options.host {http['host']!r} is not reachable from other pods")
    return ServeConfig(document, models), problems


def import_problem(path: str) -> str | None:
    """Why `module:attribute` is not a callable that imports here; None if it is."""
    module, _, attribute = path.rpartition(":") if ":" in path else path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        return f"import_path {path!r} does not import: {error}"
    return None if callable(found) else f"import_path {path!r} is a {type(found).__name__}, expected a callable"


def _application(app: dict[str, Any]) -> tuple[list[ServedModel], list[str]]:
    problem = import_problem(app["import_path"])
    if problem:
        return [], [problem]
    problems = [
        f"deployment {each['name']!r}: {reason}"
        for each in app.get("deployments", [])
        for reason in _autoscaling_problems(each.get("autoscaling_config"))
    ]
    if app["import_path"] != IMPORT_PATH:
        return [], problems
    try:
        models = AppArgs.model_validate(app.get("args", {})).models
    except ValidationError as error:
        return [], problems + [f"args: {reason}" for reason in validation_problems(error)]
    for model in models:
        bounds = {"min_replicas": model.min_replicas, "max_replicas": model.max_replicas}
        problems += [f"model {model.name!r}: {reason}" for reason in _autoscaling_problems(bounds)]
    known = {INGRESS, *(deployment_name(model.name) for model in models)}
    for each in app.get("deployments", []):
        if each["name"] not in known:
            problems.append(f"deployment {each['name']!r} is not in the application, which has {sorted(known)}")
    return models, problems


def _autoscaling_problems(settings: Any) -> list[str]:
    if settings is None:
        return []
    try:
        AutoscalingConfig.model_validate(settings)
    except ValidationError as error:
        return [f"autoscaling: {reason}" for reason in validation_problems(error)]
    return []


def _unknown_keys(model: type[BaseModel], document: Any, where: str) -> Iterator[str]:
    """Keys that a pydantic model would drop, at any depth, except within free dictionaries."""
    if not isinstance(document, dict):
        return
    fields = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
    for key, value in document.items():
        path = f"{where}.{key}" if where else str(key)
        if key not in fields:
            yield path
            continue
        nested = _nested_model(fields[key])
        if nested is None:
            continue
        for index, item in enumerate(value if isinstance(value, list) else [value]):
            yield from _unknown_keys(nested, item, f"{path}[{index}]" if isinstance(value, list) else path)


def _nested_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, list):
        found = (_nested_model(each) for each in typing.get_args(annotation))
        return next((each for each in found if each), None)
    return None
