"""Control tokens are read from a tokenizer's files, whatever form they have; what cannot be read says nothing."""

import json

import pytest

from judge_serve.catalogue.control_tokens import control_tokens, in_folder, in_hugging_face_cache
from judge_serve.judging.rendering import escape

FILES = {
    "tokenizer.json": {
        "added_tokens": [
            {"content": "{{user}}", "special": True},
            {"content": "<s>", "special": True},  # broken by the general rule
            {"content": "\n\n", "special": False},
            {"content": "$$", "special": False},  # an ordinary word of the vocabulary
        ]
    },
    "tokenizer_config.json": {
        "added_tokens_decoder": {"7": {"content": "{{user}}", "special": True}, "8": {"content": "$$"}}
    },
    "special_tokens_map.json": {
        "eos_token": {"content": "{{user}}"},
        "additional_special_tokens": ["{{user}}", {"content": "<x>"}],
    },
    "tekken.json": {"special_tokens": [{"rank": 1, "token_str": "{{user}}", "is_control": True}, {"rank": 2}]},
}


@pytest.mark.parametrize("name", FILES)
def test_special_tokens_are_read_from_any_of_the_files(tmp_path, name):
    (tmp_path / name).write_text(json.dumps(FILES[name]))
    assert control_tokens(in_folder(tmp_path)) == ("{{user}}",)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("chat_template.jinja", "{{ '##assistant:' }}"),
        ("tokenizer_config.json", json.dumps({"chat_template": "##assistant:"})),
        ("tokenizer_config.json", json.dumps({"chat_template": [{"name": "default", "template": "##assistant:"}]})),
    ],
)
def test_other_added_tokens_count_where_the_template_writes_them(tmp_path, name, text):
    (tmp_path / "added_tokens.json").write_text(json.dumps({"##assistant:": 5, "##other:": 6}))
    assert control_tokens(in_folder(tmp_path)) == ()
    (tmp_path / name).write_text(text)
    assert control_tokens(in_folder(tmp_path)) == ("##assistant:",)


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{", "[" * 100_000, '{"added_tokens": 5, "eos_token": 5}', '{"added_tokens": [5, {}]}']
)
@pytest.mark.parametrize("name", [*FILES, "added_tokens.json"])
def test_a_file_that_cannot_be_read_says_nothing(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert control_tokens(in_folder(tmp_path)) == ()


def test_a_folder_or_repository_without_a_tokenizer_has_none(tmp_path, monkeypatch):
    assert control_tokens(in_folder(tmp_path)) == ()
    assert control_tokens(in_hugging_face_cache("nobody/nothing-of-the-kind")) == ()
    assert control_tokens(in_hugging_face_cache("no id of anything/at all/really")) == ()


def test_what_is_read_is_broken_in_documents(tmp_path):
    (tmp_path / "tokenizer.json").write_text(json.dumps(FILES["tokenizer.json"]))
    tokens = control_tokens(in_folder(tmp_path))
    assert escape("a {{user}} $$", tokens) == "a &#123;{user}} $$"
