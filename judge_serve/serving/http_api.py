"""HTTP side of the judge: request and answer shapes, problem documents (RFC 9457), the key check."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from judge_serve.judging import AnswerMode, EngineError, InvalidReason, Judgment, RefusedInputError, Release
from judge_serve.judging.errors import TransientError
from judge_serve.serving.auth import load_api_keys

logger = logging.getLogger(__name__)

MAX_QUERY_CHARS = 10_000
MAX_DOCUMENT_CHARS = 1_000_000
MAX_BATCH_ITEMS = 1_000
_PUBLIC_PATHS = frozenset({"/healthz", "/readyz", "/openapi.json", "/docs"})


class JudgeRequest(BaseModel):
    """One query-document pair."""

    model_config = ConfigDict(extra="forbid")

    query: str = Field(min_length=1, max_length=MAX_QUERY_CHARS)
    document: str = Field(min_length=1, max_length=MAX_DOCUMENT_CHARS)


class BatchRequest(BaseModel):
    """Several pairs, answered in order."""

    model_config = ConfigDict(extra="forbid")

    items: list[JudgeRequest] = Field(min_length=1, max_length=MAX_BATCH_ITEMS)


class JudgeAnswer(BaseModel):
    """A judgment: `rating` is null exactly when `invalid_reason` is set."""

    rating: int | None
    expected_rating: float | None = None
    explanation: str | None = None
    invalid_reason: InvalidReason | None = None
    release: str
    model: str
    mode: AnswerMode
    latency_ms: float


class BatchAnswer(BaseModel):
    """Answers in the order of the items."""

    items: list[JudgeAnswer]


class ReleaseAnswer(BaseModel):
    """What the endpoint runs; `config_error` says why a newer configuration was not taken."""

    release: str | None
    document: dict[str, Any] | None
    config_error: str | None = None


def new_api() -> FastAPI:
    """A FastAPI application with the key check and problem documents, without routes."""
    api = FastAPI(title="relevance-judge", description="Rates how relevant a document is to a query.", version="1")
    api.add_exception_handler(HTTPException, _on_http_error)  # type: ignore[arg-type]
    api.add_exception_handler(RequestValidationError, _on_bad_request)  # type: ignore[arg-type]
    api.add_exception_handler(EngineError, _on_engine_error)  # type: ignore[arg-type]
    api.add_exception_handler(ExceptionGroup, _on_batch_error)  # type: ignore[arg-type]
    api.middleware("http")(_check_key)
    return api


def to_answer(judgment: Judgment, release: Release, latency_s: float) -> JudgeAnswer:
    """The answer for a judgment; `latency_s` is what the endpoint took."""
    return JudgeAnswer(
        rating=judgment.rating,
        expected_rating=judgment.expected_rating,
        explanation=judgment.explanation,
        invalid_reason=judgment.invalid_reason,
        release=release.id,
        model=judgment.model,
        mode=judgment.mode,
        latency_ms=round(latency_s * 1_000, 1),
    )


def problem(status: int, title: str, detail: str, **more: Any) -> JSONResponse:
    """An RFC 9457 problem document."""
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return JSONResponse(content, status_code=status, media_type="application/problem+json")


async def _on_http_error(_request: Request, error: HTTPException) -> JSONResponse:
    answer = problem(error.status_code, "request not served", str(error.detail))
    answer.headers.update(error.headers or {})
    return answer


async def _on_bad_request(_request: Request, error: RequestValidationError) -> JSONResponse:
    errors = [{"field": ".".join(map(str, e["loc"])), "message": e["msg"]} for e in error.errors()]
    return problem(422, "request does not match the schema", errors[0]["message"], errors=errors)


async def _on_engine_error(_request: Request, error: EngineError) -> JSONResponse:
    return problem(503 if isinstance(error, TransientError) else 502, "the model did not answer", str(error))


async def _on_batch_error(_request: Request, group: ExceptionGroup[Exception]) -> JSONResponse:
    first = group.exceptions[0]
    if isinstance(first, EngineError):
        return await _on_engine_error(_request, first)
    raise first


async def _check_key(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    if request.url.path in _PUBLIC_PATHS:  # a broken keys file must not look like a dead process
        return await call_next(request)
    try:
        keys = load_api_keys()
    except RefusedInputError as error:
        logger.error("nobody is let in: %s", error)
        return problem(503, "keys not readable", "the endpoint's keys file is unusable; see its log")
    if keys is not None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not keys.accepts(key):
            refusal = problem(401, "not authorized", "send 'Authorization: Bearer KEY' with a known key")
            refusal.headers["WWW-Authenticate"] = "Bearer"
            return refusal
    return await call_next(request)
