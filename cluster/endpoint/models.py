"""From what people type after `--model` to something that answers: a served model or an endpoint."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from cluster.endpoint.application import APP_NAME
from cluster.endpoint.endpoint_file import ENDING, KEY_VARIABLE, is_reasoning, load_endpoint_file
from cluster.endpoint.weights import commit_of, content_of, folder_revision_of_0_1
from judge_serve.catalogue.control_tokens import control_tokens, in_folder, in_hugging_face_cache
from judge_serve.catalogue.entries import CATALOGUE, EMBEDDED, CatalogueEntry
from judge_serve.catalogue.served_model import ServedModel, deployment_name
from judge_serve.engines.http import MIN_IN_FLIGHT, HttpEngine, HttpEngineConfig
from judge_serve.engines.serve_handle import connect_serve_engine
from judge_serve.judging.canaries import Round
from judge_serve.judging.engine import Engine
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.identity import ENDPOINT, UNKNOWN, ModelIdentity
from judge_serve.serving.embedded_model import embedded_model_revision

REFLECTION_MAX_TOKENS = 1_500
WEAK_REFLECTION_MAX_TOKENS = 300  # a 135M model on a CPU: long texts take minutes and say nothing
_HUGGING_FACE_ID = re.compile(r"[\w.-]+/[\w.-]+")


# vLLM options that change how fast a model answers, but not what
_NEUTRAL_OPTIONS = frozenset(
    {
        *("enforce_eager", "gpu_memory_utilization", "max_num_seqs", "max_num_batched_tokens", "max_model_len"),
        *("tensor_parallel_size", "enable_prefix_caching", "enable_chunked_prefill", "swap_space", "block_size"),
        *("disable_log_stats", "max_logprobs", "distributed_executor_backend"),
    }
)


class Contact(NamedTuple):
    """What an endpoint showed of itself when it was first asked in this process.

    Attributes:
        first: its answers to the canaries.
        version: of vLLM, None where it does not say.
        context_length: tokens that it takes, None where it does not say.
    """

    first: Round
    version: str | None
    context_length: int | None


class ModelChoice(NamedTuple):
    """A model by identity and the one way to reach it: `served` here or at an `endpoint`.

    Attributes:
        former: what version 0.1 recorded it as, where that was something else.
        contact: of an endpoint that was asked already.
        app: the application of Ray Serve that a served model runs in.
    """

    identity: ModelIdentity
    served: ServedModel | None
    endpoint: HttpEngineConfig | None
    former: ModelIdentity | None = None
    contact: Contact | None = None
    app: str = APP_NAME

    def as_dict(self) -> dict[str, Any]:
        """As plans show it; what an endpoint is shows when it is asked."""
        where = {"address": self.address} if self.endpoint else {"served": self.served.source if self.served else None}
        return {"name": self.identity.name, "revision": self.identity.revision, **where}

    @property
    def address(self) -> str | None:
        """Where its endpoint is."""
        return self.endpoint.base_url if self.endpoint else None

    @property
    def context_length(self) -> int | None:
        """Tokens of prompt and answer that it takes, where that is known."""
        if self.served is not None:
            return self.served.max_model_len
        return self.contact.context_length if self.contact else None

    @property
    def control_tokens(self) -> tuple[str, ...]:
        """Tokens of a served model that documents must not form and no general rule breaks; of an endpoint none."""
        if self.served is None or self.is_weak_writer:  # the general rule breaks all of the embedded model's
            return ()
        folder = Path(self.served.source)
        return control_tokens(in_folder(folder) if folder.is_dir() else in_hugging_face_cache(self.served.source))

    @property
    def is_weak_writer(self) -> bool:
        """Whether the model is known to be too weak to write instructions."""
        return self.served is not None and self.served.source == EMBEDDED

    @property
    def reflection_max_tokens(self) -> int:
        """Bound of the length of what it writes."""
        return WEAK_REFLECTION_MAX_TOKENS if self.is_weak_writer else REFLECTION_MAX_TOKENS

    @property
    def max_calls_in_flight(self) -> int:
        """Judge calls worth having under way at once."""
        if self.endpoint is not None:
            return self.endpoint.max_in_flight
        assert self.served is not None, "a model is served or at an endpoint"
        return self.served.max_concurrent_calls * self.served.max_replicas

    @property
    def least_calls_in_flight(self) -> int | None:
        """What calls under way at an endpoint are held back to at most; a served model takes all of its own."""
        return MIN_IN_FLIGHT if self.endpoint is not None else None

    def with_max_in_flight(self, most: int | None) -> ModelChoice:
        """The same with another bound of calls under way (`--max-in-flight`), if one is given.

        Raises: RefusedInputError for a served model, whose own bound holds.
        """
        if most is None:
            return self
        if self.endpoint is None:
            raise RefusedInputError(
                f"--max-in-flight is for endpoints; {self.identity.name} is served here and takes "
                f"{self.max_calls_in_flight} calls at once"
            )
        return self._replace(endpoint=self.endpoint.model_copy(update={"max_in_flight": most}))


def resolve_model(spec: str) -> ModelChoice:
    """Resolve `embedded`, a catalogue name, a folder, a Hugging Face id, `http(s)://host/v1#model` or an endpoint file.

    Raises: RefusedInputError naming what is accepted.
    """
    if spec.startswith(("http://", "https://")):
        return _endpoint(spec)
    if spec.endswith(ENDING):
        return _at_endpoint(load_endpoint_file(Path(spec).expanduser()))
    if spec in CATALOGUE:
        entry = CATALOGUE[spec]
        if entry.source is None:
            return _served(_from_entry(entry, embedded_model_revision()))
        return _served(_from_entry(entry, commit_of(entry.source)), UNKNOWN)
    folder = Path(spec).expanduser()
    if spec.strip() and folder.is_dir():
        if not (folder / "config.json").is_file():
            raise RefusedInputError(f"--model {spec}: the folder holds no config.json, so it is no model folder")
        try:
            revision, former = content_of(folder), folder_revision_of_0_1(folder)
        except OSError as error:
            raise RefusedInputError(
                f"--model {spec}: a file of the folder cannot be read ({error.strerror})"
            ) from error
        return _served(_unknown_model(folder.resolve().name, str(folder.resolve()), revision), former)
    if _HUGGING_FACE_ID.fullmatch(spec) and not spec.startswith("."):
        return _served(_unknown_model(spec, spec, commit_of(spec)), UNKNOWN)
    raise RefusedInputError(
        f"unknown model {spec!r}; use one of {', '.join(CATALOGUE)}, a model folder, a Hugging Face id, "
        f"an endpoint http(s)://host/v1#model-name or an endpoint file ({ENDING})"
    )


def connector(choice: ModelChoice) -> Callable[[], Engine]:
    """What a worker calls to get its engine; can be sent to another process."""
    if choice.endpoint is not None:
        return partial(HttpEngine, choice.endpoint, os.environ.get(KEY_VARIABLE))
    return partial(connect_serve_engine, choice.app, deployment_name(choice.identity.name), choice.identity.name)


def served_model(name: str) -> ServedModel:
    """Serving settings of a catalogue entry on this machine."""
    choice = resolve_model(name)
    if choice.served is None:
        raise RefusedInputError(f"{name} is an endpoint; only open-weight models can be served here")
    return choice.served


def _endpoint(spec: str) -> ModelChoice:
    try:
        parts = urlsplit(spec)
        _ = parts.port
    except ValueError as error:
        raise RefusedInputError(f"--model is no endpoint address ({error}); write http(s)://host/v1#model") from error
    if parts.username or parts.password or parts.query:  # first: the other message repeats the address
        raise RefusedInputError(f"an endpoint address holds no credentials; put the key into {KEY_VARIABLE}")
    if not parts.fragment or not parts.hostname:
        raise RefusedInputError(f"endpoint {spec!r} names no model; write http(s)://host/v1#model-name")
    base_url = parts._replace(fragment="").geturl()
    return _at_endpoint(
        HttpEngineConfig(base_url=base_url, model=parts.fragment, is_reasoning=is_reasoning(parts.fragment))
    )


def _at_endpoint(config: HttpEngineConfig) -> ModelChoice:
    former = ModelIdentity(name=config.model, revision=config.base_url)
    return ModelChoice(ModelIdentity(name=config.model, revision=ENDPOINT), None, config, former)


def _served(model: ServedModel, revision_of_0_1: str | None = None) -> ModelChoice:
    identity = identity_of(model)
    former = ModelIdentity(name=model.name, revision=revision_of_0_1) if revision_of_0_1 else None
    return ModelChoice(identity, model, None, None if former == identity else former)


def identity_of(model: ServedModel) -> ModelIdentity:
    """The identity of a model that is served here; that the embedded one is served as float32 goes without saying."""
    is_as_published = model.source == EMBEDDED
    options = {name: str(value) for name, value in model.engine_options.items() if name not in _NEUTRAL_OPTIONS}
    return ModelIdentity(
        name=model.name,
        revision=model.revision,
        dtype=None if is_as_published or model.dtype == "auto" else model.dtype,
        engine_options=tuple(sorted(options.items())),
    )


def _from_entry(entry: CatalogueEntry, revision: str) -> ServedModel:
    return ServedModel(
        name=entry.name,
        source=entry.source or EMBEDDED,
        revision=revision,
        max_model_len=entry.max_model_len,
        dtype=entry.dtype,
        gpus=entry.gpus,
        cpu_cores="" if entry.gpus else _all_cores_of_a_small_machine(),
        max_concurrent_calls=entry.max_concurrent_calls,
        engine_options=entry.engine_options,
    )


def _unknown_model(name: str, source: str, revision: str) -> ServedModel:
    gpus = int(Path("/dev/nvidia0").exists())
    return ServedModel(
        name=name,
        source=source,
        revision=revision,
        max_model_len=8_192 if gpus else 4_096,
        dtype="auto" if gpus else "float32",
        gpus=gpus,
        cpu_cores="" if gpus else _all_cores_of_a_small_machine(),
        max_concurrent_calls=256 if gpus else 32,
        engine_options={} if gpus else {"enforce_eager": True},
    )


def _all_cores_of_a_small_machine() -> str:
    # vLLM spares a core for other processes; with two cores that costs 1.7x in judging rate (docs/benchmarks.md)
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return ",".join(map(str, cores)) if len(cores) == 2 else ""
