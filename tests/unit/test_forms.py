"""The form of the tree: rooms, the arrows between them, and how large a thing may be."""

import ast
import tomllib

import pytest

from tests.source_tree import (
    ROOT,
    functions,
    imported_by,
    imports,
    modules,
    num_lines,
    num_parameters,
    room_of,
)

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_PARAMETERS = 7
MAX_CROSSINGS = 100  # file-to-file imports across rooms of cluster/ that do not start in commands/
GROUND = {"__init__", "__main__", "progress", "failures"}
NUM_AT_TOP = 6  # modules beside the rooms of optimize_workers/
TESTS = sorted((ROOT / "tests").rglob("*.py"))
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
LAYERED = [contract for contract in CONTRACTS if contract["type"] == "layers"]


def layers_of(contract):
    """(layer number, module prefix) of a layers contract, the uppermost layer first."""
    container = contract.get("containers", [""])[0]
    prefix = f"{container}." if container else ""
    return [
        (number, prefix + name.strip().strip("()"))
        for number, line in enumerate(contract["layers"])
        for name in line.replace("|", ":").split(":")
    ]


def layer_of(module, contract):
    fitting = [
        (len(name), number) for number, name in layers_of(contract) if module == name or module.startswith(f"{name}.")
    ]
    return max(fitting)[1] if fitting else None


def climbs(importer, imported, contract):
    """Whether an import goes from a layer to a higher one."""
    low, high = layer_of(importer, contract), layer_of(imported, contract)
    return low is not None and high is not None and high < low


def test_cluster_holds_rooms_and_its_ground():
    assert {path.stem for path in (ROOT / "cluster").glob("*.py")} == GROUND


def test_few_modules_stand_beside_the_rooms_of_optimize_workers():
    beside = [path.stem for path in (ROOT / "optimize_workers").glob("*.py") if path.stem != "__init__"]
    assert len(beside) <= NUM_AT_TOP, beside


def test_rooms_of_cluster_are_loosely_coupled():
    crossings = [
        one
        for one in imports()
        if one.importer.startswith("cluster.")
        and one.importer != "cluster.__main__"  # the way into the commands, in no room
        and one.imported.startswith("cluster.")
        and room_of(one.importer) not in ("cluster.commands", room_of(one.imported))
    ]
    assert len(crossings) <= MAX_CROSSINGS


def test_no_room_imports_the_commands():
    into = [one for one in imports() if room_of(one.imported) == "cluster.commands"]
    assert {room_of(one.importer) for one in into} <= {"cluster.commands", "cluster.__main__"}


@pytest.mark.parametrize("package", ["cluster", "judge_serve", "optimize_workers"])
def test_no_rooms_import_each_other_in_a_circle(package):
    arrows = {}
    for one in imports():
        inside = one.importer.startswith(f"{package}.") and one.imported.startswith(f"{package}.")
        if inside and room_of(one.importer) != room_of(one.imported):
            arrows.setdefault(room_of(one.importer), set()).add(room_of(one.imported))
    while leaves := [room for room in arrows if not arrows[room] & arrows.keys()]:
        for room in leaves:
            del arrows[room]
    assert not arrows, f"in a circle: {arrows}"


@pytest.mark.parametrize("contract", LAYERED, ids=lambda contract: contract["name"])
def test_no_import_climbs(contract):
    assert [one for one in imports() if climbs(*one, contract)] == []


@pytest.mark.parametrize(
    ("importer", "source"),
    [
        ("cluster.registry.store", "from cluster.adapting.search import run_search"),
        ("cluster.runs.folder", "import cluster.registry.store"),
        ("cluster.progress", "def f():\n    from cluster.runs import folder"),
        ("cluster.adapting.search", "from cluster.commands import running"),
        ("optimize_workers.texts.wording", "from optimize_workers.guardrails import guard"),
        ("optimize_workers.study", "from optimize_workers.optimizers import OPTIMIZERS"),
        ("optimize_workers.statistics.racing", "from optimize_workers.evaluation.budget import Budget"),
        ("judge_serve.judging.judge", "from judge_serve.engines.http import HttpEngine"),
        ("judge_serve.catalogue.entries", "from judge_serve.engines import wire"),
        ("judge_serve.serving.ingress", "from cluster.endpoint import session"),
    ],
)
def test_a_room_that_imports_what_it_may_not_is_found(importer, source):
    imported = list(imported_by(source))
    assert imported, "the module of the example is there"
    assert any(climbs(importer, name, contract) for name in imported for contract in LAYERED)


@pytest.mark.parametrize("name", modules())
def test_a_module_is_one_idea_of_a_readable_size(name):
    source = modules()[name].read_text(encoding="utf-8")
    assert source.count("\n") <= MAX_MODULE_LINES
    assert ast.get_docstring(ast.parse(source)), "the first line says what the module is"


@pytest.mark.parametrize("name", modules())
def test_a_function_fits_a_screen_and_takes_few_parameters(name):
    for node in functions(modules()[name]):
        assert num_lines(node) <= MAX_FUNCTION_LINES, node.name
        assert num_parameters(node) <= MAX_PARAMETERS, node.name


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_test_module_is_of_a_readable_size(path):
    assert path.read_text(encoding="utf-8").count("\n") <= MAX_MODULE_LINES
    for node in functions(path):
        assert num_lines(node) <= MAX_FUNCTION_LINES, node.name
        assert num_parameters(node) <= MAX_PARAMETERS, node.name
