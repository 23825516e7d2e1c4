"""What a model is: digests of before stay, and what tells two identities apart is named."""

import pytest

from judge_serve.catalogue.same_model import differences, is_same_name
from judge_serve.judging import ModelIdentity
from judge_serve.judging.content_key import digest_of

COMMIT, OTHER = "commit:" + "a" * 40, "commit:" + "b" * 40


def model(name="m", revision="endpoint", **more):
    return ModelIdentity(name=name, revision=revision, **more)


def test_what_version_0_1_recorded_has_the_digest_that_it_had():
    assert model("m", "r").model_dump(mode="json") == {"name": "m", "revision": "r"}
    assert model("m", "r").digest == digest_of({"name": "m", "revision": "r"})


def test_copies_take_their_own_digest():
    one = model()
    assert one.digest != one.in_scope(1).digest != one.in_scope(2).digest
    assert one.in_scope(1).in_scope(0) == one and one.in_scope(1).in_scope(0).digest == one.digest
    assert one.model_copy(update={"reported": "x"}).id != one.id


@pytest.mark.parametrize(
    ("revision", "is_pinned"),
    [
        *((pinned, True) for pinned in (COMMIT, "content:12", "sha256:12")),
        *((loose, False) for loose in ("endpoint", "unknown", "folder:12", "http://h/v1")),
    ],
)
def test_only_content_pins(revision, is_pinned):
    assert model(revision=revision).is_pinned is is_pinned


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (model(), model()),
        (model(revision="http://one/v1"), model()),  # version 0.1 at another address
        (model(reported="m-1"), model(reported="m-1")),
        (model(), model(reported="m-1")),
        (model("qwen3-8b", COMMIT, dtype="bfloat16"), model("Qwen/Qwen3-8B")),
        (model("Qwen/Qwen3-8B"), model("qwen3-8b", COMMIT)),
        (model("qwen3-8b", "unknown"), model("qwen3-8b", COMMIT)),
        (model(reported="Qwen/Qwen3-8B"), model(reported="qwen3-8b")),
        (model("a", COMMIT, engine_options=(("quantization", "fp8"),)), model("a")),
    ],
)
def test_what_is_not_contradicted_is_one_model(wanted, found):
    assert differences(wanted, found) == []


@pytest.mark.parametrize(
    ("wanted", "found", "named"),
    [
        (model(), model("n"), "the name is 'n' instead of 'm'"),
        (model("a", COMMIT), model("a", OTHER), f"the weights are {OTHER} instead of {COMMIT}"),
        (model("a", "content:1"), model("a", "content:2"), "the weights are content:2"),
        (model(reported="m-1"), model(reported="m-2"), "reports itself as 'm-2' instead of 'm-1'"),
        (model("a", COMMIT, dtype="float32"), model("a", COMMIT, dtype="bfloat16"), "the dtype is bfloat16"),
        (model("a", COMMIT), model("a", COMMIT, engine_options=(("quantization", "fp8"),)), "'quantization': 'fp8'"),
    ],
)
def test_another_name_or_other_weights_are_named(wanted, found, named):
    [told] = differences(wanted, found)
    assert named in told


def test_catalogue_names_are_those_of_their_source():
    assert is_same_name("gemma-3-12b", "google/gemma-3-12b-it")
    assert not is_same_name("gemma-3-12b", "qwen3-8b")
