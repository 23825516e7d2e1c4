"""Searches decide, and judges are keyed and rendered, as they were before the tree was put into rooms."""

import json

import pytest

from tests.recorded import searches

RECORDED = json.loads(searches.RECORDED.read_text(encoding="utf-8"))


def plain(value):
    return json.loads(json.dumps(value))


def test_digests_keys_and_prompts_are_the_recorded_ones():
    assert searches.identities() == RECORDED["identities"]


@pytest.mark.parametrize("seed", [0, 1])
def test_gepa_decides_as_recorded(seed):
    assert plain(searches.rewriting(seed, 700)) == RECORDED["gepa"][str(seed)]


@pytest.mark.parametrize("seed", [0, 1])
def test_mipro_decides_as_recorded(seed):
    assert plain(searches.joint(seed, 500)) == RECORDED["mipro"][str(seed)]


@pytest.mark.parametrize(
    ("name", "search"),
    [
        ("mipro", lambda: searches.joint(1, 500, 60_000)),
        ("bullets", lambda: searches.choosing(0, 2_500, 400_000)),
    ],
)
def test_a_search_that_tokens_end_decides_as_recorded(name, search):
    """GEPA's decisions depend on the order of threads there, so it is left out."""
    assert plain(search()) == RECORDED["limited"][name]


def test_a_choice_of_bullets_decides_as_recorded():
    assert plain(searches.choosing(0, 2_500)) == RECORDED["bullets"]["0"]
