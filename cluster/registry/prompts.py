"""MLflow's prompts as this project uses them: found by filter, page by page; what a version holds is not read here.

A prompt is a name with aliases and tags, a version is a text with tags. Filters keep every question at one or two
queries however many versions there are; MLflow's own way to a single version reads all of its name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from judge_serve.judging.errors import RefusedInputError

DIGEST_TAG = "digest"
_TEXT_TAG = "mlflow.prompt.text"
_PROMPTS_ONLY = "tags.`mlflow.prompt.is_prompt` = 'true'"
_PAGE = 1_000  # what every MLflow store allows
_NAME = re.compile(r"[a-zA-Z0-9_.-]+")


class Version(NamedTuple):
    """A version as it is stored."""

    name: str
    number: int
    text: str
    tags: dict[str, str]
    registered_ms: int  # since 1970


class Head(NamedTuple):
    """What a name holds beside its versions: aliases with the versions they name, and tags."""

    name: str
    aliases: dict[str, int]
    tags: dict[str, str]


class Prompts:
    """The prompts of a registry; each write is one request, each of which may fail."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def heads(self) -> list[Head]:
        """All names."""
        return [*self._heads(_PROMPTS_ONLY)]

    def head(self, name: str) -> Head | None:
        """One name; None where there is none."""
        if not _NAME.fullmatch(name):
            return None
        return next(self._heads(f"name = '{name}' AND {_PROMPTS_ONLY}"), None)

    def versions(
        self, *, name: str | None = None, number: int | None = None, digest_prefix: str | None = None
    ) -> list[Version]:
        """Versions with a digest that fit, oldest first; one without is the prompt of somebody else."""
        clauses = [_PROMPTS_ONLY]
        if name is not None:
            clauses.append(f"name = '{name}'")
        if number is not None:
            clauses.append(f"version_number = {number}")
        if digest_prefix is not None:
            clauses.append(f"tags.{DIGEST_TAG} LIKE '{digest_prefix}%'")
        order = ["name ASC", "version_number ASC"]  # in which pages neither repeat nor skip one
        pages = _pages(partial(self._client.search_model_versions, order_by=order), " AND ".join(clauses))
        found = [_version(stored) for stored in pages if DIGEST_TAG in stored.tags]
        return sorted(found, key=lambda version: (version.name, version.number))

    def add(self, name: str, text: str, description: str, tags: dict[str, str]) -> int:
        """Store a text with its tags as a new version, in one write; returns its number.

        Raises: RefusedInputError if something that is no prompt has the name.
        """
        from mlflow.exceptions import MlflowException

        if self.head(name) is None:
            try:
                self._client.create_prompt(name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                if self.head(name) is None:  # otherwise another process was first
                    raise RefusedInputError(
                        f"MLflow has a model named {name!r}, which no releases can be kept under; "
                        "give the judge's task another name"
                    ) from error
        made = self._client.create_prompt_version(name, text, description, tags)
        return int(made.version)

    def remove(self, name: str, number: int) -> None:
        """Delete a version; its number is not given again."""
        self._client.delete_prompt_version(name, str(number))

    def set_alias(self, name: str, alias: str, number: int) -> None:
        """Let an alias name a version."""
        self._client.set_prompt_alias(name, alias, number)

    def tag_version(self, name: str, number: int, key: str, value: str) -> None:
        """Set a tag of a version."""
        self._client.set_prompt_version_tag(name, number, key, value)

    def tag(self, name: str, key: str, value: str) -> None:
        """Set a tag of a name."""
        self._client.set_prompt_tag(name, key, value)

    def untag(self, name: str, key: str) -> None:
        """Delete a tag of a name."""
        self._client.delete_prompt_tag(name, key)

    def _heads(self, where: str) -> Iterator[Head]:
        for stored in _pages(self._client.search_registered_models, where):
            aliases = {alias: int(number) for alias, number in stored.aliases.items()}
            yield Head(stored.name, aliases, dict(stored.tags))


def _pages(search: Callable[..., Any], where: str) -> Iterator[Any]:
    token = None
    while True:
        page = search(where, max_results=_PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _version(stored: Any) -> Version:
    tags = dict(stored.tags)
    text = tags.pop(_TEXT_TAG, "")
    return Version(stored.name, int(stored.version), text, tags, int(stored.creation_timestamp or 0))
