"""What demonstrations do to the judge of the landscape: they help, they mislead, and they repair the format.

A demonstration is a training example with a rating under it. Seven examples in ten are typical, the others odd, which
nobody can see. A typical one whose rating is within half a unit of the human's helps: of each of its failures that no
rule has ended, the judge is left with 60 %, and with a little less if a second one shows it too. An odd one misleads,
and so does any with another rating: examples that share a failure with it are missed by more. Each demonstration,
whatever it teaches, leaves only a share of the malformed replies, if the landscape is configured so.

What can be gained (mean of seeds 0-19, 400 test examples each, a quarter of the replies malformed, of which each
demonstration leaves 0.35): test NMSE 42.2 with nothing shown, 19.1 with four training examples drawn at random under
the human's rating, 12.6 with the four typical ones that show the largest failures, 1.8 with these and all rules that
help.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

TYPICAL = 0.7  # share of the examples
TOLERANCE = 0.5  # rating units between the rating shown and the human's
HELP = 0.4  # share of a failure's size that the first helpful demonstration of it takes
AGAIN = 0.25  # what each further one takes, as a share of what the one before took
MISLEAD = 0.2  # rating units that a misleading demonstration adds, for an example of difficulty 1


class Shown(NamedTuple):
    """A demonstration as the judge sees it: whose document, and the rating under it."""

    key: str
    rating: int


class Lesson(NamedTuple):
    """What the judge takes from a demonstration: about which failures, and whether it is the right thing."""

    failures: tuple[str, ...]
    is_helpful: bool


def share_left(failure: str, lessons: Sequence[Lesson]) -> float:
    """Share of a failure's size that is left to the judge, in (0, 1]."""
    helpful = sum(lesson.is_helpful and failure in lesson.failures for lesson in lessons)
    return 1.0 - HELP * sum(AGAIN**number for number in range(helpful))


def misled(failures: Sequence[str], lessons: Sequence[Lesson]) -> float:
    """Rating units that misleading lessons add for an example with these failures and difficulty 1."""
    return MISLEAD * sum(not lesson.is_helpful and not set(failures).isdisjoint(lesson.failures) for lesson in lessons)
