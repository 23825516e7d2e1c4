"""Bullets: one-line guidelines with their sources, and the files that hold them.

A file is JSON Lines with the fields of `Bullet` where its name ends in `.jsonl`, and plain text otherwise: one bullet a
line, empty lines and those that begin with `#` left out. Bullets of equal text are merged, wherever they stand.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from judge_serve.judging.content_key import digest_of_text
from judge_serve.judging.errors import RefusedInputError

ID_CHARS = 12
_JSON_LINES = ".jsonl"


class Source(BaseModel):
    """An example that a bullet was written from, with the human's reason."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    query_id: str = Field(min_length=1)
    doc_id: str = Field(min_length=1)
    explanation: str = ""
    split: str = Field("train", pattern="^(train|val|test)$")


class Bullet(BaseModel):
    """A guideline that a judge may be given.

    Attributes:
        text: one non-empty line, without white space around it.
        author: who wrote it; empty if nobody said so.
        created_at: ISO date or time; empty if unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    author: str = ""
    created_at: str = ""
    sources: tuple[Source, ...] = ()

    @field_validator("text")
    @classmethod
    def _check_text(cls, text: str) -> str:
        text = text.strip()
        if len(text.splitlines()) != 1:
            raise ValueError("a bullet is one non-empty line")
        return text

    @field_validator("created_at")
    @classmethod
    def _check_date(cls, created_at: str) -> str:
        if created_at:
            datetime.fromisoformat(created_at)
        return created_at

    @property
    def id(self) -> str:
        """The digest prefix of the text, by which people and steps name a bullet."""
        return digest_of_text(self.text)[:ID_CHARS]


def read_bullets(path: Path) -> list[Bullet]:
    """The bullets of a file in their order, those of equal text merged.

    Raises: RefusedInputError with file and line for anything that is no bullet, and for a file without any.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedInputError(f"{path}: not a readable file of bullets ({error})") from error
    bullets = merge_equal(_read_lines(path, text))
    if not bullets:
        raise RefusedInputError(f"{path}: no bullets in it; write one a line")
    return bullets


def merge_equal(bullets: Iterable[Bullet]) -> list[Bullet]:
    """Bullets in their order, each text once: the first stays, the sources of its equals are added to it."""
    merged: dict[str, Bullet] = {}
    for bullet in bullets:
        first = merged.setdefault(bullet.text, bullet)
        sources = tuple(dict.fromkeys([*first.sources, *bullet.sources]))
        merged[bullet.text] = first.model_copy(update={"sources": sources})
    return list(merged.values())


def write_bullets(path: Path, bullets: Iterable[Bullet]) -> None:
    """Write JSON Lines; the file appears whole or not at all.

    Raises: RefusedInputError if the name does not end in `.jsonl`, or the file cannot be written.
    """
    if path.suffix != _JSON_LINES:
        raise RefusedInputError(f"{path}: expected a name that ends in {_JSON_LINES}")
    lines = [json.dumps(bullet.model_dump(mode="json"), ensure_ascii=False) + "\n" for bullet in bullets]
    scratch = path.with_name(f".{path.name}.tmp")
    try:
        scratch.write_text("".join(lines), encoding="utf-8")
        scratch.rename(path)
    except OSError as error:
        raise RefusedInputError(f"{path} cannot be written ({error.strerror or error}); choose another") from error


def _read_lines(path: Path, text: str) -> Iterator[Bullet]:
    is_json = path.suffix == _JSON_LINES
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.strip()
        if not line or (line.startswith("#") and not is_json):
            continue
        try:
            values: Any = json.loads(line) if is_json else {"text": line}
            yield Bullet.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            message = f"{where}: {first['msg']}" if where else first["msg"]
            raise RefusedInputError(f"{message} ({path}:{number})") from error
        except (ValueError, RecursionError) as error:
            raise RefusedInputError(f"not a JSON object ({path}:{number}): {error}") from error
