"""The source tree as syntax trees: modules, who imports whom, and which room each belongs to."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("benchmarks", "cluster", "judge_serve", "optimize_workers")


class Import(NamedTuple):
    """A module and one that it imports, both by their dotted names."""

    importer: str
    imported: str


@cache
def modules() -> dict[str, Path]:
    """Files of all packages by the dotted names of their modules."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


@cache
def imports() -> tuple[Import, ...]:
    """Every pair of a module and a module of ours that it imports, once each."""
    pairs = {}
    for name, path in modules().items():
        for imported in imported_by(path.read_text(encoding="utf-8")):
            if imported != name:
                pairs[Import(name, imported)] = True
    return tuple(pairs)


def imported_by(source: str) -> Iterator[str]:
    """Modules of ours that a source imports, also inside functions; relative imports are not used here."""
    known = modules()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                if full in known:
                    yield full
                elif node.module in known:
                    yield node.module


def room_of(module: str) -> str:
    """The room of a module: the package under the top one; for what stands at the top, the module itself."""
    parts = module.split(".")
    return ".".join(parts[:2]) if len(parts) > 1 else module


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions of a file, methods and inner ones too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def num_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function, from its name to its end."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def num_parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Parameters beside `self` and `cls`, `*rest` and `**options` too."""
    args = node.args
    more = [arg for arg in (args.vararg, args.kwarg) if arg is not None]
    return sum(arg.arg not in ("self", "cls") for arg in [*args.posonlyargs, *args.args, *args.kwonlyargs, *more])
