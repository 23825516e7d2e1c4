"""The settings of a command: those of a file, overridden by flags, checked as a whole."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from cluster.runs.config import CommandConfig
from judge_serve.judging.errors import RefusedInputError

AnyConfig = TypeVar("AnyConfig", bound=CommandConfig)


def build_config(kind: type[AnyConfig], file: Path | None, flags: Mapping[str, Any]) -> AnyConfig:
    """Values of a TOML file or of a run's `config.json`, overridden by flags; None takes out what the file sets.

    Raises: RefusedInputError naming the key and what is wrong with it.
    """
    values = _read_settings(file) if file is not None else {}
    if file is not None and "out" not in flags:
        _check_is_no_repeat(kind, file, {**values, **flags})
    values.update(flags)
    try:
        return kind.model_validate({key: value for key, value in values.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        option = f"--{key.replace('_', '-')}: " if key else ""
        raise RefusedInputError(f"{option}{first['msg'].removeprefix('Value error, ')}") from error


def _read_settings(file: Path) -> dict[str, Any]:
    kind = "JSON" if _is_json(file) else "TOML"
    try:
        text = file.read_text(encoding="utf-8")
        values = json.loads(text) if _is_json(file) else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise RefusedInputError(f"--config {file}: not a readable {kind} file ({error})") from error
    if not isinstance(values, dict):
        raise RefusedInputError(f"--config {file}: expected keys and values, such as a run's config.json holds")
    return values


def _check_is_no_repeat(kind: type[CommandConfig], file: Path, values: Mapping[str, Any]) -> None:
    """Raise RefusedInputError if this is a run's own `config.json`, and would be carried out in the same folder."""
    out = values.get("out")
    if not _is_json(file) or not isinstance(out, str) or values.get("resume"):
        return
    if Path(out).resolve() == file.resolve().parent:
        go_on = ", or --resume to go on with it" if "resume" in kind.model_fields else ""
        raise RefusedInputError(f"--config {file} is of the run in {out}; give another --out to repeat it{go_on}")


def _is_json(file: Path) -> bool:
    return file.suffix == ".json"
