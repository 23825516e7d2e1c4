"""The demo's arm in mode 'expected': calibrated on train, chosen on validation, compared on test."""

from types import SimpleNamespace

import pytest

from cluster.adapting.search import Validation
from cluster.commands.demo_loop import _better_of, _measure_expected
from cluster.endpoint.meeting import Met
from cluster.measuring.measure import Measurer
from cluster.progress import Progress
from judge_serve.judging import AnswerMode, EngineReply, Release
from optimize_workers.dataset.splits import Dataset
from optimize_workers.evaluation.recorded import Lookup
from tests.builders import JUDGE, make_examples
from tests.fakes import InProcessPool, MemoryStore, ScriptedEngine, json_reply

SPLITS = {split: make_examples(count, split) for split, count in (("train", 60), ("val", 20), ("test", 20))}
MET = Met(JUDGE.model, Lookup())
DATASET = Dataset("examples", "fingerprint", SPLITS, frozenset())


def rate(request):
    """Threes in words; in digits timid, a little higher for what people rate higher."""
    if not request.top_logprobs:
        return json_reply(3)
    gold = float(request.messages[-1]["content"].split("evidence ")[1][0])
    return EngineReply("2", "length", 10, 1, first_token_logprobs=(("2", -1.0), ("3", -1.5 + gold / 10)))


@pytest.fixture
def found():
    with Progress() as progress:
        measurer = Measurer(InProcessPool(ScriptedEngine(rate)), MemoryStore(), progress, MET)
        proof = measurer.measure(Release(judge=JUDGE), SPLITS["test"], "test")
        search = SimpleNamespace(validation=Validation(SPLITS["val"], 12.5), refusal=None)
        adapted = SimpleNamespace(search=search, proof=SimpleNamespace(baseline=proof, winner=proof, gate="gate"))
        expected = _measure_expected(SimpleNamespace(dataset=DATASET, measurer=measurer), adapted, num_fitted=40)
        return adapted, expected, _better_of(adapted, expected, progress)


def test_the_winner_is_calibrated_on_train_and_compared_on_test(found):
    _, expected, _ = found
    release = expected.calibrated.release
    assert release.judge.mode is AnswerMode.EXPECTED
    assert release.calibration.fitted_on.n == 40
    assert release.parents == (expected.winner.release.digest,)
    assert expected.calibration["before"]["nmse"] == expected.winner.figures.nmse
    assert (
        expected.calibration["after"]["nmse"] == expected.calibrated.figures.nmse < 1.0 < expected.winner.figures.nmse
    )
    assert {example.split for example in expected.calibrated.examples} == {"test"}
    assert release.evidence["calibration"]["kind"] == expected.calibration["kind"]


def test_the_calibrated_winner_is_deployed_where_validation_is_better(found):
    adapted, expected, (deployed, gate) = found
    assert expected.validation_nmse < adapted.search.validation.nmse
    assert (deployed, gate) == (expected.calibrated, expected.gate)
