"""The endpoint file (TOML): how an OpenAI-compatible endpoint is reached, and what is known of it; never its key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from judge_serve.engines.http import HttpEngineConfig
from judge_serve.judging.errors import RefusedInputError

KEY_VARIABLE = "RELEVANCE_JUDGE_MODEL_KEY"
ENDING = ".toml"
_REASONING_MODEL = re.compile(r"(?:^|/)(?:o\d|gpt-5)")  # refuse sampling parameters
_SECRET_NAME = re.compile(
    r"(?:^|[-_.])(?:api[-_]?key|key|token|secret|password|passwd|authorization|bearer|credential|sig|signature)s?$",
    re.IGNORECASE,
)
# keys of OpenAI and many after it, Groq, xAI, Google, Hugging Face, NVIDIA, GitHub, AWS; and whatever names its scheme
_SECRET = re.compile(
    r"^(?:Bearer|Basic) \S|\b(?:sk|gsk|xai|hf|nvapi|ghp|pplx|fw|key)[-_][A-Za-z0-9_-]{16,}|\bAIza[\w-]{20,}"
    r"|\bAKIA[A-Z0-9]{12,}|^[0-9a-fA-F]{32,}$|^eyJ[\w-]{10,}\."
)


def load_endpoint_file(path: Path) -> HttpEngineConfig:
    """Read and check an endpoint file.

    Raises: RefusedInputError naming the file, the field and what is wrong; also where the file holds a key.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RefusedInputError(f"{path}: no such endpoint file") from error
    except (OSError, ValueError) as error:  # unreadable file, bad UTF-8, bad TOML
        raise RefusedInputError(f"{path}: not a readable endpoint file ({error})") from error
    for field, value in _fields(values):
        known = field in HttpEngineConfig.model_fields  # `key_header` says where the key goes, `token_limit` no secret
        if (_SECRET_NAME.search(field) and not known) or (not known and _SECRET.search(value)):
            raise RefusedInputError(
                f"{path}: {field} looks like a key, which an endpoint file never holds; put it into {KEY_VARIABLE}"
            )
    values.setdefault("is_reasoning", is_reasoning(str(values.get("model", ""))))
    try:
        config = HttpEngineConfig.model_validate(values)
    except ValidationError as error:
        raise RefusedInputError(f"{path}: {_first_of(error)}") from error
    check_address(config.base_url, f"{path}: base_url")
    return config


def is_reasoning(model: str) -> bool:
    """Whether a model is one of OpenAI's that think before they answer, by its name."""
    return _REASONING_MODEL.search(model) is not None


def check_address(address: str, named: str) -> None:
    """Raise RefusedInputError unless an address is one of HTTP that holds a host and no secrets."""
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError as error:
        raise RefusedInputError(f"{named} is no address ({error}); write http(s)://host/v1") from error
    if parts.username or parts.password:  # first: the other message repeats the address
        raise RefusedInputError(f"{named}: an endpoint address holds no credentials; put the key into {KEY_VARIABLE}")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise RefusedInputError(f"{named} is {address!r}; write http(s)://host/v1, what follows '?' as [query]")


def _fields(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Names and texts of all values, at every depth."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _fields(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value if isinstance(value, str) else ""


def _first_of(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown field {where!r}; an endpoint file has {', '.join(HttpEngineConfig.model_fields)}"
    return f"{where}: {first['msg']}"
