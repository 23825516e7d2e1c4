"""What `optimize` finds in the data before anything is started."""

import json

import pytest

from cluster.adapting.config import OptimizeConfig
from cluster.adapting.optimize import run_optimize
from cluster.progress import Progress
from judge_serve.judging import RefusedInputError

TEXT = " ".join(f"word{number}" for number in range(30))
JUDGE_FILE = f"""
[program.sections]
rubric = "Rate the pair."
[[program.demonstrations]]
query = "query 0"
document = "{TEXT.upper()}"
rating = 3
explanation = "why"
"""


@pytest.fixture
def optimize(tmp_path, monkeypatch):
    """`optimize` of ten rows of each split, whose documents can be changed; the budget is too small to start."""
    monkeypatch.setenv("RELEVANCE_JUDGE_HOME", str(tmp_path / "home"))

    def run(documents, **config):
        rows = [
            {"query": f"query {n}", "document": documents.get(n, f"document {n}"), "doc_id": f"d{n}", "rating": 3}
            | {"split": ("train", "val", "test")[n // 10]}
            for n in range(30)
        ]
        data = tmp_path / "data.jsonl"
        data.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        model = "http://127.0.0.1:9/v1#none"
        run_optimize(
            OptimizeConfig(data=str(data), optimizer="gepa", model=model, budget=1, out=tmp_path / "out", **config),
            Progress(),
        )

    return run


def test_near_copies_are_told(optimize, capsys):
    with pytest.raises(RefusedInputError, match="--budget 1 is too small"):
        optimize({3: TEXT, 21: TEXT.upper()})
    assert "1 documents of train are near copies of documents of val or test, such as d3" in " ".join(
        capsys.readouterr().err.split()
    )


def test_a_judge_that_shows_a_test_document_is_refused(optimize, tmp_path):
    judge = tmp_path / "judge.toml"
    judge.write_text(JUDGE_FILE, encoding="utf-8")
    with pytest.raises(RefusedInputError, match="demonstration 1 of the judge shows document 'd25' of split 'test'"):
        optimize({25: TEXT}, judge=judge)
    with pytest.raises(RefusedInputError, match="--budget 1 is too small"):
        optimize({5: TEXT}, judge=judge)
