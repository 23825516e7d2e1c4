"""What would break the prompt that a text is put into: delimiters, control tokens, roles, fences, placeholders.

Also the one rule that keeps query and document data: an instruction may not hand them the word.
"""

from __future__ import annotations

from collections.abc import Iterator

from optimize_workers.guardrails.phrases import any_of, asked_for, denied, phrases

_SYNTAX = any_of(
    r"</?\s*(?:query|document|doc|system|user|assistant|human|instructions?|s|bos|eos|pad|unk|think|tool_call|example|"
    r"start_of_turn|end_of_turn|begin_of_text|eot_id)\b[^<>\n]*>",  # our tags and those of chat templates
    r"</[a-z_]\w*>|<(?!(?:integer|int|number|rating|explanation|text|string|sentence|reason)>)[a-z_]+>|<\||\|>|<<\s*/?sys\s*>>",
    r"\[/?(?:inst|sys|query|document|system|user|assistant)\]",
    r"```|~~~",
    r"\$?\{\s*[a-z_][\w.]*\s*\}|\{\{|\}\}|\{%|%\([a-z]\w*\)s|\{\s*\}",  # placeholders
    r"^\s*(?:#+\s*)?(?:system|assistant)\s*:\s|^#+\s*(?:instruction|response|input)\s*:",  # roles
)
_TEXT = r"(?:query|queries|documents?|texts?|passages?|pages?|content|author)"
_TEXT_SAYS = (
    rf"\bif (?:the |a )?{_TEXT} (?:says?|asks?|tells?|instructs?|orders?|requests?|demands?|requires?|wants?)\b"
)
_RULES = r"(?:instructions?|rules?|guidelines?|sections?|prompts?)"
_HANDED_OVER = phrases(
    (
        "instruction|command|order|request|direction|prompt",
        r"\b(?:follow|obey|execute|carry out|comply with|honou?r|act on)\b(?: \w+){0,3}? "
        r"(?:instructions?|commands?|orders?|requests?|directions|prompts?)\b[^\n.;]{0,25}?"
        rf"\b(?:in|inside|within|from|by|of|that) (?:the |a |any |either |both )?{_TEXT}\b",
    ),
    (
        " as ",
        rf"\b(?:treat|consider|regard|read|interpret|take)\b(?: \w+){{0,3}}? {_TEXT} as (?:\w+ ){{0,2}}?"
        r"(?:instructions?|commands?|orders?|prompts?)\b",
    ),
    (
        "instruction|rule|rating|command",
        rf"\b{_TEXT} (?:may|can|could|is allowed to|are allowed to|should) (?:override|overrule|change|set|give|"
        r"contain) (?:\w+ ){0,3}?(?:instructions?|rules?|rating|commands)\b[^\n.;]{0,30}"
        r"\b(?:follow|obey|respect|apply|them|it)\b",
    ),
    (
        "if ",
        rf"{_TEXT_SAYS}[^\n.;]{{0,60}}?\b(?:do so|do it|do that|comply|obey|follow (?:it|them|that)|do what|do as|"
        r"give it that|use that rating|give that rating|as it says|accordingly)\b",
    ),
    (
        "if ",
        rf"\bif (?:the |a )?{_TEXT} (?:says?|claims?|states?) (?:that )?(?:it|this|they) (?:deserves?|should (?:get|be "
        r"rated)|must (?:get|be rated)|is worth|merits?)\b[^\n.;]{0,20}, (?:then )?(?:give|rate|use|assign)\b",
    ),
)
_OVERRIDDEN = phrases(
    (
        "ignore|disregard|forget|overr|bypass",
        r"\b(?:ignore|disregard|forget|override|overrule|bypass)\b(?: \w+){0,3}? (?:above|previous|preceding|earlier|"
        r"prior|following|other|system|original|below|remaining) (?:\w+ ){0,2}?(?:instructions?|rules?|text|prompts?|"
        r"lines?|sections?|messages?|guidelines?|format|definitions?)\b",
    ),
    (
        "ignore|disregard|forget|overr",
        rf"\b(?:ignore|disregard|forget|override|overrule)\b(?: \w+){{0,2}} {_RULES} "
        r"(?:above|below|before|after|that follow|given|so far)\b",
    ),
    (
        "ignore|disregard|forget|overr",
        r"\b(?:ignore|disregard|forget|override) (?:everything|anything|all|whatever) (?:above|before|below|else|after|"
        r"that follows|that precedes|you were told)\b"
        r"|\b(?:ignore|disregard|override|overrule)\b(?: \w+){0,4}? (?:query|texts?) and (?:the )?documents? are "
        r"data\b",
    ),
    ("forget", r"\bforget (?:everything|all|what)\b(?: \w+){0,4}? (?:before|above|so far|until now)\b"),
    (
        "apply|applies|hold|count",
        rf"\b{_RULES}(?: (?:above|below|before))? (?:no longer|do not|don't|does not) (?:apply|applies|hold|count)\b",
    ),
)


def prompt_syntax(text: str) -> Iterator[str]:
    """Each piece of a prompt's own syntax, in a normalised text in lower case."""
    return (match.group().strip() for match in _SYNTAX.finditer(text))


def handovers(text: str) -> Iterator[str]:
    """Each phrase of a prepared text that lets query or document give instructions, or cancels the prompt."""
    yield from asked_for(_HANDED_OVER, text)
    yield from denied(_OVERRIDDEN, text)
