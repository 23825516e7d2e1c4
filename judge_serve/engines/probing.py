"""Probing: whether an endpoint is one of vLLM, which can be held to the digits of a scale; asked once a session."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any

import httpx

from judge_serve.engines.http import HttpEngineConfig
from judge_serve.engines.proxies import told_of_proxies

logger = logging.getLogger(__name__)

PROBE_S = 5.0
FIRST_STRUCTURED = (0, 11)  # the first version of vLLM that knows `structured_outputs`; earlier ones ignore it


def recognised(config: HttpEngineConfig, api_key: str | None = None) -> HttpEngineConfig:
    """The config, told whether vLLM answers: its list of models says who owns them, and its version is new enough.

    A probe that fails, whatever the reason, changes nothing: then replies are not constrained in mode `expected`, and
    their digit mass tells.
    """
    if config.is_vllm:
        return config
    try:
        is_vllm = asyncio.run(_is_vllm(config, api_key))
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError, RecursionError) as error:
        logger.debug("endpoint %s was not probed (%s)", config.base_url, type(error).__name__)
        return config
    return config.model_copy(update={"is_vllm": is_vllm})


async def _is_vllm(config: HttpEngineConfig, api_key: str | None) -> bool:
    base = config.base_url.rstrip("/")
    with told_of_proxies():
        client = httpx.AsyncClient(headers=config.key_headers(api_key), params=config.query, timeout=PROBE_S)
    async with client, asyncio.timeout(PROBE_S):
        if not _is_owned_by_vllm(_json(await client.get(f"{base}/models")), config.model):
            return False
        version = _version(_json(await client.get(f"{base.removesuffix('/v1')}/version")))
    return version is None or version >= FIRST_STRUCTURED


def _json(response: httpx.Response) -> Any:
    return response.json() if response.status_code == httpx.codes.OK else None


def _is_owned_by_vllm(models: Any, name: str) -> bool:
    listed = models.get("data") if isinstance(models, dict) else None
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    mine = [entry for entry in entries if entry.get("id") == name] or entries
    return bool(mine) and all(entry.get("owned_by") == "vllm" for entry in mine)


def _version(answer: Any) -> tuple[int, int] | None:
    """Major and minor of vLLM's version; None where it does not say, as behind a proxy."""
    said = answer.get("version") if isinstance(answer, dict) else None
    found = re.match(r"(\d+)\.(\d+)", said) if isinstance(said, str) else None
    return (int(found[1]), int(found[2])) if found else None
