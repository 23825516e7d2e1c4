"""Where the endpoint, the registry and the journal of deployments disagree, and what mends it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from cluster.endpoint.journal import Deployment, Step

_CAME_TO = {
    Step.INTENDED: "was interrupted before it was known to be live",
    Step.LIVE: "was interrupted once it was live, before the registry was known to say so",
    Step.BROKEN: "failed, and so did putting the release before back",
}


class Disagreement(NamedTuple):
    """What does not fit, and the commands that mend it."""

    what: str
    mend: str


def disagreements(
    live: str | None, name: str | None, champions: Mapping[str, str], last: Deployment | None, *, is_busy: bool
) -> Iterator[Disagreement]:
    """Compare what is known of each.

    Args:
        live: id of the release that the endpoint answers with; None where none runs or answers.
        name: its name in the registry; None where the registry does not know it.
        champions: ids of the champions, by name.
        last: the last deployment of this home.
        is_busy: whether it is under way.
    """
    if is_busy:
        release = last.release if last else "a release"
        began = f" since {last.began_at}" if last else ""
        yield Disagreement(f"a deployment of {release} is under way{began}", "wait until it ends, then ask again")
        return
    if last is not None and last.is_unfinished:
        why = f" ({last.reason})" if last.reason else ""
        undo = f", 'relevance-judge deploy {last.before}' goes back" if last.before else ""
        yield Disagreement(
            f"the deployment of {last.release}, begun at {last.began_at}, {_CAME_TO[last.step]}{why}",
            f"'relevance-judge deploy {last.release}' finishes it{undo}",
        )
    if live is None:
        return
    if name is None:
        yield Disagreement(
            f"the endpoint runs release {live}, which the registry does not know",
            "'relevance-judge deploy' or 'serve --release' puts a registered one there",
        )
        return
    champion = champions.get(name)
    if champion is None:
        yield Disagreement(
            f"the endpoint runs release {live}, the registry has no champion of {name}",
            f"'relevance-judge deploy {live}' makes it the champion",
        )
    elif champion != live:
        yield Disagreement(
            f"the endpoint runs release {live}, the registry's champion of {name} is {champion}",
            f"'relevance-judge deploy {champion}' puts the champion there, "
            f"'relevance-judge deploy {live}' makes what runs the champion",
        )
