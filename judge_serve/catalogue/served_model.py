"""A served model: what a vLLM replica needs to know, as plain data for Serve config files."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

DEPLOYMENT_PREFIX = "JudgeModel:"


class ServedModel(BaseModel):
    """What a replica needs to know; plain data, so that it can stand in a Serve config file.

    Attributes:
        name: what requests and releases call the model.
        source: local folder or Hugging Face id; `embedded` prepares the embedded model on the building node.
        gpus: GPUs per replica; 0 serves on CPU.
        num_cpus: CPUs that Ray reserves per replica.
        cpu_cores: cores that vLLM binds its threads to on CPU ("0-1"); empty leaves the choice to vLLM, which
            spares one core.
        kv_cache_gb: memory of the key-value cache on CPU, in GiB.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: str
    revision: str = "unknown"
    max_model_len: int = 8_192
    dtype: str = "auto"
    gpus: int = Field(1, ge=0)
    accelerator_type: str | None = None
    num_cpus: float = Field(1.0, gt=0)
    cpu_cores: str = ""
    kv_cache_gb: int = Field(1, ge=1)
    min_replicas: int = Field(1, ge=0)
    max_replicas: int = Field(1, ge=1)
    max_concurrent_calls: int = Field(256, ge=1)
    engine_options: dict[str, str | int | float | bool] = {}

    @model_validator(mode="after")
    def _check_replicas(self) -> ServedModel:
        if self.min_replicas > self.max_replicas:
            raise ValueError(f"min_replicas {self.min_replicas} is more than max_replicas {self.max_replicas}")
        return self


def deployment_name(model: str) -> str:
    """Name of a model's deployment within its application (as Ray Serve LLM derives it)."""
    return DEPLOYMENT_PREFIX + model.replace("/", "--").replace(".", "_")
