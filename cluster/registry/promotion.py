"""A change of champion that MLflow may fail in between any two writes of without an alias being lost.

MLflow moves one alias at a time. What is about to happen is therefore written first, as a tag of the name; then
`champion` moves, then `previous`, then the tag goes. Whoever reads in between sees the aliases as they are meant, and
finishes what was begun; where `champion` has not moved, nothing has happened.
"""

from __future__ import annotations

import json
import logging
from typing import NamedTuple

from cluster.registry.prompts import Head, Prompts

logger = logging.getLogger(__name__)

CHAMPION, PREVIOUS = "champion", "previous"
_TAG = "promotion"


class _Promotion(NamedTuple):
    """Versions: the one that becomes champion, and the champion before."""

    champion: int
    previous: int


def meant_aliases(head: Head) -> dict[str, int]:
    """The aliases of a name, a change that is under way counted as soon as `champion` has moved."""
    begun = _begun(head)
    if begun is None:
        return head.aliases
    return {**head.aliases, PREVIOUS: begun.previous}


def try_to_finish(head: Head, prompts: Prompts) -> None:
    """Finish a change that was interrupted; where that fails, too, the next reader tries again."""
    from mlflow.exceptions import MlflowException

    try:
        finish(head, prompts)
    except MlflowException as error:
        logger.warning("a change of champion of %s is unfinished (%s)", head.name, type(error).__name__)


def finish(head: Head, prompts: Prompts) -> None:
    """Finish a change that was interrupted, if one was."""
    begun = _begun(head)
    if begun is None:
        return
    if head.aliases.get(PREVIOUS) != begun.previous and _has_text(head, begun.previous, prompts):
        prompts.set_alias(head.name, PREVIOUS, begun.previous)
    prompts.untag(head.name, _TAG)


def change_champion(head: Head, number: int, prompts: Prompts) -> None:
    """Make a version the champion; the one before becomes `previous`, unless its text is gone."""
    finish(head, prompts)  # its tag is needed for this change
    current = meant_aliases(head).get(CHAMPION)
    if current == number:
        return
    if current is None or not _has_text(head, current, prompts):
        prompts.set_alias(head.name, CHAMPION, number)
        return
    prompts.tag(head.name, _TAG, json.dumps(_Promotion(number, current)._asdict()))
    prompts.set_alias(head.name, CHAMPION, number)
    prompts.set_alias(head.name, PREVIOUS, current)
    prompts.untag(head.name, _TAG)


def _has_text(head: Head, number: int, prompts: Prompts) -> bool:
    """Whether MLflow lets an alias name a version."""
    return any(version.text for version in prompts.versions(name=head.name, number=number))


def _begun(head: Head) -> _Promotion | None:
    """The change that is under way and has moved `champion`."""
    text = head.tags.get(_TAG)
    if text is None:
        return None
    try:
        said = json.loads(text)
        begun = _Promotion(int(said["champion"]), int(said["previous"]))
    except (ValueError, TypeError, KeyError):
        logger.warning("the tag %r of %s in MLflow is not ours and says nothing", _TAG, head.name)
        return None
    return begun if head.aliases.get(CHAMPION) == begun.champion else None
