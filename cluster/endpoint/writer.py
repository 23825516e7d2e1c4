"""A model that writes, outside of a search: at an endpoint without Ray, else served as for a search."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cluster.endpoint.models import ModelChoice, connector
from cluster.progress import Progress
from judge_serve.judging.engine import EngineReply, EngineRequest
from judge_serve.judging.retrying import RetryPolicy, complete_with_retry
from judge_serve.serving.home import home
from optimize_workers.reflection import complete_patiently


@contextmanager
def open_writer(choice: ModelChoice, progress: Progress) -> Iterator[Callable[[EngineRequest], EngineReply]]:
    """What completes requests with a model, one at a time; an outage is waited out as in a search.

    Raises: EngineError if the model cannot be reached.
    """
    if choice.endpoint is None:
        from cluster.endpoint.session import open_session  # imports Ray

        with open_session(choice, home(), progress) as session:
            yield session.complete_reflection
        return
    retry = RetryPolicy()
    with asyncio.Runner() as runner:
        engine = connector(choice)()

        def complete(request: EngineRequest) -> EngineReply:
            def ask() -> EngineReply:
                return runner.run(complete_with_retry(engine, request, retry))

            return complete_patiently(ask, retry, progress.waiting)

        try:
            yield complete
        finally:
            runner.run(engine.close())
