"""The landscape's rules as a library of 60 bullets: 8 help, 6 hurt, 4 help only as two pairs, 42 are idle.

Those that help alone are the landscape's eight largest: their failures are 0.7 to 1.2 rating units. Two kinds of
failure (0.5 and 0.6 units) no bullet ends. The judge reads the bullets from the block in the system turn; every line
in it draws noise anew, whether it is a rule or not.
"""

from __future__ import annotations

from functools import lru_cache

from benchmarks.landscape import HARMFUL, LandscapeConfig, RuleSet, draws
from benchmarks.landscape_texts import FAILURES, REMARKS, RULES, Kind
from optimize_workers.library.bullets import Bullet

NUM_HELPFUL = 8
SIZES = {"num_train": 200, "num_val": 200}
_HEADING = "Guidelines:"
_IDLE = (
    "Reading goes from the top to the bottom.",
    "A rating is given once per pair.",
    "Queries may come from any department.",
    "Documents may be of any age.",
    "Some queries are questions, some are not.",
    "Spelling may be British or American.",
    "Dates may be written in any form.",
    "Abbreviations are common at work.",
    "Documents may have several authors.",
    "A pair is judged on its own.",
    "Headings are part of a document.",
    "Queries are often typed in a hurry.",
    "Punctuation is of no importance.",
    "Capital letters are of no importance.",
    "Greetings may be skipped.",
    "Signatures may be skipped.",
    "Both texts are in the same language.",
    "Short queries are the rule.",
    "Links in a document are not followed.",
    "Pictures are not shown.",
    "Documents are shown as plain text.",
    "The order of pairs has no meaning.",
    "Ratings are used to compare systems.",
    "Judges before you read the same pairs.",
    "Names of products may have changed.",
    "Line breaks may be lost.",
)


def _helpful() -> frozenset[str]:
    alone = {name: FAILURES[rule.failures[0]].size for name, rule in RULES.items() if rule.kind is Kind.HELPS}
    return frozenset(sorted(alone, key=lambda name: -alone[name])[:NUM_HELPFUL])


HELPFUL = _helpful()
HURTING = HARMFUL
PAIRS = tuple(
    frozenset(name for name, rule in RULES.items() if rule.kind is Kind.PAIR and failure in rule.failures)
    for failure in FAILURES
    if any(rule.kind is Kind.PAIR and failure in rule.failures for rule in RULES.values())
)
_NAMES = {
    **{rule.text: name for name, rule in RULES.items() if rule.kind is not Kind.HELPS or name in HELPFUL},
    **{text: text for text in (*REMARKS, *_IDLE)},
}


def library(seed: int) -> list[Bullet]:
    """All 60 bullets, in an order drawn by the seed."""
    places = draws(seed, "library", count=len(_NAMES))
    return [Bullet(text=text) for _, text in sorted(zip(places, _NAMES, strict=True))]


def names_of(bullets: tuple[str, ...]) -> RuleSet:
    """The rules that bullets are, and the texts of those that are none."""
    return frozenset(_NAMES.get(text, text) for text in bullets)


@lru_cache(maxsize=4_096)
def bullets_in(system: str) -> RuleSet:
    """The bullets in the block of a system turn, as `names_of` names them."""
    _, _, block = system.partition(f"{_HEADING}\n")
    lines = block.partition("\n\n")[0].split("\n")
    return names_of(tuple(line.removeprefix("- ") for line in lines if line.startswith("- ")))


def config_of(seed: int) -> LandscapeConfig:
    """The landscape of a seed, in the sizes that bullets are chosen on."""
    return LandscapeConfig(seed=seed, **SIZES)
