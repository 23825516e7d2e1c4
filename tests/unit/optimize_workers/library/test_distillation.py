"""Distilling: explanations to guarded, merged bullets of one line, with and without a model."""

from datetime import UTC, datetime

import pytest

from judge_serve.judging import Task
from optimize_workers.guardrails import Guardrails, Refusal
from optimize_workers.library.bullets import Bullet, Source
from optimize_workers.library.distillation import (
    MAX_GROUP,
    Explained,
    distill,
    distillation_prompt,
    group_explanations,
    merge_similar,
)
from tests.builders import PROGRAM, SCALE, make_example

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
EXAMPLES = [make_example(1.0, document="The Zanzibar rollout of Kestrel finished on time and everybody went home.")]
GUARD = Guardrails(SCALE, PROGRAM.instruction, EXAMPLES)
OLD = "The page is out of date, so it misleads people."
OLD_TOO = "An out of date page misleads people who trust it."
MENTION = "It only mentions the subject in passing."


def explained(*texts, author="ada", is_line=True, gap=2.0):
    return [
        Explained(Source(query_id=f"q{n}", doc_id=f"d{n}", explanation=text), author, gap, is_line)
        for n, text in enumerate(texts)
    ]


def distilled(items, reflect=None):
    return distill(items, Task(), GUARD, at=NOW, reflect=reflect, writer="writer" if reflect else "")


def test_without_a_model_the_own_line_is_the_bullet():
    (bullet,) = distilled(explained("Old pages\n deserve less.")).bullets
    assert (bullet.text, bullet.author, bullet.created_at) == (
        "Old pages deserve less.",
        "ada",
        "2026-11-22T12:00:00+00:00",
    )
    assert [source.doc_id for source in bullet.sources] == ["d0"]


def test_without_a_model_the_reason_of_a_label_is_no_bullet():
    assert distilled(explained(OLD, is_line=False)).bullets == ()


def test_similar_explanations_are_put_to_the_model_together_and_are_all_sources():
    prompts = []

    def reflect(prompt):
        prompts.append(prompt)
        return "- Lower the rating of a page that is out of date.\n" if OLD in prompt else "NONE"

    done = distilled(explained(OLD, MENTION, OLD_TOO), reflect)
    assert len(prompts) == 2
    assert OLD_TOO in prompts[0]
    first, second = done.bullets
    assert (first.text, first.author) == ("Lower the rating of a page that is out of date.", "writer")
    assert [source.doc_id for source in first.sources] == ["d0", "d2"]
    assert (second.text, second.author) == (MENTION, "ada")  # where the model has nothing, the own line stays


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("Rate from 1 to 10 instead.", "scale_change"),
        ("The Zanzibar rollout of Kestrel finished on time.", "copied_text"),
        ("One rule.\nAnother rule.", "unreadable"),
        ("", "unreadable"),
        ("Sure, here is a guideline: Lower the rating of a page that is out of date.", "chatter"),
        ("I'm sorry, but I can't help with that.", "refusal"),
        (Refusal("truncated", "the reply was cut off"), "truncated"),
        ("long " * 100, "too_long"),
    ],
)
def test_a_refused_line_gives_way_to_the_own_one(reply, reason):
    done = distilled(explained(MENTION), lambda _: reply)
    assert [one.refusal.reason for one in done.refused] == [reason]
    assert [bullet.text for bullet in done.bullets] == [MENTION]


def test_an_own_line_is_guarded_too():
    done = distilled(explained("Use a scale of 1 to 10."))
    assert (done.bullets, done.refused[0].refusal.reason) == ((), "scale_change")


@pytest.mark.parametrize("reply", ["`Prefer the policy.`", '"Prefer the policy."', "```\nPrefer the policy.\n```"])
def test_marks_around_a_line_are_taken_off(reply):
    (bullet,) = distilled(explained(MENTION), lambda _: reply).bullets
    assert bullet.text == "Prefer the policy."


def test_the_prompt_shows_explanations_as_data_and_the_fixed_scale():
    prompt = distillation_prompt(explained('say "hi"\nNONE', gap=-1.5), Task())
    assert '{"judge\'s rating": "1.5 too low", "why": "say \\"hi\\"\\nNONE"}' in prompt
    assert SCALE.anchors[0] in prompt


def test_a_group_is_bounded():
    assert [len(group) for group in group_explanations([OLD] * (MAX_GROUP + 3))] == [MAX_GROUP, 3]
    assert group_explanations([]) == []


def bullets(*texts):
    return [Bullet(text=text, sources=(Source(query_id="q", doc_id=f"d{n}"),)) for n, text in enumerate(texts)]


def test_bullets_that_say_the_same_are_merged_with_their_sources():
    (one,) = merge_similar(bullets("Old pages deserve a lower rating.", "Old pages deserve a lower rating!"))
    assert [source.doc_id for source in one.sources] == ["d0", "d1"]


def test_a_bullet_that_says_the_opposite_is_another_one():
    texts = ("A page that is old deserves a lower rating.", "A page that is old deserves a higher rating.")
    assert [bullet.text for bullet in merge_similar(bullets(*texts))] == list(texts)
    negated = ("Old pages deserve a lower rating.", "Old pages do not deserve a lower rating.")
    assert len(merge_similar(bullets(*negated))) == 2
