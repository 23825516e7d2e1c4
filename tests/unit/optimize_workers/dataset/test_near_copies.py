"""Near copies: what repeats another text but for some words is found, and found as comparing every pair would."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimize_workers.dataset.near_copies import are_near_copies, find_near_copies, find_near_queries, shingles_of

WORDS = [f"word{number}" for number in range(25)]
TEXT = " ".join(WORDS)  # 21 shingles, of which 17 make a near copy


def is_copy(first, second):
    return are_near_copies(shingles_of(first), shingles_of(second))


def with_word(number, word="another"):
    return " ".join([*WORDS[:number], word, *WORDS[number:]])


@pytest.mark.parametrize(
    "copy",
    [
        TEXT.upper(),
        TEXT.replace(" ", ", ") + "!",
        TEXT.replace(" ", "\n"),
        f"**{TEXT}**",
        f"_{TEXT}_",
        TEXT.replace("word", "\uff57ord"),
        with_word(0),
        with_word(25),
        with_word(12),  # four shingles of 21 are cut in two
        f"An introduction of some length, and then: {TEXT} And more.",
        " ".join(WORDS[:9]),
        " ".join(WORDS[3:8]),
        " ".join(WORDS + WORDS),
    ],
)
def test_a_near_copy_is_one_in_both_directions(copy):
    assert is_copy(TEXT, copy)
    assert is_copy(copy, TEXT)


@pytest.mark.parametrize(
    "other",
    [
        " ".join(reversed(WORDS)),
        " ".join([*WORDS[:4], "a", *WORDS[4:9], "b", *WORDS[9:14], "c", *WORDS[14:]]),
        " ".join(WORDS[::2]),
        " ".join(WORDS[:2]),  # shorter than a shingle: it would have to be equal
        "something else altogether, of more than five words",
        "",
    ],
)
def test_a_text_of_other_runs_is_no_near_copy(other):
    assert not is_copy(TEXT, other)
    assert not is_copy(other, TEXT)


def test_four_fifths_of_the_shingles_are_enough_and_less_is_not():
    twelve = " ".join(WORDS[:12])  # 10 shingles
    assert is_copy(twelve, " ".join([*WORDS[:10], "x", "y"]))  # 8 of them
    assert not is_copy(twelve, " ".join([*WORDS[:9], "x", "y", "z"]))  # 7 of them


@pytest.mark.parametrize(("text", "other"), [("\U0001f44d", "\U0001f44e"), ("...", "???")])
def test_texts_without_words_are_compared_as_they_are(text, other):
    assert is_copy(text, f" {text}\n")
    assert not is_copy(text, other)


@pytest.mark.parametrize("text", ["yes", "My password"])
def test_a_short_text_is_a_near_copy_of_its_own_words_only(text):
    assert is_copy(text, text.upper() + ".")
    assert not is_copy(text, text + " please")
    assert not is_copy(text, " ".join(reversed(text.split())) + " x")


def test_writing_without_spaces_counts_by_character():
    assert is_copy("\u9000\u8d27\u653f\u7b56\u5728\u8fd9\u91cc", "\u9000\u8d27\u653f\u7b56\u5728\u8fd9\u91cc\uff01")
    assert not is_copy("\u9000\u8d27\u653f\u7b56\u5728\u8fd9\u91cc", "\u7a0e\u52a1\u653f\u7b56\u5728\u90a3\u91cc")


def test_the_first_copied_text_is_told():
    assert find_near_copies([TEXT, "a b"], ["c", TEXT + " x", TEXT]) == {0: 1}


def test_nothing_is_a_near_copy_of_nothing():
    assert find_near_copies([], [TEXT]) == {}
    assert find_near_copies([TEXT], []) == {}


# few words, so that texts share many runs; long repetitions, so that near copies occur
texts = st.lists(
    st.builds(
        lambda start, length, inserted, word: (
            " ".join([*(WORDS * 2)[start : start + length][:inserted], word])
            + " "
            + " ".join((WORDS * 2)[start : start + length][inserted:])
        ),
        st.integers(0, 12),
        st.integers(0, 30),
        st.integers(0, 30),
        st.sampled_from(["x", "Y", "!"]),
    ),
    max_size=12,
)


@given(texts, texts)
def test_the_index_finds_what_comparing_every_pair_finds(texts, others):
    expected = {}
    for number, text in enumerate(texts):
        copied = [place for place, other in enumerate(others) if is_copy(text, other)]
        if copied:
            expected[number] = copied[0]
    assert find_near_copies(texts, others) == expected


@pytest.mark.parametrize(
    ("num_shared", "num_found"),
    [(0, 1), (70, 1), (98, 400)],
    ids=["nothing in common", "a template", "but for the last words"],
)
def test_a_shared_template_alone_makes_no_near_copies(num_shared, num_found):
    rng = random.Random(num_shared)
    template = " ".join(f"common{number}" for number in range(num_shared))

    def make():
        return " ".join([template, *(f"w{rng.randrange(10**6)}" for _ in range(100 - num_shared))])

    texts = [make() for _ in range(400)]
    assert len(find_near_copies(texts, [*(make() for _ in range(400)), texts[7] + " now"])) == num_found


@pytest.mark.parametrize("seed", range(6))
def test_near_queries_are_those_that_share_most_runs_of_the_longer_one(seed):
    draw = random.Random(seed)
    queries = ["".join(draw.choices("abc ", k=draw.randrange(1, 25))) for _ in range(60)]
    near = ["".join(letter for letter in query if draw.random() < 0.97) or "a" for query in draw.choices(queries, k=60)]
    runs = [[{text[n : n + 4] for n in range(max(len(text) - 3, 1))} for text in texts] for texts in (queries, near)]
    expected = {}
    for number, one in enumerate(runs[0]):
        for place, other in enumerate(runs[1]):
            if 100 * len(one & other) >= 80 * max(len(one), len(other)):
                expected.setdefault(number, place)
    assert find_near_queries(queries, near) == expected
    assert expected
