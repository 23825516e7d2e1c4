"""What stands after `--model`: every form, and a refusal that never repeats a secret."""

import pickle

import pytest

from cluster.endpoint.models import connector, resolve_model, served_model
from judge_serve.catalogue.entries import CATALOGUE
from judge_serve.judging import RefusedInputError
from judge_serve.serving.embedded_model import embedded_model_revision


def test_the_embedded_model_runs_on_cpu_with_the_revision_of_its_weights():
    choice = resolve_model("embedded")
    assert (choice.identity.name, choice.identity.revision) == ("embedded", embedded_model_revision())
    assert (choice.served.source, choice.served.gpus, choice.endpoint) == ("embedded", 0, None)
    assert choice.is_weak_writer


@pytest.mark.parametrize("name", sorted(set(CATALOGUE) - {"embedded"}))
def test_a_catalogue_name_is_served_as_the_catalogue_says(name):
    choice = resolve_model(name)
    assert (choice.identity.name, choice.served.source) == (name, CATALOGUE[name].source)
    assert (choice.served.gpus, choice.served.max_model_len) == (CATALOGUE[name].gpus, CATALOGUE[name].max_model_len)
    assert not choice.is_weak_writer


def test_a_hugging_face_id_is_served_under_its_own_name():
    choice = resolve_model("Qwen/Qwen3-0.6B")
    assert (choice.identity.name, choice.served.source) == ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B")


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "my-model"
    path.mkdir()
    (path / "config.json").write_text("{}")
    (path / "model.safetensors").write_bytes(b"1234")
    return path


def test_a_folder_is_served_under_its_name(folder):
    choice = resolve_model(str(folder))
    assert (choice.identity.name, choice.served.source) == ("my-model", str(folder))
    assert choice.identity.revision.startswith("folder:")


def test_the_revision_of_a_folder_follows_its_weights(folder):
    before = resolve_model(str(folder)).identity
    assert resolve_model(str(folder)).identity == before
    (folder / "model.safetensors").write_bytes(b"12345")
    assert resolve_model(str(folder)).identity != before


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(RefusedInputError, match=r"the folder holds no config\.json"):
        resolve_model(str(tmp_path))


def test_an_endpoint_is_an_address_and_a_model():
    choice = resolve_model("https://api.example.com/v1#gpt-4o")
    assert (choice.identity.name, choice.identity.revision) == ("gpt-4o", "https://api.example.com/v1")
    assert (choice.endpoint.base_url, choice.endpoint.model) == ("https://api.example.com/v1", "gpt-4o")
    assert (choice.served, choice.is_weak_writer) == (None, False)


@pytest.mark.parametrize(
    ("model", "is_reasoning"),
    [("o3", True), ("openai/o1-mini", True), ("gpt-5", True), ("gpt-4o", False), ("x-o3", False)],
)
def test_reasoning_models_are_known_by_name(model, is_reasoning):
    assert resolve_model(f"http://host/v1#{model}").endpoint.is_reasoning is is_reasoning


def test_an_endpoint_resolves_again_from_its_identity():
    identity = resolve_model("http://host:8000/v1#m").identity
    assert resolve_model(f"{identity.revision}#{identity.name}").identity == identity


@pytest.mark.parametrize(
    "spec",
    [
        "https://user:hunter2@host/v1#m",
        "https://hunter2@host/v1#m",
        "https://host/v1?key=hunter2#m",
        "https://hunter2@host/v1",
        "http://user:hunter2@[::1/v1#m",
    ],
)
def test_credentials_in_an_address_are_refused_and_not_repeated(spec):
    with pytest.raises(RefusedInputError) as caught:
        resolve_model(spec)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("spec", ["http://host/v1", "http://host/v1#", "http:///v1#m", "https://#m"])
def test_an_endpoint_without_host_or_model_is_refused(spec):
    with pytest.raises(RefusedInputError, match=r"names no model; write http\(s\)://host/v1#model-name"):
        resolve_model(spec)


@pytest.mark.parametrize("spec", ["http://[::1/v1#m", "http://host:99999/v1#m", "http://host:abc/v1#m"])
def test_an_address_that_cannot_be_read_is_refused(spec):
    with pytest.raises(RefusedInputError, match="is no endpoint address"):
        resolve_model(spec)


@pytest.mark.parametrize("spec", ["no-such-model", "./gone", "a/b/c", "ftp://host/v1#m", "GPT-OSS-120B", "../x"])
def test_anything_else_is_refused_with_what_is_accepted(spec):
    with pytest.raises(RefusedInputError, match=r"unknown model .*embedded, gpt-oss-120b.*a model folder"):
        resolve_model(spec)


def test_an_endpoint_cannot_be_served_here():
    with pytest.raises(RefusedInputError, match="only open-weight models can be served here"):
        served_model("http://host/v1#m")


@pytest.mark.parametrize("spec", ["embedded", "http://host/v1#m"])
def test_a_connector_can_be_sent_to_a_worker(spec):
    pickle.loads(pickle.dumps(connector(resolve_model(spec), "judge")))
