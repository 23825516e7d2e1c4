"""Endpoint keys: known ones are let in, and a broken keys file lets nobody in."""

import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge_serve.judging import RefusedInputError
from judge_serve.serving.auth import VARIABLE, ApiKeys, load_api_keys

# printf %s key-one | sha256sum
ONE = "9b346041bc9a49574eb2665b2ad2a0a3f9f9cce4e42f5d1f26deb8a256b5966a"
# printf %s key-two | sha256sum
TWO = "c8df51469c308a59bfbd48a3e0bdd228ca922d6032035f5ef6e4ad45f473a9f3"


@pytest.fixture
def keys_file(tmp_path, monkeypatch):
    path = tmp_path / "keys"
    monkeypatch.setenv(VARIABLE, str(path))
    return path


def test_no_file_configured_means_no_keys(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert load_api_keys() is None


def test_an_empty_variable_means_no_keys(monkeypatch):
    monkeypatch.setenv(VARIABLE, "")
    assert load_api_keys() is None


@pytest.mark.parametrize("key", ["key-one", "key-two"])
def test_every_key_of_the_file_is_accepted(keys_file, key):
    keys_file.write_text(f"# team a\n{ONE}\n\n  {TWO.upper()}  # team b\n")
    assert load_api_keys().accepts(key)


@pytest.mark.parametrize("key", ["", "key-on", "key-one ", "KEY-ONE", "key-three", ONE, "\u00e9", "\x00"])
def test_no_other_key_is_accepted(keys_file, key):
    keys_file.write_text(ONE)
    assert not load_api_keys().accepts(key)


@given(st.text(), st.text())
def test_a_key_opens_only_its_own_hash(known, offered):
    keys = ApiKeys(frozenset({hashlib.sha256(known.encode()).hexdigest()}))
    assert keys.accepts(offered) == (known == offered)


def test_the_line_that_sha256sum_prints_is_accepted(keys_file):
    keys_file.write_text(f"{ONE}  -\n")
    assert load_api_keys().accepts("key-one")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"# only a comment",
        b"key-one",
        ONE[:-1].encode(),
        f"{ONE}0".encode(),
        f"{ONE}\nkey-two".encode(),
        b"\xff\xfe",
        f"{ONE} {TWO}".encode(),
    ],
    ids=["empty", "blank", "comment", "plain key", "short", "long", "one bad line", "binary", "two on a line"],
)
def test_a_malformed_file_is_refused(keys_file, content):
    keys_file.write_bytes(content)
    with pytest.raises(RefusedInputError, match="expected one SHA-256 hash"):
        load_api_keys()


def test_a_plain_key_in_the_file_is_not_repeated_in_the_error(keys_file):
    keys_file.write_text("sk-plain-secret")
    with pytest.raises(RefusedInputError) as caught:
        load_api_keys()
    assert "sk-plain-secret" not in str(caught.value)


def test_a_missing_file_lets_nobody_in(keys_file):
    with pytest.raises(RefusedInputError, match=r"cannot be read .*nobody is let in"):
        load_api_keys()


def test_a_folder_lets_nobody_in(keys_file):
    keys_file.mkdir()
    with pytest.raises(RefusedInputError, match="nobody is let in"):
        load_api_keys()


def test_a_changed_file_is_read_again(keys_file):
    keys_file.write_text(ONE)
    assert load_api_keys().accepts("key-one")
    keys_file.write_text(TWO)
    os.utime(keys_file, ns=(1, 1))  # a change of time, however coarse the file system's clock
    assert not load_api_keys().accepts("key-one")
    assert load_api_keys().accepts("key-two")
