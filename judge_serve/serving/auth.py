"""Endpoint keys: SHA-256 hashes in the file named by `RELEVANCE_JUDGE_API_KEYS_FILE`, compared in constant time.

One 64-digit hash a line, `#` starts a comment. Make a line with `printf %s KEY | sha256sum`. Keys are random and
long, so a plain hash suffices.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from functools import lru_cache
from pathlib import Path

from judge_serve.judging.errors import RefusedInputError

VARIABLE = "RELEVANCE_JUDGE_API_KEYS_FILE"
_HASH = re.compile(r"[0-9a-f]{64}")


class ApiKeys:
    """A set of hashed keys."""

    def __init__(self, hashes: frozenset[str]) -> None:
        self._hashes = hashes

    def accepts(self, key: str) -> bool:
        """Whether a key is known; every stored hash is compared, so that timing tells nothing."""
        found = hashlib.sha256(key.encode()).hexdigest()
        matches = [hmac.compare_digest(found, known) for known in self._hashes]
        return any(matches)


def load_api_keys() -> ApiKeys | None:
    """The configured keys, read again when the file changes; None where no file is configured.

    Raises: RefusedInputError if the file is configured but unreadable, empty or malformed.
    """
    path = os.environ.get(VARIABLE)
    if not path:
        return None
    try:
        return _read(path, Path(path).stat().st_mtime_ns)
    except OSError as error:
        raise RefusedInputError(f"{VARIABLE}={path} cannot be read ({error.strerror}); nobody is let in") from error


@lru_cache(maxsize=2)
def _read(path: str, _changed_ns: int) -> ApiKeys:
    lines = [
        line.split("#")[0].strip().lower() for line in Path(path).read_bytes().decode(errors="replace").splitlines()
    ]
    hashes = frozenset(line.removesuffix("  -") for line in lines if line)  # sha256sum names its input: -
    if not hashes or not all(_HASH.fullmatch(line) for line in hashes):
        raise RefusedInputError(f"{path}: expected one SHA-256 hash (64 hex digits) a line; see docs/security.md")
    return ApiKeys(hashes)
