"""The words of the landscape: kinds of failure, the 24 rules, the sections they stand in, queries and documents.

Rules share no run of four words with anything that examples say, so that no guard has a reason to refuse one.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What a rule does to the judge's error."""

    HELPS = "helps"
    PAIR = "pair"  # helps where the other rule of its pair is present too
    HARMS = "harms"
    IDLE = "idle"


class Failure(NamedTuple):
    """A reason why the judge misses.

    Attributes:
        sign: +1 where the judge is too generous, -1 where it is too harsh.
        size: how far it misses an example of difficulty 1, in rating units; the misses of an example's failures add.
        reason: what the human says about such an example.
        thought: what the judge says as long as it fails so.
    """

    sign: int
    size: float
    reason: str
    thought: str


class Rule(NamedTuple):
    """A sentence that may stand in a section; `failures` are those that it ends or, for a harmful rule, worsens."""

    kind: Kind
    section: str
    text: str
    failures: tuple[str, ...] = ()


FAILURES: dict[str, Failure] = {
    "shared words": Failure(
        +1, 1.2, "It repeats the terms and never gets to the matter.", "The same terms occur in it, so it fits."
    ),
    "replaced": Failure(
        +1, 1.0, "What it tells was superseded since.", "The content is complete, its age plays no part."
    ),
    "neighbour": Failure(
        +1, 0.9, "It treats a matter next to the one asked for.", "It comes from the same field, which is close enough."
    ),
    "length": Failure(+1, 0.8, "It is long and says little.", "So many paragraphs surely hold the answer somewhere."),
    "promise": Failure(+1, 0.6, "The heading announces an answer that never comes.", "The heading names the answer."),
    "audience": Failure(
        +1, 1.1, "It was made for another group of people.", "Anybody could take something useful from it."
    ),
    "brief": Failure(-1, 1.2, "Few lines, and they settle it.", "A handful of lines cannot be sufficient."),
    "wording": Failure(
        -1, 1.0, "It means the same and says it differently.", "The expressions that were typed are missing."
    ),
    "table": Failure(-1, 0.9, "The rows in it give what is needed.", "There is hardly any prose in it."),
    "passage": Failure(-1, 0.7, "One paragraph of it answers in full.", "Most of its paragraphs are off the point."),
    "casual": Failure(-1, 0.5, "It is chatty and correct.", "Its tone is too relaxed to be trusted."),
    "steps": Failure(-1, 1.1, "Taken one after the other, its parts lead there.", "The outcome is not named outright."),
}
FINE = "It was weighed against what is needed."  # what the judge says where no failure is left

SECTIONS: dict[str, str] = {
    "rubric": "Rate how well the document serves whoever typed the query.",
    "edge_cases": "Some pairs are hard to rate; handle them as follows.",
    "output_rules": "Come to a decision first, then explain it in one sentence.",
}

RULES: dict[str, Rule] = {
    "meaning": Rule(
        Kind.HELPS, "rubric", "Vocabulary in common is no evidence that a document helps.", ("shared words",)
    ),
    "subject": Rule(
        Kind.HELPS, "rubric", "Only the very subject of the query counts, not a related one.", ("neighbour",)
    ),
    "synonyms": Rule(Kind.HELPS, "rubric", "Accept other phrasing when the sense is equal.", ("wording",)),
    "best part": Rule(
        Kind.HELPS, "rubric", "Let the best part of a document decide, whatever stands around it.", ("passage",)
    ),
    "role": Rule(Kind.PAIR, "rubric", "Settle first in which role somebody searches.", ("audience",)),
    "impression": Rule(
        Kind.HARMS, "rubric", "In doubt, trust the first impression.", ("shared words", "promise", "brief", "steps")
    ),
    "confidence": Rule(
        Kind.HARMS, "rubric", "Prefer documents that sound certain.", ("neighbour", "replaced", "casual", "wording")
    ),
    "purpose": Rule(Kind.IDLE, "rubric", "Keep the purpose of searching in mind."),
    "currency": Rule(
        Kind.HELPS, "edge_cases", "Guidance that newer guidance has overtaken is a weak answer.", ("replaced",)
    ),
    "concision": Rule(Kind.HELPS, "edge_cases", "A concise document may be a full answer.", ("brief",)),
    "lists": Rule(Kind.HELPS, "edge_cases", "Read lists and figures with the care that text gets.", ("table",)),
    "other role": Rule(
        Kind.PAIR,
        "edge_cases",
        "Written for a different role, a document counts as far as it still helps.",
        ("audience",),
    ),
    "experts": Rule(
        Kind.HARMS, "edge_cases", "Assume that every searcher is an expert.", ("audience", "length", "table", "casual")
    ),
    "gaps": Rule(
        Kind.HARMS,
        "edge_cases",
        "Fill gaps in a document with what is likely.",
        ("promise", "length", "steps", "passage"),
    ),
    "unusual": Rule(Kind.IDLE, "edge_cases", "Unusual documents deserve the usual care."),
    "naming": Rule(Kind.IDLE, "edge_cases", "Treat names like any ordinary word."),
    "substance": Rule(Kind.HELPS, "output_rules", "Give no credit for volume; look for substance.", ("length",)),
    "delivery": Rule(
        Kind.HELPS, "output_rules", "Judge what a document delivers, not what its title says.", ("promise",)
    ),
    "style": Rule(Kind.HELPS, "output_rules", "Style has no influence on relevance.", ("casual",)),
    "to the end": Rule(Kind.PAIR, "output_rules", "Follow a document to its end before deciding.", ("steps",)),
    "derivation": Rule(Kind.PAIR, "output_rules", "Grant full credit for an answer that must be derived.", ("steps",)),
    "caution": Rule(
        Kind.HARMS,
        "output_rules",
        "Stay away from the ends of the scale.",
        ("shared words", "replaced", "brief", "table"),
    ),
    "haste": Rule(
        Kind.HARMS,
        "output_rules",
        "Decide as early as possible while reading.",
        ("audience", "neighbour", "wording", "passage"),
    ),
    "plainness": Rule(Kind.IDLE, "output_rules", "Explain in plain language."),
}
REMARKS = (  # what the reflection model adds where it has no rule to add; no better than an idle rule
    "Work with attention.",
    "Take the time that a decision needs.",
    "Be consistent from pair to pair.",
    "Weigh what speaks for and against.",
    "Stay fair.",
    "Think before you answer.",
    "Consider the query as a whole.",
    "Consider the document as a whole.",
    "Rely on what is in front of you.",
    "Be honest about uncertainty.",
    "Apply these instructions to every pair.",
    "Remain neutral.",
)

VERBS = ("set up", "renew", "cancel", "compare", "move", "repair", "order", "check")
TOPICS = ("a work account", "the travel insurance", "a printer", "the data plan", "a parking permit", "the heating")
DETAILS = ("from abroad", "for a team", "after a change of address", "without a contract", "on short notice")
SENTENCES = (
    "The office keeps this page for members and guests.",
    "Forms can be handed in at the counter or sent by post.",
    "Several departments have agreed on the procedure.",
    "Questions go to the service desk in the main building.",
    "A summary was sent to all staff at the start of the season.",
    "The figures below were collected by the service desk.",
)
