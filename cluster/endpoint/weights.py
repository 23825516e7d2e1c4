"""What pins a model's weights: the commit of a Hugging Face id, the content of a folder, read in a second.

Of a weight file its header is read and a block of each tensor, not the whole: two fine-tunes differ in nearly all of
them. Of what else decides an answer (configuration, tokenizer, chat template, generation settings) small files are
read whole.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from pathlib import Path
from typing import BinaryIO

_WEIGHTS = ("*.safetensors", "*.bin", "*.gguf", "*.pt", "*.pth")
_TEXTS = ("*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken", "*.py", "additional_chat_templates/*.jinja")
_BLOCK_BYTES = 4_096
_MAX_BLOCKS = 1_024  # of one file, 4 MiB
_MAX_WHOLE_BYTES = 4 << 20  # larger files are read in blocks
_MAX_HEADER_BYTES = 64 << 20
_COMMIT = re.compile(r"[0-9a-f]{40}")
HUB_TIMEOUT_S = 5.0
logger = logging.getLogger(__name__)


def content_of(folder: Path) -> str:
    """`content:` and a digest of what decides a folder's answers; raises OSError where it cannot be read."""
    digest = hashlib.sha256()
    for patterns, take in ((_TEXTS, _text_file), (_WEIGHTS, _weight_file)):
        files = {file for pattern in patterns for file in folder.glob(pattern) if file.is_file()}
        for file in sorted(files, key=lambda file: str(file.relative_to(folder))):
            own = hashlib.sha256()
            with file.open("rb") as content:
                take(content, file.stat().st_size, own)
            digest.update(f"{file.relative_to(folder)}\0{own.hexdigest()}\n".encode("utf-8", "surrogatepass"))
    return f"content:{digest.hexdigest()[:16]}"


def folder_revision_of_0_1(folder: Path) -> str:
    """What version 0.1 recorded of a folder: its configuration, and names and sizes of its weights."""
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for file in sorted(folder.glob("*.safetensors")):
        digest.update(f"{file.name}:{file.stat().st_size}".encode())
    return f"folder:{digest.hexdigest()[:12]}"


def commit_of(hugging_face_id: str) -> str:
    """`commit:` and the commit that is in the cache, else the one that the hub names; `unknown` where neither does.

    The cache comes first: replicas are served offline, from it.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.constants import HF_HUB_CACHE, is_offline_mode

    cached = Path(HF_HUB_CACHE) / f"models--{hugging_face_id.replace('/', '--')}" / "refs" / "main"
    try:
        commit = cached.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        commit = ""
    if not commit and not is_offline_mode():
        try:
            commit = HfApi().model_info(hugging_face_id, timeout=HUB_TIMEOUT_S).sha or ""
        except Exception as error:  # its library raises what its HTTP client does, which changes between versions
            logger.info("the hub does not say the commit of %s (%s)", hugging_face_id, type(error).__name__)
    return f"commit:{commit}" if _COMMIT.fullmatch(commit) else "unknown"


def _text_file(content: BinaryIO, size: int, digest: hashlib._Hash) -> None:
    if size <= _MAX_WHOLE_BYTES:
        digest.update(content.read())
    else:
        _blocks(content, _evenly(size), size, digest)


def _weight_file(content: BinaryIO, size: int, digest: hashlib._Hash) -> None:
    start = 8
    length = int.from_bytes(content.read(start), "little")
    starts: list[int] = []
    if start + length <= size and length <= _MAX_HEADER_BYTES:
        header = content.read(length)
        digest.update(header)
        starts = _tensor_starts(header, start + length)
    _blocks(content, starts or _evenly(size), size, digest)


def _tensor_starts(header: bytes, offset: int) -> list[int]:
    """Where the tensors of a safetensors file begin, of many an even choice; none of another file."""
    try:
        entries = json.loads(header)
        starts = sorted(offset + int(entry["data_offsets"][0]) for entry in entries.values() if "data_offsets" in entry)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return []
    step = max(1, -(-len(starts) // _MAX_BLOCKS))
    return starts[::step]


def _evenly(size: int) -> list[int]:
    return [place * max(0, size - _BLOCK_BYTES) // (_MAX_BLOCKS - 1) for place in range(_MAX_BLOCKS)]


def _blocks(content: BinaryIO, starts: list[int], size: int, digest: hashlib._Hash) -> None:
    digest.update(str(size).encode())
    for start in dict.fromkeys([*starts, max(0, size - _BLOCK_BYTES)]):
        content.seek(start)
        digest.update(content.read(_BLOCK_BYTES))
