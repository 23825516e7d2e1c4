"""One door per heavy library: the syntax trees say who imports what, also inside functions."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("cluster", "judge_serve", "optimize_workers")
SERVE_HANDLE = ("judge_serve/engines/serve_handle.py",)
# library -> the files or folders that may import it; the longest name that fits an import decides
DOORS = {
    "ray": ("optimize_workers/evaluation/workers.py", "cluster/", "judge_serve/serving/", *SERVE_HANDLE),
    "ray.serve": ("cluster/endpoint/", "cluster/manifests/serve_config.py", "judge_serve/serving/", *SERVE_HANDLE),
    "ray.serve.llm": ("judge_serve/serving/models.py",),
    "ray.data": ("cluster/labeling/",),
    "vllm": ("judge_serve/serving/models.py",),
    "sklearn": ("optimize_workers/evidence/calibration_fit.py",),
    "torch": ("judge_serve/serving/embedded_model.py",),
    "transformers": ("judge_serve/serving/embedded_model.py",),
    "dspy": ("optimize_workers/optimizers/",),
    "gepa": ("optimize_workers/optimizers/",),
    "optuna": ("optimize_workers/optimizers/",),
    "mlflow": ("cluster/registry/",),
    "sqlalchemy": ("optimize_workers/ledger/",),
    "alembic": ("optimize_workers/ledger/",),
    "fastapi": ("judge_serve/serving/", "cluster/review/"),
    "uvicorn": ("cluster/review/serving.py",),
    "jinja2": ("cluster/report/", "cluster/review/"),
    "vl_convert": ("cluster/report/drawing.py",),
    "click": ("cluster/commands/",),
    "pyarrow": ("optimize_workers/dataset/", "optimize_workers/ledger/", "cluster/"),
}


def imported_names(source):
    """Every dotted name that a source imports, relative imports left out."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def door_of(name):
    """The library of `DOORS` that an imported name belongs to, or None."""
    fitting = [library for library in DOORS if name == library or name.startswith(f"{library}.")]
    return max(fitting, key=len, default=None)


def trespasses(path, source):
    """Libraries that a file imports past their door."""
    libraries = {door_of(name) for name in imported_names(source)} - {None}
    return sorted(lib for lib in libraries if not any(path == d or path.startswith(d) for d in DOORS[lib] if d))


SOURCES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}


@pytest.mark.parametrize("path", SOURCES)
def test_heavy_libraries_are_imported_behind_their_doors_only(path):
    assert trespasses(path, SOURCES[path]) == []


@pytest.mark.parametrize("library", sorted(set(DOORS) - {"ray.data", "vllm"}))
def test_every_door_is_used(library):
    """A door that nobody goes through is a rule about nothing."""
    assert any(library in {door_of(name) for name in imported_names(source)} for source in SOURCES.values())


@pytest.mark.parametrize(
    "source",
    [
        "import mlflow",
        "import mlflow.genai as m",
        "from mlflow import MlflowClient",
        "def f():\n    from mlflow.exceptions import MlflowException",
        "if True:\n    import mlflow",
    ],
)
def test_an_import_in_the_wrong_place_is_found(source):
    assert trespasses("cluster/endpoint/models.py", source) == ["mlflow"]
    assert trespasses("cluster/registry/store.py", source) == []


def test_a_door_inside_a_library_is_narrower_than_the_library():
    for source in ("from ray.serve import llm", "import ray.serve.llm", "from ray.serve.llm import LLMConfig"):
        assert "ray.serve.llm" in trespasses("cluster/endpoint/deploy.py", source)
    assert trespasses("cluster/endpoint/deploy.py", "from ray import serve") == []


def test_names_that_only_begin_alike_are_others():
    assert trespasses("judge_serve/judging/scale.py", "import rayon, torchlight, gepard") == []
