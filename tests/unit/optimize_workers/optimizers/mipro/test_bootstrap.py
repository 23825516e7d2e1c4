"""Bootstrap: the human's reason, or the judge's where it agreed; nobody is shown the pair it judges."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from judge_serve.judging import AnswerMode
from optimize_workers.dataset.splits import OptimizationData
from optimize_workers.optimizers.judging_once import JudgingOnce
from optimize_workers.optimizers.mipro.bootstrap import SIZES, Bootstrap
from optimize_workers.optimizers.mipro.example_sets import MAX_EXPLANATION_CHARS
from tests.builders import JUDGE, make_example, make_examples
from tests.fakes import json_reply
from tests.unit.optimize_workers.optimizers.searches import gold_of, make_study

VAL = make_examples(10, "val")
OWN = "as I see it"


def bootstrap(script, *, train=None, most=6, max_calls=100, num_sets=5, mode=AnswerMode.GENERATE):
    """The study after bootstrapping, the sets, and the judge calls said to be spent."""
    judge = JUDGE.model_copy(update={"mode": mode})
    data = OptimizationData(train=train or make_examples(60), val=VAL)
    study = make_study(script, judge=judge, data=data, budget=1_000)
    with ThreadPoolExecutor(8) as threads:
        started = Bootstrap(study, JudgingOnce(study, threads), num_sets=num_sets, most=most, max_calls=max_calls)
        return study, started.sets(), started.num_calls


def agree(request):
    return json_reply(gold_of(request), OWN)


def disagree(request):
    return json_reply(gold_of(request) % 5 + 1, OWN)


def reasons(one):
    return {shown.explanation for shown in one}


def test_every_second_set_shows_the_judges_reasons_where_it_agrees():
    _, sets, _ = bootstrap(agree)
    assert [reasons(one) for one in sets] == [{"fits the need"}, {OWN}] * 2 + [{"fits the need"}]
    assert [len(one) for one in sets] == list(SIZES[:5])


@pytest.mark.parametrize("script", [disagree, lambda request: "no idea", lambda request: json_reply(9, OWN)])
def test_a_judge_that_does_not_agree_explains_nothing(script):
    _, sets, _ = bootstrap(script)
    assert [reasons(one) for one in sets] == [{"fits the need"}] * 5


def test_a_long_reason_of_the_judge_is_not_shown():
    _, sets, _ = bootstrap(lambda request: json_reply(gold_of(request), "x" * (MAX_EXPLANATION_CHARS + 1)))
    assert [reasons(one) for one in sets] == [{"fits the need"}] * 5


def test_ratings_are_the_humans_always():
    study, sets, _ = bootstrap(disagree)
    gold = {(e.item.query, e.item.document): e.gold_rating for e in study.data.train}
    assert all(gold[d.query, d.document] == d.rating for one in sets for d in one)


def test_a_teacher_never_sees_the_pair_that_it_judges():
    seen = []

    def script(request):
        shown, asked = [turn["content"] for turn in request.messages[1:-1]], request.messages[-1]["content"]
        seen.append((asked in shown, len(shown) > 0))
        return agree(request)

    bootstrap(script, train=make_examples(12))
    assert seen
    assert not any(is_shown for is_shown, _ in seen)
    assert any(has_demonstrations for _, has_demonstrations in seen)


def test_teachers_are_recorded_on_training_examples_with_their_calls():
    study, _, num_calls = bootstrap(agree)
    assert [(t.split, t.is_full, t.origin["stage"]) for t in study.trials] == [("train", False, "demonstrations")] * 2
    assert study.trials[-1].calls == num_calls == SIZES[1] + SIZES[3]
    assert study.budget.used == num_calls


@pytest.mark.parametrize("max_calls", [0, 2, 3, 6, 7])
def test_teachers_cost_at_most_what_is_allowed(max_calls):
    study, sets, num_calls = bootstrap(agree, max_calls=max_calls)
    assert study.budget.used == num_calls <= max_calls
    assert len(sets) == 5


def test_without_human_reasons_those_are_shown_that_the_judge_explains():
    train = [make_example(float(n % 5 + 1), number=n, reason="") for n in range(60)]
    _, sets, _ = bootstrap(agree, train=train)
    assert [len(one) for one in sets] == list(SIZES[:5])
    assert {reason for one in sets for reason in reasons(one)} == {OWN}
    assert bootstrap(disagree, train=train)[1] == []


def test_in_mode_expected_nobody_is_asked_for_reasons():
    train = [make_example(float(n % 5 + 1), number=n, reason="") for n in range(60)]
    _, sets, num_calls = bootstrap(agree, train=train, mode=AnswerMode.EXPECTED)
    assert num_calls == 0
    assert [len(one) for one in sets] == list(SIZES[:5])


def test_a_set_is_never_larger_than_allowed():
    _, sets, _ = bootstrap(agree, most=2)
    assert {len(one) for one in sets} == {2}


def test_without_training_examples_that_may_be_shown_there_are_no_sets():
    assert bootstrap(agree, train=[make_example(3.5)])[1] == []


def test_a_teacher_sees_no_near_copy_of_the_document_that_it_judges():
    text = "Everyone who joins the group may book one of the rooms on the second floor for at most two hours a day"
    train = [
        make_example(float(n % 5 + 1), number=n, document=f"{text}, evidence {n % 5 + 1}. {'' if n < 20 else n}")
        for n in range(40)
    ]
    seen = []

    def script(request):
        shown = [turn["content"] for turn in request.messages[1:-1] if turn["role"] == "user"]
        seen.append(bool(shown))
        return agree(request)

    _, sets, _ = bootstrap(script, train=train)
    assert sets and seen
    assert not any(seen), "all documents nearly copy each other, so no teacher is shown any"


def test_a_grade_without_human_reasons_is_explained_by_the_judge():
    train = [make_example(float(n % 5 + 1), number=n, reason="because" if n % 5 == 2 else "") for n in range(60)]
    _, sets, _ = bootstrap(agree, train=train)
    assert {shown.rating for shown in sets[2]} == {1, 2, 3, 4, 5}
    assert max(Counter(shown.rating for one in sets for shown in one).values()) <= 6


def test_the_few_human_reasons_are_shown_where_the_judge_explains_nothing():
    train = [make_example(float(n % 5 + 1), number=n, reason="because" if n < 3 else "") for n in range(60)]
    _, sets, _ = bootstrap(lambda request: "no idea", train=train)
    assert sets
    assert {reason for one in sets for reason in reasons(one)} == {"because"}


def test_equal_sets_are_one():
    _, sets, _ = bootstrap(disagree, train=[make_example(3.0)])
    assert len(sets) == 1


def test_a_human_reason_of_a_page_is_none():
    train = [make_example(float(n % 5 + 1), number=n, reason="x" * 301) for n in range(60)]
    _, sets, _ = bootstrap(agree, train=train)
    assert {reason for one in sets for reason in reasons(one)} == {OWN}
