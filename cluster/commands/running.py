"""Running a command: its config resolved, its result to stdout, its known errors as one line and an exit status."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NoReturn

from click.exceptions import Exit

from cluster.commands.printing import PrintedByOthers, print_plan
from cluster.commands.settings import AnyConfig, build_config
from cluster.endpoint.signals import Terminated
from cluster.progress import Progress
from judge_serve.judging.errors import EngineError, RefusedInputError

logger = logging.getLogger(__name__)

EXIT_DONE, EXIT_FAILED, EXIT_REFUSED, EXIT_GATE = 0, 1, 2, 3
EXIT_INTERRUPTED, EXIT_TERMINATED = 130, 143  # 128 and the number of the signal, as shells have it

Result = dict[str, Any]  # what `--json` prints


def _done(_result: Result) -> int:
    return EXIT_DONE


@dataclass(frozen=True)
class Command(Generic[AnyConfig]):
    """What a command is made of.

    Attributes:
        config: its settings; each field is a flag.
        run: does the work; what takes long to import is imported there.
        show: prints the result for people.
        positional: fields that are given without a flag, in this order.
        status: exit status of a run that came to its end.
        plan: reads what the config names, as `run` would, asks no model and writes nothing; what `run` would refuse, it
            refuses. None where the config says it all.
    """

    config: type[AnyConfig]
    run: Callable[[AnyConfig, Progress], Result]
    show: Callable[[Result], None]
    positional: tuple[str, ...] = ()
    status: Callable[[Result], int] = _done
    plan: Callable[[AnyConfig], Result] | None = None

    def dry_run(self, config: AnyConfig) -> Result:
        """The config as JSON, and the plan beside it."""
        return {"config": config.model_dump(mode="json"), **(self.plan(config) if self.plan else {})}

    def show_dry_run(self, result: Result) -> None:
        """Print a plan for people; where there is none, the config."""
        config = result.pop("config")
        if result:
            print_plan(result)
        else:
            print(json.dumps(config, indent=2, ensure_ascii=False))


def run_command(
    command: Command[AnyConfig],
    flags: Mapping[str, Any],
    file: Path | None = None,
    *,
    dry_run: bool = False,
    as_json: bool = False,
) -> None:
    """Resolve the config, run, print; known errors become one line.

    Raises: Exit with a status other than 0 if the command failed or its result says no.
    """
    from cluster.failures import GateRefusedError, ServingFailedError
    from judge_serve.serving.embedded_model import ModelCacheError
    from optimize_workers.ledger import LedgerError

    try:
        config = build_config(command.config, file, flags)
        # Ray and DSPy print; stdout belongs to the result, stderr to what we say
        with contextlib.redirect_stdout(PrintedByOthers()), Progress() as progress:
            result = command.dry_run(config) if dry_run else command.run(config, progress)
    except RefusedInputError as error:
        _fail(str(error), EXIT_REFUSED)
    except GateRefusedError as error:
        _fail(str(error), EXIT_GATE)
    except (EngineError, ServingFailedError, ModelCacheError, LedgerError) as error:
        if (signal := _signal_before(error)) is not None:
            ended_by(signal)
        _fail(str(error), EXIT_FAILED)
    except SystemExit as error:  # Ray's own way with SIGTERM, for as long as it starts
        raise Terminated from error
    except Exception as error:  # the last boundary: one line for people, the rest for those who ask
        if (signal := _signal_before(error)) is not None:
            ended_by(signal)
        logger.debug("unexpected error", exc_info=True)
        reason = (str(error).splitlines() or [""])[0]
        _fail(f"unexpected {type(error).__name__}: {reason}; RELEVANCE_JUDGE_LOG=debug shows where", EXIT_FAILED)
    if as_json:
        print(json.dumps(result, ensure_ascii=False, allow_nan=False))
    elif dry_run:
        command.show_dry_run(result)
    else:
        command.show(result)
    status = EXIT_DONE if dry_run else command.status(result)
    if status != EXIT_DONE:
        raise Exit(status)


def _signal_before(error: BaseException) -> KeyboardInterrupt | None:
    """The signal whose cleaning up raised this, as Optuna's journal does when it loses its lock file to Ctrl-C."""
    before = error.__context__
    return before if before is None or isinstance(before, KeyboardInterrupt) else _signal_before(before)


def ended_by(signal: KeyboardInterrupt) -> NoReturn:
    """End with the status of Ctrl-C or of SIGTERM.

    Raises: Exit.
    """
    is_term = isinstance(signal, Terminated)
    ended = "ended by SIGTERM" if is_term else "interrupted"
    _fail(f"{ended}; everything started here was stopped", EXIT_TERMINATED if is_term else EXIT_INTERRUPTED)


def _fail(message: str, status: int) -> NoReturn:
    print(f"relevance-judge: {' '.join(message.split())}", file=sys.stderr)
    raise Exit(status)
