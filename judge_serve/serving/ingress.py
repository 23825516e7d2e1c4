"""The judge ingress: holds the live release and an engine per model, and answers HTTP.

Releases arrive whole in `user_config`, so that a new prompt goes live without a restart. A request keeps the
release it started with and names it in its answer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, NamedTuple

from fastapi import Response
from fastapi.responses import JSONResponse, StreamingResponse
from ray.serve.handle import DeploymentHandle
from starlette.exceptions import HTTPException

from judge_serve.catalogue.same_model import is_same_name
from judge_serve.engines.serve_handle import ServeHandleEngine
from judge_serve.judging import Engine, Item, JudgeCall, RefusedInputError, Release, judge_item
from judge_serve.judging.content_key import digest_of_text
from judge_serve.serving.http_api import (
    BatchAnswer,
    BatchRequest,
    JudgeAnswer,
    JudgeRequest,
    ReleaseAnswer,
    new_api,
    to_answer,
)

logger = logging.getLogger(__name__)

BATCH_CONCURRENCY = 64  # judge calls of one batch in flight


class _Live(NamedTuple):
    """A release ready to judge."""

    release: Release
    engine: Engine


api = new_api()


class JudgeIngress:
    """HTTP front of the judge: CPU only, any number of replicas."""

    def __init__(self, **models: DeploymentHandle) -> None:
        self._engines: dict[str, ServeHandleEngine] = {}
        self._handles: dict[str, DeploymentHandle] = {}
        for handle_and_name in models.values():
            name, handle = handle_and_name  # type: ignore[misc]
            self._handles[name] = handle
            self._engines[name] = ServeHandleEngine(handle, name)
        self._live: _Live | None = None
        self._config_error: str | None = None

    def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take over a release; keep the last good one and record the reason if the new one is unusable."""
        try:
            self._live = self._prepare(user_config)
            self._config_error = None
            logger.info("release live release=%s", self._live.release.id)
        except RefusedInputError as error:
            self._config_error = str(error)
            logger.error("release refused, keeping the last good one: %s", error)

    def _prepare(self, user_config: Any) -> _Live:
        if not isinstance(user_config, dict) or set(user_config) != {"champion"}:
            raise RefusedInputError("user_config must hold exactly 'champion', a release document")
        release = Release.from_document(user_config["champion"], "user_config.champion")
        name = release.judge.model.name
        engines = [engine for served, engine in self._engines.items() if is_same_name(served, name)]
        if not engines:
            raise RefusedInputError(
                f"release {release.id} needs model {name!r}, this application serves {sorted(self._engines)}"
            )
        return _Live(release, self._engines.get(name, engines[0]))

    def running(self) -> ReleaseAnswer:
        """What this replica runs."""
        release = self._live.release if self._live else None
        document = {**release.model_dump(mode="json"), "digest": release.digest} if release else None
        return ReleaseAnswer(
            release=release.id if release else None, document=document, config_error=self._config_error
        )

    def _require_live(self) -> _Live:
        if self._live is None:
            raise HTTPException(503, "no release is deployed yet; run 'relevance-judge deploy RELEASE'")
        return self._live

    async def _judge(self, live: _Live, pair: JudgeRequest) -> JudgeAnswer:
        started = time.perf_counter()
        item = Item(pair.query, pair.document, digest_of_text(pair.query), digest_of_text(pair.document))
        judgment = await judge_item(JudgeCall(live.release.judge, item), live.engine)
        return to_answer(live.release.calibrated(judgment), live.release, time.perf_counter() - started)

    @api.post("/v1/judge")
    async def judge(self, pair: JudgeRequest) -> JudgeAnswer:
        """Judge one pair."""
        return await self._judge(self._require_live(), pair)

    @api.post("/v1/judge/batch")
    async def judge_batch(self, batch: BatchRequest) -> BatchAnswer:
        """Judge several pairs with one release; answers keep the order of the items."""
        live, slots = self._require_live(), asyncio.Semaphore(BATCH_CONCURRENCY)

        async def judge_one(pair: JudgeRequest) -> JudgeAnswer:
            async with slots:
                return await self._judge(live, pair)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(judge_one(pair)) for pair in batch.items]
        return BatchAnswer(items=[task.result() for task in tasks])

    @api.get("/v1/release")
    async def release(self) -> ReleaseAnswer:
        """The release that answers, and why a newer one was refused, if one was."""
        return self.running()

    @api.get("/v1/models")
    async def models(self) -> dict[str, Any]:
        """The models behind the judge (OpenAI shape)."""
        return {"object": "list", "data": [{"id": name, "object": "model"} for name in sorted(self._handles)]}

    @api.post("/v1/chat/completions", response_model=None)
    async def chat_completions(self, body: dict[str, Any]) -> Response:
        """Chat completion of a model behind the judge (OpenAI shape), streamed if asked."""
        name = body.get("model")
        if not isinstance(name, str) or name not in self._handles:
            raise HTTPException(404, f"model {name!r} is not served here; GET /v1/models lists what is")
        if body.get("stream"):
            events = self._handles[name].options(stream=True).stream.remote(body)
            return StreamingResponse(events, media_type="text/event-stream")
        answer = await self._engines[name].ask(body)
        if "error" in answer:
            raise HTTPException(int(answer["error"]["code"]), str(answer["error"]["message"]))
        return JSONResponse(answer)

    @api.get("/healthz")
    async def healthz(self) -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "ok"}

    @api.get("/readyz")
    async def readyz(self) -> dict[str, str]:
        """Whether a release is live."""
        return {"status": "ready", "release": self._require_live().release.id}
