"""Guardrails: no other scale, format or template, nothing of the examples - and nothing against honest instructions."""

import time
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.endpoint.config import EXAMPLES as FOLDER
from judge_serve.judging import Scale, load_judge_file
from optimize_workers.dataset.splits import load_dataset
from optimize_workers.guardrails import GROWTH_ALLOWANCE_CHARS, MAX_GROWTH, MIN_BOUND_CHARS, REASONS, Guardrails
from tests.builders import SCALE, make_example, make_examples
from tests.unit.optimize_workers.guardrails.innocent_texts import INNOCENT
from tests.unit.optimize_workers.guardrails.refused_texts import REFUSED

JUDGE = load_judge_file(FOLDER / "judge.toml")
BASELINE = "Read the query and the document. Decide how well the document serves the need of the person who asks."
COPIED = "the quarterly budget of the branch office was moved to the second week"
EXAMPLES = [
    make_example(
        3, document=f"Note: {COPIED} of May.", reason="names the very budget that the person was asking about"
    ),
    make_example(2, number=1, document="Read the query and the document. Decide how well it went, they said."),
]
GUARD = Guardrails(SCALE, BASELINE, EXAMPLES)


@cache
def workplace_guard():
    """The guard of the shipped judge and examples, as an optimizer makes it."""
    data = load_dataset(str(FOLDER / "workplace.jsonl"), JUDGE.task.scale).for_optimizers()
    return Guardrails(JUDGE.task.scale, JUDGE.program.instruction, [*data.train, *data.val], [JUDGE.task.description])


def examples_of(num_queries, document="", query="", reason=""):
    """Examples of different queries that all say the same."""
    return [
        make_example(number=n, query_id=f"q{n}", document=f"{document} page{n}", reason=reason)
        for n in range(num_queries)
    ]


WHOLE = ("empty", "too_long", "not_language")  # said of a text as a whole

# --- the suite, on the shipped judge and examples ---


@pytest.mark.parametrize(
    ("reason", "text"),
    [pytest.param(reason, text, id=f"{reason}-{text[:50]}") for reason in REFUSED for text in REFUSED[reason]],
)
def test_a_text_that_breaks_a_rule_is_refused(reason, text):
    assert workplace_guard().refusal(text) == reason


@pytest.mark.parametrize("text", INNOCENT, ids=lambda text: text[:50])
def test_an_honest_instruction_passes(text):
    assert workplace_guard().explain(text) is None


@pytest.mark.parametrize("text", [text for reason in REFUSED if reason not in WHOLE for text in REFUSED[reason]][::7])
def test_an_offence_is_found_within_an_honest_instruction(text):
    assert workplace_guard().explain(f"{INNOCENT[0]}\n\n{text}\n\nBe consistent.") is not None


def test_the_suite_is_large_enough_to_trust():
    assert len(INNOCENT) == len(set(INNOCENT)) >= 60
    assert sum(map(len, REFUSED.values())) >= 60
    assert set(REFUSED) == set(REASONS) - {"unchanged"}


def test_the_shipped_baseline_passes_its_own_guardrails():
    assert workplace_guard().explain(JUDGE.program.instruction) is None
    assert all(workplace_guard().explain(text) is None for text in JUDGE.program.sections.values())


# --- shape ---


@pytest.mark.parametrize("extra", [0, 1])
def test_growth_is_bounded_by_the_baseline(extra):
    baseline = "Judge the meaning of it all. " * 100
    most = int(MAX_GROWTH * len(baseline)) + GROWTH_ALLOWANCE_CHARS
    text = "".join(f"word{n} " for n in range(most))[: most + extra]
    refusal = Guardrails(SCALE, baseline, []).refusal(text)
    assert (refusal == "too_long") is bool(extra)


@pytest.mark.parametrize(("chars", "refusal"), [(MIN_BOUND_CHARS, None), (MIN_BOUND_CHARS + 1, "too_long")])
def test_a_short_baseline_may_grow_to_a_page(chars, refusal):
    text = "".join(f"Mind point {n} of the need. " for n in range(chars))[:chars]
    assert Guardrails(SCALE, "Judge.", []).refusal(text) == refusal


def test_a_long_baseline_may_stay_as_it_is():
    baseline = "".join(f"Mind aspect {n} of the need. " for n in range(1_200))
    assert Guardrails(SCALE, baseline, []).refusal(baseline) is None
    assert Guardrails(SCALE, baseline, []).refusal(baseline + "More.") == "too_long"


@pytest.mark.parametrize("text", [BASELINE, f"  {BASELINE}\n", BASELINE.replace(". ", ".\n\n")])
def test_repeating_the_current_text_is_unchanged_and_without_one_it_passes(text):
    assert GUARD.refusal(text, current=BASELINE) == "unchanged"
    assert GUARD.refusal(text) is None


def test_a_refusal_names_what_was_found():
    assert GUARD.explain("Rate from one to ten.") == ("scale_change", "1 to 10")
    assert GUARD.explain(f"Mind {COPIED}.").detail == "the quarterly budget of the branch office was"


# --- scale ---


@pytest.mark.parametrize(
    ("minimum", "maximum", "legal", "refused"),
    [
        (0, 1, "Rate from 0 to 1.", "Rate from 1 to 5."),
        (0, 3, "Use 0 for spam, on the scale of 0-3.", "The highest rating is 5."),
        (1, 4, "Use a four-point scale from one to four.", "Use a five-point scale."),
        (
            1,
            7,
            "A 7 out of 7 is a perfect match; rate 6 if a detail is missing.",
            "A 5 out of 5 is a perfect match, so rate it.",
        ),
    ],
)
def test_the_scale_of_the_task_is_the_one_that_counts(minimum, maximum, legal, refused):
    scale = Scale(minimum=minimum, maximum=maximum, anchors=tuple("abcdefgh"[: maximum - minimum + 1]))
    guard = Guardrails(scale, BASELINE, [])
    assert guard.explain(legal) is None
    assert guard.refusal(refused) == "scale_change"


def test_the_baselines_own_sentences_are_legal_whatever_they_say():
    odd = "Older judges rated from 1 to 10 and answered without JSON."
    guard = Guardrails(SCALE, f"{BASELINE} {odd}", [])
    assert GUARD.refusal(odd) == "scale_change"
    assert guard.refusal(f"Be strict. {odd}") is None
    assert guard.refusal("Be strict. Rate from 1 to 10.") == "scale_change"


# --- what comes from the examples ---


def test_seven_words_in_a_row_are_no_copy_but_eight_are():
    words = COPIED.split()
    assert GUARD.refusal("Mind " + " ".join(words[:7])) is None
    assert GUARD.refusal("Mind " + " ".join(words[:8])) == "copied_text"


@pytest.mark.parametrize("copy", [COPIED.upper(), COPIED.replace(" ", ", "), COPIED.replace("week", "weeks")])
def test_a_copy_in_other_case_punctuation_or_number_is_one(copy):
    assert GUARD.refusal(f"Remember that {copy}!") == "copied_text"


def test_validation_examples_and_reasons_are_guarded_like_training_documents():
    validation = make_example(split="val", reason="The invoice total agrees with the order that was mentioned earlier.")
    guard = Guardrails(SCALE, BASELINE, [validation])
    assert guard.refusal("Check that the invoice total agrees with the order that was mentioned.") == "copied_text"


def test_what_the_baseline_or_an_own_text_says_is_no_copy():
    assert Guardrails(SCALE, COPIED, EXAMPLES).refusal(f"Mind {COPIED}") is None
    assert Guardrails(SCALE, BASELINE, EXAMPLES, [COPIED]).refusal(f"Mind {COPIED}") is None


def test_a_run_of_words_without_a_topic_is_common_language():
    guard = Guardrails(SCALE, BASELINE, [make_example(document="It is what it is and that is that, as they are.")])
    assert guard.refusal("Say it: it is what it is and that is that.") is None


@pytest.mark.parametrize(("num_queries", "refusal"), [(4, "copied_text"), (5, None)])
def test_what_many_queries_say_is_the_language_of_the_data(num_queries, refusal):
    said = "Last reviewed by the content team on the first working day of the month."
    guard = Guardrails(SCALE, BASELINE, examples_of(num_queries, said))
    assert guard.refusal(f"Look for a note such as: {said}") == refusal


@pytest.mark.parametrize(("num_queries", "refusal"), [(4, "copied_token"), (5, None)])
def test_a_rare_word_is_one_of_few_queries(num_queries, refusal):
    guard = Guardrails(SCALE, BASELINE, examples_of(num_queries, "The flumphery is closed."))
    assert guard.refusal("Prefer what mentions a flumphery.") == refusal


def test_a_rare_word_of_a_large_data_set_may_occur_in_more_queries():
    others = [make_example(number=n, query_id=f"q{n}") for n in range(20, 400)]
    guard = Guardrails(SCALE, BASELINE, [*examples_of(19, "The flumphery is closed."), *others])
    assert guard.refusal("Prefer what mentions a flumphery.") == "copied_token"


def test_common_english_is_free_even_where_the_examples_say_it_once():
    guard = Guardrails(SCALE, BASELINE, [make_example(document="An authoritative, outdated and ambiguous snapshot.")])
    assert guard.refusal("Do not trust an ambiguous or outdated snapshot; be authoritative.") is None


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("Ask @rgill about it.", "Trust whatever @rgill writes."),
        ("Write to desk.one@corp.example for help.", "Mail from desk.one@corp.example is official."),
        (
            "See https://wiki.corp.example/leave/rules today.",
            "The page https://wiki.corp.example/leave/rules is official.",
        ),
        ("Ticket OPS-4711 is closed.", "Documents like ops-4711 are closed tickets."),
        ("The total is 4,862 in all.", "An answer that names 4862 is right."),
        ("He and Golden agreed.", "Trust what Golden says."),
        ("Post it in #desk-help now.", "Messages in #desk-help count."),
        ("Open plan_final.xlsx first.", "The sheet plan_final.xlsx is the newest."),
    ],
)
def test_names_handles_addresses_tickets_and_numbers_are_refused(said, text):
    assert Guardrails(SCALE, BASELINE, [make_example(document=said)]).refusal(text) == "copied_token"
    assert Guardrails(SCALE, BASELINE, []).refusal(text) is None


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("It was 2019 then.", "Documents of 2019 may be outdated."),
        ("There are 300 of them.", "Read the first 300 words."),
        ("Used 137 words.", "Use at most 137 words."),
        ("Open 24/7 for all.", "Support that is there 24/7 is better."),
        ("Meet on Monday in March.", "A meeting on a Monday in March is no other meeting."),
    ],
)
def test_years_round_numbers_lengths_and_days_are_free(said, text):
    assert Guardrails(SCALE, BASELINE, [make_example(document=said)]).explain(text) is None


def test_a_rating_is_leaked_only_with_the_topic_of_an_example():
    example = make_example(document="Lunar gravity bends the copper antenna of the rover.")
    guard = Guardrails(SCALE, BASELINE, [example])
    assert guard.refusal("Texts about a copper antenna and gravity are rated 2.") == "leaked_rating"
    assert guard.refusal("Texts about a copper antenna and gravity are long.") is None
    assert guard.refusal("Texts about a neighbouring topic are rated 2.") is None


def test_without_english_only_runs_and_references_count():
    baseline = "Lies die Anfrage und das Dokument und entscheide, wie gut es dem Bedarf dient."
    example = make_example(document="Der Reisekostenantrag liegt seit Montag bei Frau Petersen, Vorgang REI-8812.")
    guard = Guardrails(SCALE, baseline, [example])
    assert guard.refusal("Ein Reisekostenantrag ist kein Urlaubsantrag.") is None
    assert guard.refusal("Achte auf REI-8812.") == "copied_token"
    assert guard.refusal("Der Reisekostenantrag liegt seit Montag bei Frau Petersen.") == "copied_text"


def test_characters_without_spaces_between_them_are_words():
    guard = Guardrails(
        SCALE, BASELINE, [make_example(document="\u4f1a\u8bae\u5c06\u5728\u661f\u671f\u4e94\u4e0b\u5348")]
    )
    assert guard.refusal("\u4f1a\u8bae\u5c06\u5728\u661f\u671f\u4e94\u4e0b\u5348") == "copied_text"


def test_without_examples_the_other_rules_stand():
    guard = Guardrails(SCALE, BASELINE, [])
    assert guard.refusal("Look for what the person needs.") is None
    assert guard.refusal("Rate from 1 to 10.") == "scale_change"


# --- for all texts ---


@given(st.text(max_size=400))
def test_any_text_gets_an_answer(text):
    refused = GUARD.explain(text)
    assert refused is None or refused.reason in REASONS


_PARTS = [
    "rate",
    "1",
    "to",
    "10",
    "json",
    "<",
    "{",
    "not",
    "(",
    ",",
    ".",
    "\n",
    "-",
    "/",
    "answer",
    "@a",
    "of",
    "%",
    "\u2013",
]


@given(st.lists(st.sampled_from(_PARTS), max_size=60), st.sampled_from([" ", ""]))
def test_any_text_of_trigger_words_gets_an_answer(parts, between):
    refused = workplace_guard().explain(between.join(parts))
    assert refused is None or refused.reason in REASONS


SENTENCES = [
    "Read the query and think about what the person who typed it needs.",
    "Judge the meaning, not the number of shared words!",
    "Is the document about another team, product or period?",
    "Then it is at best partly useful (rate 2 or 3).",
    "A short document can be a perfect match, and a long one can be irrelevant.",
]


@given(
    st.permutations(SENTENCES), st.permutations(SENTENCES), st.integers(1, 5), st.sampled_from([" ", "\n", "\n\n- "])
)
def test_the_baselines_own_sentences_are_no_copy_in_any_order(told, proposed, count, between):
    guard = Guardrails(SCALE, " ".join(SENTENCES), [make_example(document=" ".join(told), reason=told[0])])
    assert guard.explain(between.join(proposed[:count])) is None


@given(st.lists(st.sampled_from(" ".join(SENTENCES).split()), min_size=1, max_size=80))
def test_the_baselines_own_words_are_no_copy_in_any_order(words):
    text = " ".join(words)
    guard = Guardrails(SCALE, " ".join(SENTENCES), [make_example(document=text)])
    assert guard.refusal(text) not in {"copied_text", "copied_token", "leaked_rating"}


@pytest.mark.parametrize("part", ["1/", "1 to ", "a-", "1, ", "rate ", "not ", "@", "(", "{", "json "])
def test_no_text_takes_long(part):
    guard = Guardrails(SCALE, "word " * 3_900, EXAMPLES)
    text = "Judge this. " + part * (19_000 // len(part))
    start = time.process_time()
    guard.refusal(text)
    assert time.process_time() - start < 3.0


def test_many_examples_are_prepared_in_seconds():
    start = time.process_time()
    guard = Guardrails(SCALE, BASELINE, make_examples(10_000))
    assert time.process_time() - start < 10.0
    assert guard.refusal("Look for what the person needs.") is None
