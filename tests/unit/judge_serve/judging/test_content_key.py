"""Content keys: one form, one digest."""

import math

import pytest

from judge_serve.judging.content_key import canonical_json, digest_of, digest_of_text


def test_canonical_json_by_hand():
    assert canonical_json({"b": [1, 2.0, None], "a": "é"}) == '{"a":"é","b":[1,2.0,null]}'


def test_key_order_does_not_matter():
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})


def test_list_order_does():
    assert digest_of([1, 2]) != digest_of([2, 1])


def test_digest_is_the_sha256_of_the_utf8_text():
    # printf abc | sha256sum
    assert digest_of_text("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_lone_surrogates_have_a_digest_of_their_own():
    assert digest_of_text("\ud800") != digest_of_text("\ud801")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_without_json_form_are_refused(value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(value)
