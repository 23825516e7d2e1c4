"""Which files a location names, of what kind they are, which columns their folders give, and how they are opened."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO, Any, NamedTuple
from urllib.parse import unquote

import fsspec
import pyarrow as pa

from judge_serve.judging.errors import RefusedInputError

SUFFIXES = (".jsonl", ".csv", ".parquet")
COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd"}  # of JSONL and CSV; Parquet has its own
READ = f"one of {', '.join(SUFFIXES)}, the first two also with {', '.join(COMPRESSIONS)} behind"
_HIDDEN = (".", "_")
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
_MAX_SHOWN = 3


class DataFile(NamedTuple):
    """A file of rows.

    Attributes:
        name: its path below the folder that was named, for messages.
        suffix: its kind, one of `SUFFIXES`.
        compression: as fsspec names it.
        columns: those that `key=value` folders on the way to it give all its rows.
    """

    filesystem: Any
    path: str
    name: str
    suffix: str
    compression: str | None
    columns: dict[str, str]

    def open(self) -> IO[bytes]:
        """The file's bytes, decompressed."""
        if self.compression == "zstd":  # fsspec needs a package for it, Arrow has it built in
            stream: Any = pa.CompressedInputStream(self.filesystem.open(self.path, "rb"), "zstd")
            return io.BufferedReader(stream)
        opened: IO[bytes] = self.filesystem.open(self.path, "rb", compression=self.compression)
        return opened


def find_files(location: str) -> list[DataFile]:
    """The files of a location in name order; hidden ones below a folder (`.x`, `_x`) are left out.

    Raises: RefusedInputError if there are none, or if one is of no kind that can be read.
    """
    if "@" in location.partition("://")[2].partition("/")[0]:
        raise RefusedInputError("a data address holds no credentials; give them to fsspec by its own settings")
    try:
        filesystem, path = fsspec.url_to_fs(location)
        if not filesystem.exists(path):
            raise RefusedInputError(f"{location}: no such file or folder; check the path")
        found = sorted(filesystem.find(path)) if filesystem.isdir(path) else None
    except (ValueError, ImportError, OSError) as error:
        if isinstance(error, RefusedInputError):
            raise
        raise RefusedInputError(f"{location}: cannot be opened ({error})") from error
    if found is None:
        name = path.rsplit("/", 1)[-1]
        return [DataFile(filesystem, path, name, *_require_kind(name), {})]
    root = path.rstrip("/") + "/"
    names = [file.removeprefix(root) for file in found]
    seen = [name for name in names if not any(part.startswith(_HIDDEN) for part in name.split("/"))]
    if not seen:
        raise RefusedInputError(
            f"{location}: no {', '.join(SUFFIXES)} file in it; names that begin with . or _ are hidden"
        )
    strange = [name for name in seen if _kind_of(name) is None]
    if strange:
        raise RefusedInputError(
            f"{location}: {len(strange)} of {len(seen)} files are of an unknown kind: {', '.join(strange[:_MAX_SHOWN])}"
            f"{', ...' if len(strange) > _MAX_SHOWN else ''}; expected {READ}; convert them or move them away"
        )
    return [DataFile(filesystem, root + name, name, *_require_kind(name), _columns_of(name)) for name in seen]


def _kind_of(name: str) -> tuple[str, str | None] | None:
    """Kind and compression by the ending."""
    plain, compression = name.lower(), None
    for ending, its_name in COMPRESSIONS.items():
        if plain.endswith(ending):
            plain, compression = plain.removesuffix(ending), its_name
    suffix = next((one for one in SUFFIXES if plain.endswith(one)), None)
    return None if suffix is None or (compression and suffix == ".parquet") else (suffix, compression)


def _require_kind(name: str) -> tuple[str, str | None]:
    kind = _kind_of(name)
    if kind is None:
        raise RefusedInputError(f"{name}: unknown kind of file; expected {READ}")
    return kind


def _columns_of(name: str) -> dict[str, str]:
    """Columns that the folders `key=value` of a path give, as texts."""
    columns: dict[str, str] = {}
    for key, value in _partitions(name):
        if key in columns:
            raise RefusedInputError(f"{name}: two of its folders give column {key!r}; expected one")
        columns[key] = value
    return {key: value for key, value in columns.items() if value != _NO_VALUE}


def _partitions(name: str) -> Iterator[tuple[str, str]]:
    for part in name.split("/")[:-1]:
        key, sign, value = part.partition("=")
        if key and sign:
            yield unquote(key), unquote(value)
