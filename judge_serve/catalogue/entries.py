"""The catalogue: models as data, by the names that people type.

Hugging Face ids and context lengths are those of the models' public pages; `max_model_len` is what judging
needs, not what the model can do. What was seen of them on a GPU stands in docs/benchmarks.md.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

EMBEDDED = "embedded"


class Prices(BaseModel):
    """US dollars per million tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: float = Field(ge=0.0)
    completion: float = Field(ge=0.0)

    def usd(self, prompt_tokens: int, completion_tokens: int) -> float:
        """What that many tokens cost."""
        return (self.prompt * prompt_tokens + self.completion * completion_tokens) / 1e6


class CatalogueEntry(BaseModel):
    """How one model is served.

    Attributes:
        source: Hugging Face id or local folder; None for the embedded model, whose folder is made on first use.
        max_model_len: tokens of prompt and answer together.
        gpus: GPUs per replica (tensor parallel); 0 runs on CPU.
        engine_options: further vLLM engine arguments.
        prices: what a token costs, None where that depends on whose GPUs it is served on.
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
    prices: Prices | None = None


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
            prices=Prices(prompt=0.0, completion=0.0),
        ),
        CatalogueEntry(name="gpt-oss-120b", source="openai/gpt-oss-120b", license="Apache-2.0"),
        CatalogueEntry(name="gpt-oss-20b", source="openai/gpt-oss-20b", license="Apache-2.0"),
        CatalogueEntry(name="gemma-3-12b", source="google/gemma-3-12b-it", license="Gemma", dtype="bfloat16"),
        CatalogueEntry(name="qwen3-8b", source="Qwen/Qwen3-8B", license="Apache-2.0", dtype="bfloat16"),
    )
}

# List prices of models that are reached as endpoints, as platform.openai.com/docs/pricing showed them in spring 2026;
# they change and contracts differ: `--price` overrides them.
ENDPOINT_PRICES: dict[str, Prices] = {
    "gpt-4.1": Prices(prompt=2.0, completion=8.0),
    "gpt-4.1-mini": Prices(prompt=0.4, completion=1.6),
    "gpt-4o": Prices(prompt=2.5, completion=10.0),
    "gpt-4o-mini": Prices(prompt=0.15, completion=0.6),
    "gpt-5": Prices(prompt=1.25, completion=10.0),
    "gpt-5-mini": Prices(prompt=0.25, completion=2.0),
    "gpt-5-nano": Prices(prompt=0.05, completion=0.4),
    "o3": Prices(prompt=2.0, completion=8.0),
    "o4-mini": Prices(prompt=1.1, completion=4.4),
}


def prices_of(name: str) -> Prices | None:
    """What the tokens of a model cost, None if the catalogue does not know."""
    entry = CATALOGUE.get(name)
    return entry.prices if entry else ENDPOINT_PRICES.get(name)
