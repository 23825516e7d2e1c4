"""A ledger that version 0.1 wrote answers again once a sample of it agrees, and not before."""

import shutil

import pytest

from cluster.endpoint.meeting import contacted, meet
from cluster.endpoint.models import resolve_model
from cluster.progress import Progress
from cluster.runs.run import open_ledger
from judge_serve.judging.judge_call import call_keys, calls_of
from judge_serve.judging.judge_file import load_judge_file
from judge_serve.judging.judgment import AnswerMode
from optimize_workers.dataset.splits import draw_examples, load_dataset
from optimize_workers.evaluation.answered_by import calls_to
from tests.contract.endpoints import json_answer
from tests.contract.model_endpoint import model_endpoint
from tests.recorded import commands as recorded_commands


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.delenv("RELEVANCE_JUDGE_STORE", raising=False)
    monkeypatch.delenv("RELEVANCE_JUDGE_MODEL_KEY", raising=False)
    monkeypatch.setenv("RELEVANCE_JUDGE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def endpoint():
    with model_endpoint() as opened:
        yield opened


@pytest.fixture
def old(home):
    """A ledger that version 0.1 wrote of 30 examples, and the calls that it answers, at the address of that time."""
    home.mkdir()
    shutil.copy(recorded_commands.LEDGER, home / "ledger.db")
    judge = load_judge_file(recorded_commands.EXAMPLES / "judge.toml").judge(
        resolve_model(recorded_commands.MODEL).former, AnswerMode.GENERATE
    )
    dataset = load_dataset(recorded_commands.DATA, judge.task.scale)
    calls = calls_of(judge, draw_examples(dataset.by_split["val"], 30))
    with open_ledger() as ledger:
        found = ledger.find(call_keys(calls))
    assert len(found) == 30
    return calls, found


@pytest.mark.parametrize("is_same", [True, False])
def test_what_version_0_1_recorded_answers_once_a_sample_of_it_agrees(old, endpoint, capsys, is_same):
    calls, found = old
    texts = {}
    for call, key in zip(calls, call_keys(calls), strict=True):
        texts[call.item.document.replace("<", "&lt;")] = found[key].raw_reply
    answer = endpoint._answer

    def as_then(received):
        user = received.body["messages"][-1]["content"]
        reply = next((text for document, text in texts.items() if f"<document>\n{document}\n" in user), None)
        if reply is None or not is_same:
            return answer(received)
        choice = {"message": {"content": reply}, "finish_reason": "stop"}
        return json_answer({"choices": [choice], "model": "m"})

    endpoint.answer = as_then
    then = resolve_model(recorded_commands.MODEL).former
    with open_ledger() as ledger, Progress() as progress:
        for start_number in range(2):
            choice = contacted(resolve_model(f"{endpoint.url}#m")._replace(former=then), progress)
            met = meet(choice, ledger, progress, calls)
            said = " ".join(capsys.readouterr().err.split())
            assert met.has_recorded(calls, ledger) is (is_same or start_number == 1)  # all were asked anew by then
            assert ("answers again" in said) is (is_same and start_number == 0)
            if not is_same:
                assert "what version 0.1 recorded of 'm' does not answer" in said or start_number
        if is_same:
            judgments = met.recorded(None, ledger).judge(calls)
            assert {judgment.identity for judgment in judgments} == {met.identity.id}
            before = [found[key].rating for key in call_keys(calls)]
            assert [judgment.rating for judgment in judgments] == before
    assert calls_to(calls, met.identity) is not calls
