"""What we rely on of the installed `gepa` and `dspy`, on a task of six numbers: a text is right on those it names."""

from __future__ import annotations

import contextlib
import io
import json
import random
import re
from collections import Counter
from copy import deepcopy
from typing import Any

import dspy
import gepa
import pytest
from gepa.core.adapter import EvaluationBatch
from gepa.gepa_utils import select_program_candidate_from_pareto_front
from gepa.strategies.proposal_sampling import PxNSampling

from benchmarks.dspy_landscape import language_model, prompt_of

NUMBERS = [11, 22, 33, 44, 55, 66]
SEED_TEXTS = {"first": "Know nothing.", "second": "Know 11."}
MINIBATCH = 2
PARENTS, CHILDREN = 2, 2
BUDGET = 120


def knows(text: str, number: int) -> float:
    return float(str(number) in text)


def reflect(prompt: str) -> str:
    """A revision that names what the prompt names."""
    named = sorted(set(re.findall(r"\b(\d\d)\b", prompt)))
    return f"Know {' '.join(named)}. The number:"


def in_backticks(prompt: str) -> str:
    """The form in which `gepa` looks for a revision."""
    return f"I thought about it.\n```\n{reflect(prompt)}\n```"


class Sequential:
    """Adapter with no more than the protocol asks for; `log` says in what order the library comes to it."""

    propose_new_texts = None

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.judged = 0
        self.shown: list[Any] = []

    def evaluate(self, batch, candidate, capture_traces=False):
        self.log.append("evaluate")
        return self.judge(batch, candidate)

    def judge(self, batch, candidate):
        text = " ".join(candidate.values())
        self.judged += len(batch)
        return EvaluationBatch(
            outputs=[f"output {number}" for number in batch],
            scores=[knows(text, number) for number in batch],
            trajectories=[("trajectory", number) for number in batch],
            num_metric_calls=len(batch),
        )

    def make_reflective_dataset(self, candidate, eval_batch, components_to_update):
        self.shown.append(eval_batch)
        records = [{"Inputs": {}, "Generated Outputs": "", "Feedback": f"name {n}"} for _, n in eval_batch.trajectories]
        return dict.fromkeys(components_to_update, records)


class Batching(Sequential):
    """Adapter that judges several batches at once."""

    def __init__(self, log: list[str]) -> None:
        super().__init__(log)
        self.items: list[int] = []

    def batch_evaluate(self, items):
        self.log.append("batch")
        self.items.append(len(items))
        return [self.judge(batch, candidate) for candidate, batch in items]


class Reflecting:
    """Reflection model in the form of `gepa.lm.LM`, one prompt at a time."""

    total_cost = 0.0

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, prompt):
        self.calls += 1
        return in_backticks(prompt)


class ReflectingAtOnce(Reflecting):
    """The same with `batch_complete`."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[list[dict[str, Any]]]] = []

    def batch_complete(self, messages_list):
        self.batches.append(messages_list)
        return [in_backticks(messages[0]["content"]) for messages in messages_list]


class Watcher:
    """Callbacks that note what they are told."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.averages: list[float] = []

    def on_evaluation_start(self, event):
        self.log.append("start")

    def on_evaluation_end(self, event):
        self.log.append("end")

    def on_valset_evaluated(self, event):
        self.log.append("valset")
        self.averages.append(event["average_score"])


class Quiet:
    def log(self, message):
        pass


class Searched:
    """One search of `gepa.optimize`, with the arguments that the benchmark gives it."""

    def __init__(self, make_adapter=Batching, make_reflection=ReflectingAtOnce) -> None:
        self.log: list[str] = []
        self.adapter = make_adapter(self.log)
        self.reflection = make_reflection()
        self.watcher = Watcher(self.log)
        self.result = gepa.optimize(
            seed_candidate=dict(SEED_TEXTS),
            trainset=list(NUMBERS),
            valset=list(NUMBERS),
            adapter=self.adapter,
            reflection_lm=self.reflection,
            reflection_minibatch_size=MINIBATCH,
            max_metric_calls=BUDGET,
            sampling_strategy=PxNSampling(PARENTS, CHILDREN),
            callbacks=[self.watcher],
            logger=Quiet(),
            seed=3,
        )


# --- parents from the Pareto front ---


def test_parents_are_drawn_as_often_as_they_stand_on_a_front_without_dominated_programs():
    fronts = {0: {0, 1}, 1: {1}, 2: {2}, 3: {1, 0}}  # wherever program 0 stands, 1 stands too
    chance = random.Random(5)
    drawn = Counter(select_program_candidate_from_pareto_front(fronts, [0.3, 0.5, 0.4], chance) for _ in range(4_000))
    assert set(drawn) == {1, 2}
    assert drawn[1] / 4_000 == pytest.approx(3 / 4, abs=0.03)


@pytest.mark.parametrize(("means", "stays"), [([0.2, 0.9], 1), ([0.9, 0.2], 0)])
def test_of_two_programs_on_the_same_fronts_the_one_with_the_lower_mean_goes(means, stays):
    chance = random.Random(5)
    fronts = {place: {0, 1} for place in range(3)}
    assert {select_program_candidate_from_pareto_front(fronts, means, chance) for _ in range(50)} == {stays}


def test_a_parent_follows_from_the_state_of_the_generator_and_nothing_that_was_given_changes():
    fronts = {place: {place % 3, (place * place) % 4} for place in range(12)}
    means = [0.1, 0.2, 0.3, 0.4]
    given = deepcopy((fronts, means))

    def draw(count):
        chance = random.Random("a seed")
        return [select_program_candidate_from_pareto_front(fronts, means, chance) for _ in range(count)]

    random.seed(1)
    first = draw(30)
    random.seed(2)
    assert draw(30) == first and len(set(first)) > 1
    assert (fronts, means) == given


# --- gepa.optimize ---


def test_gepa_finds_the_best_text_and_counts_what_the_adapter_judged():
    searched = Searched()
    best = searched.result.best_candidate
    assert set(best) == set(SEED_TEXTS)
    assert all(str(number) in " ".join(best.values()) for number in NUMBERS)
    assert searched.result.total_metric_calls == searched.adapter.judged
    assert BUDGET <= searched.adapter.judged < 2 * BUDGET
    assert Searched().result.best_candidate == best


def test_gepa_hands_the_fields_of_an_evaluation_on_as_they_are():
    shown = Searched().adapter.shown
    assert shown
    for batch in shown:
        assert len(batch.outputs) == MINIBATCH
        assert [f"output {number}" for _, number in batch.trajectories] == batch.outputs
        assert batch.num_metric_calls == MINIBATCH and len(batch.scores) == MINIBATCH


def test_gepa_judges_by_batch_evaluate_where_the_adapter_has_it_and_else_one_by_one():
    at_once, one_by_one = Searched(), Searched(make_adapter=Sequential)
    assert at_once.log.count("evaluate") <= 1  # the seed on the validation set
    assert max(at_once.adapter.items) > 1
    assert one_by_one.log.count("evaluate") > 10
    assert one_by_one.result.best_candidate == at_once.result.best_candidate
    assert one_by_one.adapter.judged == at_once.adapter.judged


def test_gepa_reflects_by_batch_complete_where_the_model_has_it_and_else_one_by_one():
    at_once, one_by_one = Searched(), Searched(make_reflection=Reflecting)
    batches = at_once.reflection.batches
    assert len(batches[0]) > 1
    assert all(isinstance(messages[0]["content"], str) for batch in batches for messages in batch)
    assert one_by_one.reflection.calls == at_once.reflection.calls + sum(map(len, batches))
    assert one_by_one.result.best_candidate == at_once.result.best_candidate


def test_a_step_has_parents_times_children_minibatches():
    log = Searched().log
    first_step = log[log.index("valset") + 1 :]
    assert first_step[: first_step.index("batch")] == ["start"] * (PARENTS * CHILDREN)


def test_callbacks_come_around_every_wave_and_tell_the_mean_on_the_validation_set():
    searched = Searched()
    log = searched.log
    assert log[0] in ("evaluate", "batch") and log[1] == "valset"
    assert searched.watcher.averages[0] == pytest.approx(1 / 6)  # the seed knows one of six
    assert searched.watcher.averages[-1] == max(searched.watcher.averages) == 1.0
    assert log.count("start") == log.count("end")
    neighbours = [(log[i - 1], log[i + 1]) for i, entry in enumerate(log) if entry == "batch" and i]
    assert set(neighbours) <= {("start", "end"), ("end", "valset")}, "a minibatch wave, or accepted candidates"


# --- dspy.GEPA ---


def test_dspy_gepa_rewrites_the_instruction_and_counts_what_the_metric_scored():
    judged: list[str] = []
    named: list[str | None] = []
    watcher = Watcher([])

    def answer(request):
        prompt = prompt_of(request)
        judged.append(prompt)
        instruction, question = prompt.split("The number:")[0], prompt.rsplit("Q", 1)[1][:2]
        return f'{{"answer": "{"yes" if question in instruction else "no"}"}}'

    def metric(example, prediction, trace=None, pred_name=None, pred_trace=None):
        named.append(pred_name)
        score = float(prediction.answer == "yes")
        return score if pred_name is None else dspy.Prediction(score=score, feedback=f"name {example.question[1:]}")

    data = [dspy.Example(question=f"Q{number}").with_inputs("question") for number in NUMBERS]
    optimizer = dspy.GEPA(
        metric=metric,
        max_metric_calls=60,
        reflection_minibatch_size=MINIBATCH,
        reflection_lm=language_model(lambda request: json.dumps({"new_instruction": reflect(prompt_of(request))})),
        num_threads=1,
        track_stats=True,
        seed=3,
        gepa_kwargs={"callbacks": [watcher]},
    )
    settings = dspy.context(
        lm=language_model(answer), adapter=dspy.JSONAdapter(), disable_history=True, track_usage=False
    )
    student = dspy.Predict(dspy.Signature("question -> answer", "Know 11. The number:"))
    with settings, contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        best = optimizer.compile(student, trainset=data, valset=data)
    assert best.signature.instructions != student.signature.instructions
    assert best.detailed_results.total_metric_calls == len(judged) >= 60
    assert watcher.averages[0] == pytest.approx(1 / 6) and max(watcher.averages) > watcher.averages[0]
    assert None in named and any(named), "scores without a predictor's name, feedback with it"
