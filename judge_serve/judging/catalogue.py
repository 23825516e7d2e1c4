"""The catalogue: models as data, by the names that people type.

Hugging Face ids and context lengths are those of the models' public pages; `max_model_len` is what judging
needs, not what the model can do. GPU settings were not run on the development machine, which has none.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

EMBEDDED = "embedded"


class CatalogueEntry(BaseModel):
    """How one model is served.

    Attributes:
        source: Hugging Face id or local folder; None for the embedded model, whose folder is made on first use.
        max_model_len: tokens of prompt and answer together.
        gpus: GPUs per replica (tensor parallel); 0 runs on CPU.
        engine_options: further vLLM engine arguments.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: str | None
    license: str
    max_model_len: int = Field(8_192, ge=512)
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    gpus: int = Field(1, ge=0)
    max_concurrent_calls: int = Field(256, ge=1)
    engine_options: dict[str, str | int | float | bool] = {}


CATALOGUE: dict[str, CatalogueEntry] = {
    entry.name: entry
    for entry in (
        CatalogueEntry(
            name=EMBEDDED,
            source=None,
            license="Apache-2.0",
            max_model_len=4_096,
            dtype="float32",
            gpus=0,
            max_concurrent_calls=32,
            engine_options={"enforce_eager": True},
        ),
        CatalogueEntry(name="gpt-oss-120b", source="openai/gpt-oss-120b", license="Apache-2.0"),
        CatalogueEntry(name="gpt-oss-20b", source="openai/gpt-oss-20b", license="Apache-2.0"),
        CatalogueEntry(name="gemma-3-12b", source="google/gemma-3-12b-it", license="Gemma", dtype="bfloat16"),
        CatalogueEntry(name="qwen3-8b", source="Qwen/Qwen3-8B", license="Apache-2.0", dtype="bfloat16"),
    )
}
