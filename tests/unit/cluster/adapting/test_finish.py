"""The end of `optimize`: what was found in the search is in the result, the report and MLflow."""

import json
from pathlib import Path

import pytest

from cluster.adapting.adaptation import Adaptation
from cluster.adapting.config import OptimizeConfig
from cluster.adapting.evidence import Proof
from cluster.adapting.finish import Adapted, finish_adaptation
from cluster.adapting.search import Search, Spending, Validation
from cluster.measuring.measure import Measured
from cluster.progress import Progress
from cluster.registry.store import Registry
from cluster.runs.folder import RunFolder
from cluster.runs.run import Run
from judge_serve.judging import Release
from optimize_workers.dataset.splits import load_dataset
from optimize_workers.evaluation.budget import Budget, Cost
from optimize_workers.evaluation.watched import Counts
from optimize_workers.evidence.gate.check import GateResult
from optimize_workers.statistics.comparison import compare
from optimize_workers.statistics.metrics import measure
from tests.builders import JUDGE, SCALE, make_examples, make_judgment
from tests.recorded_searches import of_pairs
from tests.unit.cluster.studies import gepa_study


@pytest.fixture
def dataset(tmp_path):
    rows = [
        {"query": f"query {n}", "document": f"document {n}", "rating": n % 5 + 1, "split": split}
        for n, split in enumerate(["train", "train", "val", "val", "test", "test"])
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return load_dataset(str(path), SCALE)


def adapted_by(study):
    """A search whose baseline and winner were measured on two examples."""
    examples = make_examples(2, "test")
    judgments = of_pairs([make_judgment(1), make_judgment(3)], examples)
    figures = measure(judgments, examples, SCALE)
    baseline = Measured(Release(judge=JUDGE), examples, judgments, figures, 1.0)
    judge = JUDGE.model_copy(update={"program": study.winner})
    winner = baseline._replace(release=Release(judge=judge))
    compared = compare(judgments, judgments, examples, SCALE)
    budget = Budget(300)
    budget.settle(budget.promise(250), Cost(250))
    search = Search(study, budget, Spending(Counts(), 7, 0), Validation(tuple(examples), 12.5))
    return Adapted(search, Proof(baseline, winner, compared, GateResult(False, ["too few"]), test_openings=1))


def adaptation_in(folder, dataset, config):
    """What is left of an adaptation when its session is closed."""
    run = Run("optimize", folder, ledger=None, progress=Progress())
    return Adaptation(
        JUDGE,
        dataset,
        session=None,
        run=run,
        config=config,
        measurer=None,
        writer=JUDGE.model,
    )


@pytest.fixture
def finished(tmp_path, dataset, registry_home):
    """The result of the search in `studies`, its folder, and its run in MLflow."""
    study, registry = gepa_study(), Registry(registry_home)
    folder = RunFolder.create(tmp_path / "run", {})
    for trial in study.trials:
        folder.append_line("candidates.jsonl", trial.as_dict())
    config = OptimizeConfig(data="rows.jsonl", optimizer="gepa", out=folder.path)
    result = finish_adaptation(adaptation_in(folder, dataset, config), adapted_by(study), registry)
    (experiment,) = [e for e in registry._client.search_experiments() if e.name == "relevance-judge"]
    (run,) = registry._client.search_runs([experiment.experiment_id])
    return result, folder, registry._client, run


def test_the_result_says_what_racing_saved(finished):
    result, *_ = finished
    assert (result["calls"], result["calls_saved"]) == (250, 56)


def test_the_result_has_the_difference_of_every_figure(finished):
    result, *_ = finished
    assert set(result["differences"]) == {"nmse", "validity", "qwk", "bias", "abs_bias", "grades"}
    assert result["differences"]["nmse"]["delta"] == result["comparison"]["delta_nmse"]
    assert result["luck"] is None  # these trials hold no scores
    assert "human" not in result  # no example has several raters
    json.dumps(result, allow_nan=False)


def test_mlflow_has_the_search_over_judge_calls(finished):
    _, _, client, run = finished
    histories = {
        name: [(m.step, round(m.value, 6)) for m in client.get_metric_history(run.info.run_id, name)]
        for name in ("val_nmse", "best_val_nmse", "val_validity")
    }
    assert histories == {
        "val_nmse": [(40, 30.0), (120, 20.0), (200, 12.5), (240, 25.0)],
        "best_val_nmse": [(40, 30.0), (120, 20.0), (200, 12.5), (240, 12.5)],
        "val_validity": [(40, 1.0), (120, 1.0), (200, 0.95), (240, 1.0)],
    }


def test_mlflow_has_the_totals_of_the_search(finished):
    _, _, _, run = finished
    totals = {name: value for name, value in run.data.metrics.items() if name.startswith(("calls", "refused"))}
    assert totals == {"calls": 250, "calls_saved": 56, "refused_copied_text": 2, "refused_too_long": 5}


def test_mlflow_keeps_the_candidates(finished, tmp_path):
    _, folder, client, run = finished
    kept = Path(client.download_artifacts(run.info.run_id, "candidates.jsonl", str(tmp_path)))
    assert kept.read_text(encoding="utf-8") == (folder.path / "candidates.jsonl").read_text(encoding="utf-8")


def test_the_report_shows_the_candidates(finished):
    _, folder, *_ = finished
    assert 'id="candidates"' in (folder.path / "report.html").read_text(encoding="utf-8")


def test_mlflow_keeps_the_figures_of_the_report(finished, tmp_path):
    _, _, client, run = finished
    figures = json.loads(Path(client.download_artifacts(run.info.run_id, "figures.json", str(tmp_path))).read_text())
    assert {chart["name"] for chart in figures["charts"]} >= {"axis", "course"}
    (table,) = [table for table in figures["tables"] if table["section"] == "Figures"]
    assert table["rows"][0][0] == "NMSE"


def test_the_folder_keeps_what_the_search_started_from(finished):
    result, folder, *_ = finished
    assert Release.from_file(folder.path / "baseline.json").id == result["baseline"]["judge"]["release"]


def test_the_result_says_what_it_was_made_with(finished):
    result, *_ = finished
    assert {"python", "ray", "dspy", "mlflow"} <= set(result["versions"])
    assert result["finished_at"].endswith("+00:00")
