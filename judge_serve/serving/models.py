"""Models on Ray Serve: a served model's settings -> `LLMConfig` -> vLLM deployment with a plain-data method."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

from ray.serve.deployment import Application
from ray.serve.llm import LLMConfig, build_llm_deployment
from ray.serve.llm.deployment import LLMServer
from ray.serve.llm.openai_api_models import ChatCompletionRequest, ErrorResponse

from judge_serve.catalogue.served_model import DEPLOYMENT_PREFIX, ServedModel


class JudgeModel(LLMServer):
    """vLLM replica that also answers plain dictionaries, so that callers need not import vLLM."""

    async def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer one chat-completions body, not streamed: the completion, or `{"error": {code, message}}`."""
        try:
            request = ChatCompletionRequest.model_validate({**body, "stream": False})
        except ValueError as error:
            return _error(400, str(error))
        async for answer in await self.chat(request):
            if isinstance(answer, ErrorResponse):
                return _error(answer.error.code, answer.error.message)
            completion: dict[str, Any] = answer.model_dump(mode="json")
            return completion
        return _error(500, "the engine ended without an answer")

    async def stream(self, body: dict[str, Any]) -> AsyncGenerator[str, None]:
        """Answer one chat-completions body as server-sent events."""
        try:
            request = ChatCompletionRequest.model_validate({**body, "stream": True})
        except ValueError as error:
            yield _event(_error(400, str(error)))
            return
        async for answers in await self.chat(request):
            for answer in answers if isinstance(answers, list) else [answers]:
                if isinstance(answer, ErrorResponse):
                    yield _event(_error(answer.error.code, answer.error.message))
                else:
                    yield answer


def build_model(model: ServedModel) -> Application:
    """The vLLM deployment of one model, ready to be bound into an application."""
    return build_llm_deployment(llm_config(model), name_prefix=DEPLOYMENT_PREFIX, deployment_cls=JudgeModel)


def llm_config(model: ServedModel) -> LLMConfig:
    """Ray Serve LLM's configuration of a served model."""
    engine: dict[str, Any] = {"max_model_len": model.max_model_len, "dtype": model.dtype, **model.engine_options}
    if model.revision.startswith("commit:"):  # the weights that the model's identity names, whatever `main` is now
        commit = model.revision.removeprefix("commit:")
        engine |= {"revision": commit, "tokenizer_revision": commit}
    environment = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    hardware: dict[str, Any]
    if model.gpus:
        engine.setdefault("tensor_parallel_size", model.gpus)
        hardware = {"accelerator_type": model.accelerator_type} if model.accelerator_type else {}
    else:
        hardware = {"accelerator_config": {"kind": "cpu"}}
        # vLLM 0.29 dies of a seeded request whose prompt it reads in pieces ("CPU Generator does not use offset")
        engine.setdefault("enable_chunked_prefill", False)
        environment["VLLM_CPU_KVCACHE_SPACE"] = str(model.kv_cache_gb)
        if model.cpu_cores:
            environment["VLLM_CPU_OMP_THREADS_BIND"] = model.cpu_cores
    deployment: dict[str, Any] = {
        "autoscaling_config": {
            "min_replicas": model.min_replicas,
            "max_replicas": model.max_replicas,
            "target_ongoing_requests": max(1, model.max_concurrent_calls // 2),
        },
        "max_ongoing_requests": model.max_concurrent_calls,
        "ray_actor_options": {"num_cpus": model.num_cpus},
    }
    return LLMConfig(
        model_loading_config={"model_id": model.name, "model_source": _folder_or_id(model.source)},
        engine_kwargs=engine,
        deployment_config=deployment,
        runtime_env={"env_vars": environment},
        log_engine_metrics=False,
        **hardware,
    )


def _folder_or_id(source: str) -> str:
    if source != "embedded":
        return source
    from judge_serve.serving.embedded_model import ensure_embedded_model
    from judge_serve.serving.home import models_dir

    return str(ensure_embedded_model(models_dir()))


def _error(code: int, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


def _event(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body)}\n\n"
