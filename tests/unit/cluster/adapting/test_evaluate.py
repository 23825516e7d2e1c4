"""Evidence in `result.json` and in the tables: people, rankings, selection; the judgments come from the ledger."""

import json

import pytest

from cluster.adapting.config import EvaluateConfig
from cluster.adapting.evaluate import run_evaluate
from cluster.commands.evaluate import show as show_evaluated
from cluster.commands.optimize import show as show_optimized
from cluster.endpoint.judges import judge_to_run
from cluster.progress import Progress
from cluster.runs.run import open_ledger
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.judge_call import calls_of
from optimize_workers.dataset.splits import load_dataset
from optimize_workers.evaluation.recorded import Recorded
from tests.builders import SCALE
from tests.fakes import InProcessPool, ScriptedEngine, json_reply

DOCS = "abcd"


@pytest.fixture
def config(registry_home, tmp_path):
    """10 queries with 4 documents, rated by two people; two rankings of them."""
    ratings = {"a": [5, 5], "b": [4, 3], "c": [2, 2], "d": [1, 2]}
    pairs = [
        {"query": f"query {q}", "document": f"document {doc}{q}", "query_id": q, "doc_id": f"{doc}{q}"}
        | {"ratings": ratings[doc], "split": "test"}
        for q in range(10)
        for doc in DOCS
    ]
    lists = [
        {"ranking": name, "query_id": q, "doc_id": f"{doc}{q}", "rank": rank}
        for name, order in (("reversed", DOCS[::-1]), ("ideal", DOCS + "x"))
        for q in range(10)
        for rank, doc in enumerate(order)
    ]
    for name, rows in (("pairs", pairs), ("rankings", lists)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return EvaluateConfig(
        data=str(tmp_path / "pairs.jsonl"),
        model="embedded",  # pinned: asked nothing where all is recorded
        out=tmp_path / "run",
        rankings=str(tmp_path / "rankings.jsonl"),
        k=3,
    )


def evaluate(config, rate):
    """The result of a judge that replies `rate(document)`."""
    release, _ = judge_to_run(config)
    examples = load_dataset(config.data, SCALE).by_split["test"]
    documents = {e.item.document for e in examples}

    def reply(request):
        text = request.messages[-1]["content"]
        return rate(next(document for document in documents if f"<document>\n{document}\n" in text))

    with open_ledger() as ledger, Progress() as progress:
        Recorded(InProcessPool(ScriptedEngine(reply)), ledger).judge(calls_of(release.judge, examples))
    with Progress() as progress:
        return run_evaluate(config, progress)


def as_people(document):
    return json_reply({"a": 5, "b": 4, "c": 2, "d": 1}[document.split()[1][0]])


def test_the_result_says_what_people_reach_on_the_same_pairs(config):
    result = evaluate(config, as_people)
    human = result["human"]
    assert (human["n"], human["raters"]) == (40, 2)
    assert human["nmse"] == pytest.approx(6.25 / 2)  # two of four pairs are one apart
    assert human["nmse_constant"] == pytest.approx(result["nmse_constant"])
    assert human["nmse_of"]["judge"] == pytest.approx(result["nmse"])
    assert json.loads((config.out / "result.json").read_text(encoding="utf-8"))["human"] == human


def test_the_result_says_what_judge_labels_do_to_rankings(config, capsys):
    result = evaluate(config, as_people)
    ranking = result["ranking"]
    assert (ranking["k"], ranking["queries"], ranking["listed"], ranking["unlabelled"]) == (3, 10, 90, 10)
    (gap,) = ranking["differences"]
    assert (gap["first"], gap["second"], gap["agrees"]) == ("reversed", "ideal", True)
    show_evaluated(result)
    shown = capsys.readouterr().out
    assert "NDCG@3, 10 queries" in shown and "ideal - reversed" in shown
    assert "of 90 listed documents 10 without a human rating and 0 without a valid judgment" in shown
    assert "people     one against the others NMSE 3.1" in shown


def test_invalid_judgments_are_taken_out_of_the_lists(config):
    result = evaluate(config, lambda document: "what?" if document.startswith("document b") else as_people(document))
    assert (result["ranking"]["invalid"], result["ranking"]["unlabelled"]) == (20, 10)


def test_without_a_valid_judgment_there_is_no_ranking(config, capsys):
    result = evaluate(config, lambda document: "what?")
    assert result["ranking"] is None
    assert result["human"]["nmse_of"] == {"judge": 100.0}
    show_evaluated(result)
    assert "NDCG" not in capsys.readouterr().out


def test_bad_rankings_are_refused_before_anything_is_judged(config):
    with pytest.raises(RefusedInputError, match="no such file"), Progress() as progress:
        run_evaluate(config.model_copy(update={"rankings": "nowhere.jsonl"}), progress)
    assert not config.out.exists()


# --- the table of `optimize` ---


@pytest.mark.parametrize(
    ("luck", "line"),
    [
        (
            {"num_candidates": 9, "validation_nmse": 12.0, "by_selection": 0.5, "by_selection_alone": 1.25},
            "best of 9 on validation, NMSE 12.0, which choosing makes about 0.5 to 1.2 too low; on test 14.0",
        ),
        (
            {"num_candidates": 1, "validation_nmse": 12.0, "by_selection": 0.0, "by_selection_alone": 0.0},
            "best of 1 on validation, NMSE 12.0; on test 14.0",
        ),
        (
            {"num_candidates": 4, "validation_nmse": 12.0, "by_selection": None, "by_selection_alone": None},
            "best of 4 on validation, NMSE 12.0, of too few queries to say what luck did; on test 14.0",
        ),
    ],
)
def test_the_table_says_what_choosing_did(config, capsys, luck, line):
    judged = evaluate(config, as_people)
    show_optimized(
        {
            "optimizer": "gepa",
            "baseline": judged,
            "winner": judged,
            "comparison": {"delta_nmse": 0.0, "ci95": [-1.0, 1.0], "p_better": 0.0},
            "luck": {**luck, "test_nmse": 14.0},
            "human": judged["human"],
            "release": "abc",
            "calls": 1,
            "budget": 2,
            "gate": {"passed": True, "reasons": []},
        }
    )
    shown = capsys.readouterr().out
    assert f"selection  {line}" in shown
    assert "people     one against the others" in shown
