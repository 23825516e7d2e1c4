"""The command line `relevance-judge`: flags to configs, results to stdout, logs and progress to stderr."""

from __future__ import annotations

import logging
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from cluster.adapting.config import EvaluateConfig, OptimizeConfig
from cluster.commands.bullets import bullets_app
from cluster.commands.calibrate import calibrate as calibrate_command
from cluster.commands.demo import DemoConfig
from cluster.commands.gate import gate
from cluster.commands.ledger import ledger_app
from cluster.commands.releases import releases_app
from cluster.commands.report import report
from cluster.commands.review import review
from cluster.commands.running import EXIT_FAILED, AsJson, ConfigFile, DryRun, Resume, run_command
from cluster.endpoint.config import DeployConfig, ServeConfig
from cluster.endpoint.lifecycle import prepare_ray_environment
from cluster.labeling.config import LabelConfig
from cluster.progress import Progress
from cluster.runs.config import CommandConfig
from judge_serve.judging.judgment import AnswerMode


class OptimizerName(StrEnum):
    """Optimizers that `optimize` knows."""

    GEPA = "gepa"
    MIPRO = "mipro"
    BULLETS = "bullets"


class Split(StrEnum):
    """Splits of labelled data."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


app = typer.Typer(
    name="relevance-judge",
    help="Keep an LLM relevance judge good, cheap and trusted while models change under it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(gate)
app.add_typer(ledger_app)
app.command()(review)
app.command(name="calibrate")(calibrate_command)
app.command()(report)
app.add_typer(bullets_app)
app.add_typer(releases_app)

Out = Annotated[Path | None, typer.Option("--out", help="Folder of the run.")]
Model = Annotated[
    str | None,
    typer.Option("--model", help="embedded, catalogue name, folder, Hugging Face id, http(s)://host/v1#name."),
]
JudgeFileOption = Annotated[Path | None, typer.Option("--judge", help="Judge file (TOML); its prompt is the baseline.")]
Mode = Annotated[AnswerMode | None, typer.Option("--mode", help="How a rating is read.")]
Force = Annotated[str | None, typer.Option("--force", help="Reason for overriding the gate; it is recorded.")]


@app.command()
def demo(
    out: Out = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small budget and few examples.")] = False,
    budget: Annotated[int | None, typer.Option(help="Judge calls of the search.")] = None,
    seed: Annotated[int | None, typer.Option()] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    dry_run: DryRun = False,
) -> None:
    """The whole loop on the embedded model and the shipped examples."""
    from cluster.commands.demo import default_out, run_demo
    from cluster.commands.tables import demo_table

    flags: dict[str, Any] = {
        "out": out or (None if config else default_out()),
        "quick": quick or None,
        "budget": budget,
        "seed": seed,
    }
    run_command(DemoConfig, flags, config, dry_run, as_json, run_demo, demo_table)


@app.command()
def evaluate(
    data: Annotated[str | None, typer.Argument(help="Labelled data: file, folder or URI.")] = None,
    judge: JudgeFileOption = None,
    model: Model = None,
    release: Annotated[str | None, typer.Option(help="Measure a release: id, alias or path.")] = None,
    mode: Mode = None,
    split: Annotated[Split | None, typer.Option()] = None,
    limit: Annotated[int | None, typer.Option(help="At most this many examples, drawn by a fixed seed.")] = None,
    repeats: Annotated[int | None, typer.Option(help="Judge each example so often, to see the noise.")] = None,
    temperature: Annotated[float | None, typer.Option(help="In place of the judge file's temperature.")] = None,
    rankings: Annotated[
        str | None, typer.Option(help="Ranked lists of these pairs: their NDCG under human and judge labels.")
    ] = None,
    k: Annotated[int | None, typer.Option("--k", help="Rank that NDCG stops at, 10 by default.")] = None,
    out: Out = None,
    resume: Resume = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    dry_run: DryRun = False,
) -> None:
    """Measure one judge on one split."""
    from cluster.adapting.evaluate import run_evaluate
    from cluster.commands.tables import evaluate_table

    flags: dict[str, Any] = {
        "data": data,
        "judge": judge,
        "model": model,
        "release": release,
        "mode": mode,
        "split": split,
    }
    flags |= {"limit": limit, "repeats": repeats, "temperature": temperature, "rankings": rankings, "k": k}
    flags |= {"out": out, "resume": resume or None}
    run_command(EvaluateConfig, flags, config, dry_run, as_json, run_evaluate, evaluate_table)


@app.command()
def optimize(
    data: Annotated[str | None, typer.Argument(help="Labelled data: file, folder or URI.")] = None,
    optimizer: Annotated[OptimizerName | None, typer.Option()] = None,
    judge: JudgeFileOption = None,
    model: Model = None,
    reflection_model: Annotated[str | None, typer.Option(help="Model that writes instructions, as --model.")] = None,
    mode: Mode = None,
    budget: Annotated[int | None, typer.Option(help="Judge calls on train and val, baseline included.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Tokens of the search, of judging and reflecting.")] = None,
    max_usd: Annotated[float | None, typer.Option(help="US dollars of the search.")] = None,
    price: Annotated[
        list[str] | None, typer.Option(help="NAME=PROMPT/COMPLETION, US dollars per million tokens of a model.")
    ] = None,
    seed: Annotated[int | None, typer.Option()] = None,
    limit: Annotated[
        int | None, typer.Option(help="Compare on at most this many held-out test examples, 200 by default; 0 is all.")
    ] = None,
    bullets: Annotated[
        Path | None, typer.Option(help="Bullets to choose from, .jsonl or one a line; the library by default.")
    ] = None,
    max_bullets: Annotated[int | None, typer.Option(help="How many bullets may be kept, 10 by default.")] = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Calibrate the winner on train, with judge calls beside the budget.")
    ] = False,
    out: Out = None,
    resume: Resume = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    dry_run: DryRun = False,
) -> None:
    """Search a better prompt, prove it on the test split, register it."""
    from cluster.adapting.optimize import run_optimize
    from cluster.commands.tables import optimize_table

    flags: dict[str, Any] = {
        "data": data,
        "optimizer": optimizer,
        "judge": judge,
        "model": model,
        "mode": mode,
        "budget": budget,
    }
    flags |= {"reflection_model": reflection_model, "seed": seed, "limit": limit, "out": out}
    flags |= {"max_tokens": max_tokens, "max_usd": max_usd, "price": price or None, "resume": resume or None}
    flags |= {"bullets": bullets, "max_bullets": max_bullets, "calibrate": calibrate or None}
    run_command(OptimizeConfig, flags, config, dry_run, as_json, run_optimize, optimize_table)


@app.command()
def serve(
    release: Annotated[str | None, typer.Option(help="Release to serve: id, alias or path.")] = None,
    model: Model = None,
    judge: JudgeFileOption = None,
    mode: Mode = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; loopback by default.")] = None,
    port: Annotated[int | None, typer.Option()] = None,
    force: Force = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    dry_run: DryRun = False,
) -> None:
    """Serve a judge over HTTP until Ctrl-C; the champion where none is named."""
    from cluster.commands.tables import plain_table
    from cluster.endpoint.serve import run_serve

    flags: dict[str, Any] = {
        "release": release,
        "model": model,
        "judge": judge,
        "mode": mode,
        "host": host,
        "port": port,
        "force": force,
    }
    run_command(ServeConfig, flags, config, dry_run, as_json, run_serve, plain_table)


@app.command()
def deploy(
    release: Annotated[str | None, typer.Argument(help="Release: id, alias or path.")] = None,
    force: Force = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    dry_run: DryRun = False,
) -> None:
    """Make a release the champion of the running endpoint."""
    from cluster.commands.tables import plain_table
    from cluster.endpoint.deploy import run_deploy

    run_command(DeployConfig, {"release": release, "force": force}, config, dry_run, as_json, run_deploy, plain_table)


@app.command()
def rollback(as_json: AsJson = False, config: ConfigFile = None, dry_run: DryRun = False) -> None:
    """Deploy the champion before the current one."""
    from cluster.commands.tables import plain_table
    from cluster.endpoint.deploy import run_rollback

    def roll(_config: CommandConfig, progress: Progress) -> dict[str, Any]:
        return run_rollback(progress)

    run_command(CommandConfig, {}, config, dry_run, as_json, roll, plain_table)


@app.command()
def status(as_json: AsJson = False, config: ConfigFile = None, dry_run: DryRun = False) -> None:
    """What runs, and what the registry calls champion."""
    from cluster.commands.tables import status_table
    from cluster.endpoint.status import run_status

    run_command(CommandConfig, {}, config, dry_run, as_json, lambda *_: run_status(), status_table)


@app.command()
def label(
    input: Annotated[str | None, typer.Argument(help="Pairs: file, folder or URI.")] = None,
    release: Annotated[str | None, typer.Option(help="Release: id, alias or path.")] = None,
    model: Annotated[str | None, typer.Option(help="Where the release's model is, for a model folder.")] = None,
    force: Force = None,
    out: Out = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    dry_run: DryRun = False,
) -> None:
    """Label pairs with a release; Parquet shards out."""
    from cluster.commands.tables import plain_table
    from cluster.labeling.bulk import run_label

    flags: dict[str, Any] = {"input": input, "release": release, "model": model, "force": force, "out": out}
    run_command(LabelConfig, flags, config, dry_run, as_json, run_label, plain_table)


@app.command()
def doctor(
    prepare: Annotated[bool, typer.Option("--prepare", help="Make the embedded model's folder first.")] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    dry_run: DryRun = False,
) -> None:
    """Look at machine, packages, model cache and stores; say what to fix."""
    from cluster.commands.tables import doctor_table
    from cluster.machine.doctor import run_doctor

    result = run_command(
        CommandConfig, {}, config, dry_run, as_json, lambda *_: run_doctor(prepare=prepare), doctor_table
    )
    if result is not None and not result["ok"]:
        raise typer.Exit(EXIT_FAILED)


def main() -> None:
    """Entry point of the console script."""
    prepare_ray_environment()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    level = logging.getLevelNamesMapping().get(os.environ.get("RELEVANCE_JUDGE_LOG", "").upper(), logging.WARNING)
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    app()


if __name__ == "__main__":
    main()
