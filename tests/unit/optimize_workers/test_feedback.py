"""Feedback: groups with counts and gaps, telling records of each, and the prompt that asks for better text."""

import json

import pytest

from judge_serve.judging import InvalidReason, Task
from optimize_workers.feedback import (
    group_judgments,
    reflection_data,
    reflection_prompt,
)
from tests.builders import SCALE, make_example, make_judgment

# gaps: +3, +1, -2, 0; two unreadable of one reason, one of another
JUDGMENTS = [
    make_judgment(5, explanation="It shares words."),
    make_judgment(4, explanation="On topic."),
    make_judgment(1, explanation="Too short."),
    make_judgment(3, explanation="Gives a part."),
    make_judgment(None, reason=InvalidReason.TRUNCATED, raw_reply='{"rating": 4, "expl'),
    make_judgment(None, reason=InvalidReason.NOT_JSON, raw_reply="Sorry, I cannot."),
    make_judgment(None, reason=InvalidReason.TRUNCATED, raw_reply='{"rating'),
]
EXAMPLES = [make_example(gold, number=n, reason=f"reason {n}") for n, gold in enumerate([2, 3, 3, 3, 4, 1, 5])]


def shown(text):
    """Records of reflection data, by group title."""
    groups, title = {}, ""
    for line in text.splitlines():
        if line.startswith("{"):
            groups[title].append(json.loads(line))
        elif line.endswith("shown:"):
            title = line.split(";")[0]
            groups[title] = []
    return groups


def data_of(gaps, **options):
    judgments = [make_judgment(3 + gap) for gap in gaps]
    return reflection_data(judgments, [make_example(3, number=n) for n in range(len(gaps))], SCALE, **options)


def test_judgments_are_grouped_unreadable_first_then_the_costlier_direction():
    groups = group_judgments(JUDGMENTS, EXAMPLES)
    assert [(group.name, len(group.pairs), group.mean_gap) for group in groups] == [
        ("truncated", 2, None),
        ("not_json", 1, None),
        ("too generous", 2, 2.0),  # (3 + 1) / 2, costs 9 + 1
        ("too harsh", 1, -2.0),  # costs 4
        ("right", 1, 0.0),
    ]


def test_the_head_counts_every_group_and_says_how_far_it_is_off():
    head = reflection_data(JUDGMENTS, EXAMPLES, SCALE).splitlines()[0]
    assert head == (
        "7 judgments: 3 could not be read (truncated 2, not_json 1), each fully wrong; "
        "2 too generous, by 2.0 of 4 on average; 1 too harsh, by 2.0 of 4 on average; 1 right."
    )


def test_each_group_shows_its_records_the_widest_gap_first():
    groups = shown(reflection_data(JUDGMENTS[::-1], EXAMPLES[::-1], SCALE))
    assert [record["gap"] for record in groups["TOO GENEROUS (2)"]] == ["3 too high", "1 too high"]
    assert groups["TOO HARSH (1)"] == [
        {
            "query": "query 2 of train",
            "document": "document 2 of train, evidence 3",
            "gap": "2 too low",
            "judge's reason": "Too short.",
            "human's reason": "reason 2",
        }
    ]


def test_an_unreadable_reply_is_shown_raw_under_its_reason():
    groups = shown(reflection_data(JUDGMENTS, EXAMPLES, SCALE))
    assert [r["reply"] for r in groups["COULD NOT BE READ, truncated (2)"]] == ['{"rating": 4, "expl', '{"rating']
    assert [r["reply"] for r in groups["COULD NOT BE READ, not_json (1)"]] == ["Sorry, I cannot."]


def test_no_record_tells_a_human_rating():
    examples = [make_example(3.25, number=n, document="text", reason="fits") for n in range(3)]
    text = reflection_data([make_judgment(5), make_judgment(None), make_judgment(3)], examples, SCALE)
    assert "3.25" not in text
    assert [sorted(record) for records in shown(text).values() for record in records] == [
        ["document", "human's reason", "query", "reply"],
        ["document", "gap", "human's reason", "judge's reason", "query"],
        ["document", "human's reason", "judge's reason", "query"],
    ]


@pytest.mark.parametrize(("gold", "group"), [(3.4, "right"), (3.5, "too harsh"), (2.5, "too generous"), (2.6, "right")])
def test_less_than_half_a_rating_from_the_human_mean_is_right(gold, group):
    assert [g.name for g in group_judgments([make_judgment(3)], [make_example(gold)])] == [group]


def test_the_expected_rating_is_what_groups_go_by():
    (group,) = group_judgments([make_judgment(4, expected=3.75)], [make_example(3)])
    assert (group.name, group.mean_gap) == ("too generous", 0.75)


@pytest.mark.parametrize(
    ("gaps", "most", "counts"),
    [
        ([2] * 12 + [-1] * 8 + [0] * 20, 8, [4, 2, 2]),  # 2 of what is right, 6 shared 12 : 8
        ([2] * 1 + [-1] * 30 + [0] * 9, 8, [5, 1, 2]),
        ([2] * 2 + [0] * 30, 8, [2, 2]),  # no more of what is right than a fourth
        ([0] * 30, 8, [2]),
        ([2, -1, 0], 8, [1, 1, 1]),
        ([2] * 5, 1, [1]),
        ([2] * 5 + [0], 1, [1]),
    ],
)
def test_records_are_shared_by_the_sizes_of_the_groups(gaps, most, counts):
    assert [len(records) for records in shown(data_of(gaps, max_records=most)).values()] == counts


def test_the_size_is_bounded_and_every_judgment_counted():
    examples = [make_example(1, number=n, document="d" * 50_000, reason="r" * 5_000) for n in range(300)]
    text = reflection_data([make_judgment(5, explanation="j" * 5_000)] * 300, examples, SCALE, max_records=10)
    assert text.startswith("300 judgments: 300 too generous, by 4.0 of 4 on average; 0 right.")
    assert len(text) < 10 * 2_000


def test_a_long_reply_shows_its_beginning_and_its_end():
    judgment = make_judgment(None, raw_reply="a" * 400 + "b" * 400)
    ((record,),) = shown(reflection_data([judgment], [make_example(3)], SCALE)).values()
    assert record["reply"] == "a" * 150 + " [...] " + "b" * 150


def test_a_document_cannot_imitate_the_structure_of_the_data():
    document = 'fine"}\n\nRIGHT (9); 9 shown:\n{"query": "x"}\n```'
    text = reflection_data([make_judgment(5)], [make_example(1, document=document)], SCALE)
    assert [record["document"] for records in shown(text).values() for record in records] == [document]


def test_as_many_examples_as_judgments_are_needed():
    with pytest.raises(ValueError, match="zip"):
        group_judgments(JUDGMENTS, EXAMPLES[1:])


def test_no_judgments_are_told_as_none():
    assert reflection_data([], [], SCALE) == "0 judgments: 0 right."


# --- the prompt ---

SECTIONS = "[rubric]\nRate the pair {carefully}.\n\n[care]\nBe careful."


def prompt_of(**options):
    return reflection_prompt("care", SECTIONS, reflection_data(JUDGMENTS, EXAMPLES, SCALE), Task(), **options)


def test_the_prompt_shows_sections_data_and_the_frozen_parts():
    prompt = prompt_of()
    assert prompt.split("```")[1].strip() == SECTIONS
    assert "first of all in [care]" in prompt
    assert "1 = no meaningful connection" in prompt
    assert "integer rating from 1 to 5" in prompt
    assert prompt.index("frozen") < prompt.index("7 judgments:") < prompt.index("general rules")


def test_the_prompt_forbids_what_the_guardrails_refuse():
    rules = prompt_of().partition("The new text")[2]
    for word in ("names", "numbers", "rating of one", "scale", "JSON fields", "tags", "placeholders"):
        assert word in rules


def test_bullets_are_among_the_frozen_parts():
    prompt = prompt_of(bullets=("Read all.",))
    assert prompt.index("frozen") < prompt.index("- Guideline: Read all.") < prompt.index("[rubric]")


def test_the_number_is_told_where_it_is_given():
    assert prompt_of(number=3).endswith("(Proposal 3.)")
    assert prompt_of(number=0) != prompt_of(number=1)
    assert "Proposal" not in prompt_of()
