"""`check`: whether the model of a release still is what it was."""

from __future__ import annotations

from cluster.commands.printing import print_plain
from cluster.commands.running import EXIT_DONE, EXIT_FAILED, EXIT_GATE, Command, Result
from cluster.endpoint.config import CheckConfig
from cluster.progress import Progress


def run(config: CheckConfig, progress: Progress) -> Result:
    """Ask the canaries."""
    from cluster.endpoint.check import run_check

    return run_check(config, progress)


def plan(config: CheckConfig) -> Result:
    """What `run` would do."""
    from cluster.endpoint.check import plan_check

    return plan_check(config)


def show(result: Result) -> None:
    """Same model or not, the agreement, what to do next."""
    answer = {True: "the same model", False: "NOT the same model", None: "could not be told"}[result["same"]]
    print_plain(f"release    {result['release']}, made with {result['made_with']}")
    print_plain(f"now        {result['answers_now']}: {answer}")
    for one in result["differences"]:
        print_plain(f"differs    {one}")
    canaries = result["canaries"]
    if canaries and canaries["ci95"]:
        low, high = canaries["ci95"]
        print_plain(f"canaries   {canaries['agree']} of {canaries['n']} agree ({low:.0%} to {high:.0%})")
    print_plain(f"next       {result['next']}")


def status(result: Result) -> int:
    """3 on change; 1 where it could not be told."""
    return EXIT_FAILED if result["same"] is None else EXIT_DONE if result["same"] else EXIT_GATE


COMMAND = Command(CheckConfig, run, show, positional=("release",), status=status, plan=plan)
