"""Whether two identities can be one model: a catalogue model and an endpoint that serves it are."""

from __future__ import annotations

from judge_serve.catalogue.entries import CATALOGUE
from judge_serve.judging.identity import ModelIdentity


def is_same_name(one: str, other: str) -> bool:
    """Whether both name one model: the same name, or one is the catalogue's for the Hugging Face id of the other."""
    return one == other or _source_of(one) == _source_of(other)


def differences(wanted: ModelIdentity, found: ModelIdentity) -> list[str]:
    """What tells two identities apart, in words; what only one of them says contradicts nothing."""
    told = []
    if not is_same_name(wanted.name, found.name):
        told.append(f"the name is {found.name!r} instead of {wanted.name!r}")
    if wanted.is_pinned and found.is_pinned and wanted.revision != found.revision:
        told.append(f"the weights are {found.revision} instead of {wanted.revision}")
    if wanted.reported and found.reported and not is_same_name(wanted.reported, found.reported):
        told.append(f"the model that answers reports itself as {found.reported!r} instead of {wanted.reported!r}")
    if wanted.dtype and found.dtype and wanted.dtype != found.dtype:
        told.append(f"the dtype is {found.dtype} instead of {wanted.dtype}")
    if wanted.is_pinned and found.is_pinned and wanted.engine_options != found.engine_options:
        told.append(f"the engine options are {dict(found.engine_options)} instead of {dict(wanted.engine_options)}")
    return told


def _source_of(name: str) -> str:
    entry = CATALOGUE.get(name)
    return (entry.source if entry else None) or name
