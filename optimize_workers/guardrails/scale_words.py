"""Words that would make another scale: points, stars, percents, halves, labels, or another scale by name.

For prepared text, see `numbers`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from judge_serve.judging.scale import Scale
from optimize_workers.guardrails.phrases import asked_for, denied, is_negated, matches_of, phrases

_ANSWER = (
    r"\b(?:answer|respond|reply|output|return|give|assign|award|use|express|report|provide|write|print|rate|score|"
    r"grade|label|mark|classify)\b"
)
# what may stand between the verb and the label: "rate each document simply as"
_OBJECTS = (
    r"(?: (?:it|them|each|every|the|a|an|your|documents?|pairs?|items?|results?|passages?|relevance|with|as|only|"
    r"simply|just|either|by|using|in|of|1|ratings?|scores?|answer|verdict|judge?ment|decision|words?|single|labels?|"
    r"values?|to))*"
)
_STEPS = (
    r"(?:points?|levels?|stars?|grades?|steps?|tiers?|class(?:es)?|ratings?|categor(?:y|ies)|labels?|buckets?|bands?|"
    r"options?|values?|scores?|bins?)"
)
_RATING = r"(?:ratings?|scores?|values?|numbers?|points?|grades?|marks?)"
_GOOD_WORD = r"(?:yes|true|pass|relevant|good|thumbs up|high|correct)"
_BAD_WORD = r"(?:no|false|fail|irrelevant|not relevant|non-?relevant|bad|thumbs down|low|incorrect)"
_HIGH = r"(?:high|strong|full|fully|low|weak|not|none)"
_MIDDLE = r"(?:medium|moderate|partial|somewhat|mid)"
_LOW = r"(?:low|weak|high|none|not|full|irrelevant)"

# counted steps: legal where their number is that of the scale
_COUNTED = phrases(
    (
        "scale|system|rating|rubric|likert|grading|scoring|scheme",
        rf"\b(\d{{1,3}})[- ]{_STEPS}[- ](?:likert |rating |relevance |numeric(?:al)? |ordinal )*"
        r"(?:scales?|rating system|ratings?|system|rubric|likert|grading|scoring|scheme)\b",
    ),
    ("scale ", rf"\bscale (?:of|with|has|having|consisting of) (?:only |just )?(\d{{1,3}}) {_STEPS}\b"),
    (
        "classify|sort|bucket|group|bin|put|assign|categori|map|label|rate|place",
        r"\b(?:classify|sort|bucket|group|bin|put|assign|categori[sz]e|map|label|rate|place)\b[^\n.;]{0,40}?"
        rf"\b(?:into|to|as|in|of|on|with|using) (?:1 of )?(?:the )?(?:following )?(\d{{1,3}}) (?:\w+ )?{_STEPS}\b",
    ),
    ("1 of", rf"\b1 of (?:the |these )?(?:following )?(\d{{1,3}}) (?:possible |relevance )?{_STEPS}\b"),
    (
        "use|only",
        r"\b(?:use|only) (?:only |just )?(?:the )?(\d{1,3}) (?:relevance )?"
        r"(?:ratings|levels|grades|labels|categories)\b",
    ),
)
_ASKED = phrases(
    # percents and probabilities
    (
        "percent",
        rf"{_ANSWER}[^\n.;]{{0,40}}\b(?:as|in|a|the|its|your) (?:a )?(?:relevance |match )?percent(?:age|s)?\b"
        r"|\bpercent(?:age)?s? (?:scores?|ratings?|scale|match|of relevance|of match)\b",
    ),
    (
        "%|percent",
        r"\b(?:rat(?:e|ing)|scor(?:e|ing)|grade|match)\b(?: (?:it|them|of|as|at|the document|each|from|between))*"
        r" \d+\s?(?:%|percent)|\b\d+\s?(?:%|percent) (?:relevant|match\b|score)",
    ),
    (
        "percent|%",
        r"\b(?:think|work|judge|reason)\b[^\n.;]{0,20} in percent|\b\d+ ?(?:%|percent) (?:is|means|stands for|=) "
        r"(?:a |an |the )?(?:perfect|irrelevant|best|worst|full|complete)\b",
    ),
    (
        "rating|score",
        r"\b(?:treat|interpret|regard|consider|see|read) (?:the |your )?(?:rating|score)s? as (?:a|an|the) "
        r"(?:probability|percentage|likelihood|rank|label|class|vote|boolean|fraction|confidence)\b",
    ),
    (
        "probability|likelihood|percentile|fraction",
        rf"{_ANSWER}[^\n.;]{{0,40}}\b(?:a|the|your|its) (?:\w+ )?(?:probability|likelihood|percentile|fraction)\b",
    ),
    # stars
    ("stars", rf"{_ANSWER}[^\n.;]{{0,40}}\bstars\b"),
    ("star|\u2605", r"\bstar[- ](?:ratings?|scale|scores?|system)\b|\u2605"),
    # halves
    (
        "half|quarter|third",
        r"\b(?:half|quarter|third)[- ](?:points?|ratings?|steps?|marks?|grades?|scores?|integers?|values?)\b",
    ),
    (
        "decimal|fraction|float|real|integer|contin|intermed|between|half|negative",
        r"\b(?:decimal|fractional|floating[- ]point|non-integer|real-valued|continuous|intermediate|in-between|"
        rf"half-way|negative) {_RATING}\b|\bany real (?:numbers?|values?)\b|\breal (?:numbers|values)\b",
    ),
    (
        "decimal|fraction|floats|halves",
        r"\b(?:decimals?|fractions|floats?|halves) (?:are|is) (?:allowed|fine|ok|okay|permitted|welcome|possible|"
        r"encouraged)\b"
        r"|\b(?:with|to|use|using|allow) (?:up to )?(?:1 |2 |a )?(?:decimals?|decimal places?|fractions)\b",
    ),
    (
        "increment|step|interval|point",
        r"\b(?:increments?|steps?|intervals?) of (?:0?\.\d+|(?:a |1 )?(?:half|quarter|1/2))"
        r"|\b0?\.\d+[- ](?:increments?|steps?|points?)\b",
    ),
    # labels
    (
        "no|false|fail|relevant|bad|thumbs|low|incorrect",
        rf"{_ANSWER}{_OBJECTS}:? ?[\"'(]?{_GOOD_WORD}[\"')]?,?\s*(?:or|/|and|vs\.?)\s*[\"'(]?{_BAD_WORD}\b",
    ),
    (
        "medium|moderate|partial|somewhat|mid",
        rf"{_ANSWER}{_OBJECTS}:? ?[\"'(]?{_HIGH}\b[\w \"']*?[,/] ?[\"']?{_MIDDLE}\w*\b[\w \"']*?,?\s*(?:or|/|and|,)\s*"
        rf"[\"']?{_LOW}\b",
    ),
    (
        "true|yes|pass|relevant",
        r"\b(?:true/false|yes/no|yes or no|true or false|pass/fail|relevant/irrelevant|relevant/not relevant)[\"']? "
        r"(?:answers?|ratings?|labels?|judge?ments?|decisions?|only|instead|response|verdict|scale|output)\b",
    ),
    (
        "binary|ternary|dichotomous|boolean",
        r"\b(?:binary|ternary|dichotomous|boolean) (?:relevance )?(?:ratings?|scores?|judge?ments?|labels?|scale|"
        r"decisions?|classification|answers?|relevance|verdicts?|output|value)\b",
    ),
    (
        "\"|'",
        rf"{_ANSWER}(?: (?:only|just|with))* [\"'](?:yes|no|true|false|relevant|irrelevant|not relevant)[\"']"
        r"|\b(?:choose|pick|select) (?:1 )?(?:between|from|among|of)[: ]*"
        r"[\"'(](?:relevant|irrelevant|not relevant|yes)\b",
    ),
    ("true|false", r"\b\w+ ?= ?(?:true|false)\b|\bset \w+ to (?:true|false)\b"),
    (
        "relevant",
        rf"{_ANSWER}[^\n.;]{{0,30}}\b(?:1 of|from|among)\b[^\n.;]{{0,20}}[:({{\[] ?[\"']?(?:irrelevant|not relevant|"
        r"relevant)\b",
    ),
    (
        "grade|from a|award|give|assign",
        r"\bletter[- ]grades?\b|\bgrades? (?:from )?[a-f] ?(?:-|to|through) ?[a-f]\b"
        r"|\bfrom a(?: \([^()\n]*\))? (?:to|through) [b-f]\b"
        r"|\b(?:give|assign|award)(?: it| them| documents?)? an? [\"']?[a-f][\"']? (?:to|for|if|when)\b",
    ),
    ("emoji|thumbs|roman", rf"{_ANSWER}[^\n.;]{{0,30}}\b(?:emojis?|thumbs|roman numerals?)\b"),
    ("add ", r"\badd (?:up )?(?:the|these|those|all|your) (?:points?|scores?|ratings?)\b"),
    # another scale by name
    (
        "scale",
        r"\b(?:use|adopt|apply|invent|define|create|switch to|introduce|on|with|to|as) (?:a|an|the|your|this) (?:\w+ )?"
        r"(?:different|another|new|own|other|custom|finer|coarser|wider|broader|narrower|larger|extended|simplified|"
        r"alternative|modified|reversed|inverted|stricter)(?:[- ](?:\w+|grained))? scale\b"
        r"|\b(?:use|on|with) another scale\b"
        r"|\bthe following (?:new |modified |simplified )?(?:rating )?scale\b[^\n]{0,20}\binstead\b",
    ),
    (
        "scale|anchors|definitions",
        r"\b(?:ignore|disregard|forget|replace|change|extend|modify|redefine|reverse|invert|flip|abandon|override|"
        r"rescale|renumber|widen|narrow|swap|mirror|shift|shrink|stretch|expand|compress)\b(?: \w+){0,4} (?:rating )?"
        r"(?:scale|anchors|rating definitions|grade definitions)\b",
    ),
    (
        "merge|combine|collapse|fuse|lump",
        r"\b(?:merge|combine|collapse|fuse|lump)\b[^\n.;]{0,30}\b(?:ratings?|grades?|scores?|levels?) ?\d?\b",
    ),
    (
        "better|relevan",
        r"\b(?:lower|smaller) (?:ratings?|numbers?|scores?|values?) (?:is|are|means?|indicates?) "
        r"(?:better|more relevant|higher relevance)\b",
    ),
    (
        "instead",
        r"\b(?:sort|order) (?:the |all )?(?:documents?|results?|items?)\b[^\n.;]{0,30}\binstead\b",
    ),
    ("rank", r"\brank (?:the |all |all the )?(?:documents|results|items|pairs)\b"),
)
_TAKEN_AWAY = phrases(
    (
        "instead of|in place of",
        rf"{_ANSWER}[^\n.;]{{0,50}}\b(?:instead|in place) of (?:a |an |the |any )?(?:numeric(?:al)? |integer )?"
        r"(?:numbers?(?! of)|ratings?|digits?|integers?|scores?)\b"
        r"|^instead of (?:a |the )?(?:number|rating|digit|integer|score)s?,"
        r"|\binstead of (?:a )?(?:rating|judging|scoring)(?: (?:it|the document|documents?|relevance))?\b"
        r"(?=\s*[,.:]|\s+(?:answer|summari|write|list|translate|rewrite))",
    ),
    (
        "do not|don't|never",
        r"\b(?:do not|don't|never) (?:rate|judge|score)(?: (?:it|them|the documents?|documents?|anything))?\s*"
        r"(?:$|[.;!]|,? ?\b(?:but|instead)\b)",
    ),
)
_DROPPED = phrases(
    (
        "never|do not|don't|avoid|no longer",
        r"\b(?:never|do not|don't|avoid|no longer)(?: ever)? (?:use|give|giving|assign|assigning|choose|choosing|"
        r"answer|pick|award|using|answering)(?: with)?(?: (?:a|the|any|rating|ratings|score|scores|grade|grades|of|"
        r"value|values|middle|extreme))* (\d)s?(?:,? (?:or|and|nor) (?:a )?\d)*"
        r"(?=\s*(?:$|[.!;)]|at all\b|under any\b|in any\b))",
    ),
    (
        "drop|remove|omit|skip|eliminate",
        r"\b(?:drop|remove|omit|skip|eliminate) (?:the )?(?:rating|score|grade|level|value)s? (\d)\b",
    ),
    ("there is no", r"\bthere is no (?:rating|score|grade)(?: of)? (\d)(?=\s*(?:$|[.!;),]))"),
)


def foreign_words(text: str, scale: Scale) -> Iterator[str]:
    """Each phrase that makes a scale other than the task's, as found."""
    for match in matches_of(_COUNTED, text):
        if _number_in(match) != len(scale.ratings) and not is_negated(match.string, match.start()):
            yield match.group()
    yield from asked_for(_ASKED, text)
    yield from denied(_TAKEN_AWAY, text)
    yield from (match.group() for match in matches_of(_DROPPED, text) if scale.holds(_number_in(match)))


def _number_in(match: re.Match[str]) -> int:
    return next(int(group) for group in match.groups() if group)
