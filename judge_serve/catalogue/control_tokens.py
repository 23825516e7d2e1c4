"""Control tokens of a model, read from the files of its tokenizer: what a document must not be able to form.

Read are the added tokens that count as special, and those others that the chat template writes. Files that are missing
or cannot be read say nothing; then the general rule of `rendering.escape` is all there is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from judge_serve.judging.rendering import still_whole

MAX_TOKEN_CHARS = 200
FindFile = Callable[[str], Path | None]


def in_folder(folder: Path) -> FindFile:
    """Finds the files of a model folder."""

    def find(name: str) -> Path | None:
        return folder / name if (folder / name).is_file() else None

    return find


def in_hugging_face_cache(repository: str, revision: str | None = None) -> FindFile:
    """Finds the files of a repository in the local Hugging Face cache; nothing is downloaded."""

    def find(name: str) -> Path | None:
        from huggingface_hub import try_to_load_from_cache

        try:
            found = try_to_load_from_cache(repository, name, revision=revision)
        except (OSError, ValueError):  # no id of a repository
            return None
        return Path(found) if isinstance(found, str) else None

    return find


def control_tokens(find: FindFile) -> tuple[str, ...]:
    """The tokens that `escape` has to be told of, sorted."""
    config = _json(find("tokenizer_config.json"))
    template = "\n".join(_texts(config.get("chat_template"), _text(find("chat_template.jinja"))))
    added = [*_entries(config), *_mapped(_json(find("special_tokens_map.json")))]
    if not config.get("added_tokens_decoder"):  # the large file is read only where the small ones do not tell
        added += _entries(_json(find("tokenizer.json")))
    added += [(token, False) for token in _json(find("added_tokens.json"))]
    added += _entries(_json(find("tekken.json")))
    # SentencePiece writes a space before a word as U+2581
    stripped = [(token.strip("\u2581 "), is_special) for token, is_special in added]
    return still_whole(
        token
        for token, is_special in stripped
        if 1 < len(token) <= MAX_TOKEN_CHARS and (is_special or (token.strip() and token in template))
    )


def _entries(document: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Added tokens in the forms of tokenizer.json, tokenizer_config.json and Mistral's tekken.json."""
    yield from _mapped(document)
    decoder = document.get("added_tokens_decoder")
    lists = [document.get("added_tokens"), list(decoder.values()) if isinstance(decoder, dict) else None]
    for entry in (entry for entries in lists if isinstance(entries, list) for entry in entries):
        if isinstance(entry, dict) and isinstance(entry.get("content"), str):
            yield entry["content"], bool(entry.get("special"))
    specials = document.get("special_tokens")
    for entry in specials if isinstance(specials, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("token_str"), str):
            yield entry["token_str"], True


def _mapped(document: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Tokens with a role: `eos_token`, `additional_special_tokens` and the like, as texts or objects."""
    for name, value in document.items():
        if name.endswith(("_token", "_special_tokens")):
            for entry in value if isinstance(value, list) else [value]:
                content = entry.get("content") if isinstance(entry, dict) else entry
                if isinstance(content, str):
                    yield content, True


def _texts(*values: Any) -> Iterator[str]:
    """Chat templates: one, or several of them with names."""
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield from _texts(*(entry.get("template") for entry in value if isinstance(entry, dict)))


def _json(file: Path | None) -> dict[str, Any]:
    try:
        document = json.loads(_text(file) or "{}")
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _text(file: Path | None) -> str | None:
    try:
        return file.read_text(encoding="utf-8") if file else None
    except (OSError, ValueError):
        return None
