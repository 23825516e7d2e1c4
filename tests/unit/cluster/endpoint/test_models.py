"""What stands after `--model`: every form, and a refusal that never repeats a secret."""

import json
import pickle

import pytest

from cluster.endpoint.models import connector, identity_of, resolve_model, served_model
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
    assert choice.identity.revision.startswith("content:") and choice.identity.is_pinned
    assert choice.former.revision.startswith("folder:")  # what version 0.1 recorded


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
    assert (choice.identity.name, choice.identity.revision) == ("gpt-4o", "endpoint")
    assert choice.former.revision == "https://api.example.com/v1"  # what version 0.1 recorded
    assert (choice.endpoint.base_url, choice.endpoint.model) == ("https://api.example.com/v1", "gpt-4o")
    assert (choice.served, choice.is_weak_writer) == (None, False)


@pytest.mark.parametrize(
    ("model", "is_reasoning"),
    [("o3", True), ("openai/o1-mini", True), ("gpt-5", True), ("gpt-4o", False), ("x-o3", False)],
)
def test_reasoning_models_are_known_by_name(model, is_reasoning):
    assert resolve_model(f"http://host/v1#{model}").endpoint.is_reasoning is is_reasoning


def test_one_model_at_two_addresses_is_one():
    one, other = (resolve_model(f"http://host:{port}/v1#m") for port in (8_000, 9_000))
    assert one.identity == other.identity and one.address != other.address


def write_tensor_file(path, values, tail=b""):
    """A safetensors file of two tensors with these bytes."""
    header = json.dumps(
        {
            "a": {"dtype": "F32", "shape": [len(values) // 4], "data_offsets": [0, len(values)]},
            "b": {"dtype": "F32", "shape": [len(tail) // 4], "data_offsets": [len(values), len(values) + len(tail)]},
        }
    ).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + values + tail)


BIG = bytes(range(256)) * 40_000  # 10 MB


@pytest.fixture
def tuned(folder):
    """A folder with all that decides an answer."""
    write_tensor_file(folder / "model.safetensors", BIG, b"1234")
    for name, text in {
        "tokenizer.json": "{}",
        "tokenizer_config.json": '{"bos": 1}',
        "chat_template.jinja": "{{ messages }}",
        "generation_config.json": '{"top_k": 20}',
        "vocab.txt": "a b c",
    }.items():
        (folder / name).write_text(text)
    return folder


CHANGES = {
    "first tensor": lambda f: write_tensor_file(f / "model.safetensors", b"\xff" + BIG[1:], b"1234"),
    "last tensor": lambda f: write_tensor_file(f / "model.safetensors", BIG, b"1235"),
    "tokenizer": lambda f: (f / "tokenizer.json").write_text("[]"),
    "tokenizer config": lambda f: (f / "tokenizer_config.json").write_text('{"bos": 2}'),
    "chat template": lambda f: (f / "chat_template.jinja").write_text("{{ massages }}"),
    "generation config": lambda f: (f / "generation_config.json").write_text('{"top_k": 21}'),
    "vocabulary": lambda f: (f / "vocab.txt").write_text("a b d"),
    "config": lambda f: (f / "config.json").write_text("[]"),
    "renamed": lambda f: (f / "model.safetensors").rename(f / "model-2.safetensors"),
    "further template": lambda f: (f / "new.jinja").write_text("x"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_answers_changes_a_folders_identity(tuned, change):
    before = resolve_model(str(tuned)).identity
    size = sum(file.stat().st_size for file in tuned.iterdir())
    CHANGES[change](tuned)
    after = resolve_model(str(tuned)).identity
    assert (before.name, before.is_pinned) == (after.name, True) and before.digest != after.digest
    if change not in ("config", "further template"):
        assert size == sum(file.stat().st_size for file in tuned.iterdir())  # sizes alone would not tell


@pytest.mark.parametrize("name", ["README.md", ".gitattributes", "logo.png"])
def test_what_changes_no_answer_leaves_a_folders_identity(tuned, name):
    before = resolve_model(str(tuned)).identity
    (tuned / name).write_text("words")
    assert resolve_model(str(tuned)).identity == before


def test_files_that_are_no_tensors_have_an_identity_too(folder):
    for content in (b"", b"1234567", b"\xff" * 100, BIG):
        (folder / "model.safetensors").write_bytes(content)
        assert resolve_model(str(folder)).identity.is_pinned


@pytest.mark.parametrize(
    ("ref", "revision"), [("a" * 40, f"commit:{'a' * 40}"), ("main", "unknown"), ("", "unknown"), (None, "unknown")]
)
def test_the_cached_commit_of_a_hugging_face_id_is_pinned_and_served(tmp_path, monkeypatch, ref, revision):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    refs = tmp_path / "models--some--model" / "refs"
    refs.mkdir(parents=True)
    if ref is not None:
        (refs / "main").write_text(ref)
    choice = resolve_model("some/model")
    assert (choice.identity.revision, choice.served.revision) == (revision, revision)
    assert choice.identity.is_pinned is revision.startswith("commit:")


def test_options_that_change_answers_are_part_of_an_identity():
    served = resolve_model("some/model").served
    fast = served.model_copy(update={"engine_options": {"max_num_seqs": 4}})
    other = served.model_copy(update={"engine_options": {"quantization": "fp8", "max_num_seqs": 4}})
    assert identity_of(served) == identity_of(fast) != identity_of(other)
    assert identity_of(other).engine_options == (("quantization", "fp8"),)


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
    pickle.loads(pickle.dumps(connector(resolve_model(spec))))
