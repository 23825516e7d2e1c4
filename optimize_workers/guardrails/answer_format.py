"""Phrases that would change the answer: other fields, no JSON, text around it. The schema is frozen.

What agrees with the schema is legal ("answer with one JSON object and nothing else"), and so is forbidding a deviation
("never wrap the JSON in a code block"). For prepared text, see `numbers`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from optimize_workers.guardrails.phrases import asked_for, denied, is_negated, phrases

FIELDS = frozenset({"rating", "explanation"})

_VERBS = "answer|respond|reply|output|return|give|write|print|produce|provide|format|emit|present|deliver|state|report"
_ANSWER = rf"\b(?:{_VERBS})\b"
_FEW_WORDS = r"(?:,? [\w']+){0,6}?,?"
_FIELD = r"(?:fields?|keys?|propert(?:y|ies)|attributes?)"
_FIELD_NEEDS = "field|key|propert|attribute"
_OWN_FIELD = r"[\"'`]?(?:rating|explanation)[\"'`]?"
_NUMBER = r"(?:numbers?|digits?|integers?|ratings?|scores?)"
_NUMBER_NEEDS = "number|digit|integer|rating|score"
_SYNTAX = (
    r"(?:xml|yaml|csv|tsv|html|markdown|latex|toml|prose|plain text|free text|natural language|essay|letter|email|"
    r"table|code blocks?|code fences?|bullet(?:ed)? (?:list|points?)|bullets|json (?:arrays?|lists?|lines)|jsonl|"
    r"python dict\w*|tuple|s-expression|key[- =:]value pairs?)"
)
_CODE = r"(?:xml|yaml|csv|tsv|html|code blocks?|code fences?|triple backticks|json arrays?|jsonl|plain text)"
_CODE_NEEDS = "xml|yaml|csv|tsv|html|code|backticks|json|plain text"
_NO_DOCUMENTS = r"(?! (?:documents?|files?|pages?|attachments?|queries|format documents|in the document))"
_END = r"(?=\s*(?:$|[.,;!)]))"

_ASKED = phrases(
    # only a number
    (
        f"{_NUMBER_NEEDS}|word|character|token|label",
        rf"{_ANSWER}(?: (?:me|your|the answer|back))?(?: (?:with|using|as|in))? "
        r"(?:only|just|nothing but|solely|simply|exactly|a single|1)(?: (?:with|a|an|the|1|single|bare|plain|integer|"
        rf"numeric(?:al)?|raw))* (?:{_NUMBER}|words?|character|token|label)\b"
        r"(?! (?:of|and(?! nothing)|plus|that|with|on|if|when|for|where)\b| from \d+ to \d+ and\b)",
    ),
    (
        _NUMBER_NEEDS,
        rf"\b(?:only|just) (?:the |a |1 )?(?:bare |single |numeric(?:al)? |integer )?{_NUMBER}(?: \w+)? "
        r"(?:(?:should|must) be |is |are )?(?:returned|output|printed|written|needed|required)\b",
    ),
    (
        "only|alone|and nothing else|without",
        rf"{_ANSWER}(?: (?:with|in|as))? (?:a |an |the )?(?:single |bare |plain )?{_NUMBER} (?:only|alone|"
        r"and nothing else|without (?:any )?(?:json|explanation|text))\b(?! (?:if|when|for|where|to)\b)",
    ),
    (
        "a single|a bare|a lone|a plain|1",
        rf"{_ANSWER} (?:with|in) (?:a single|1) (?:digit|number|integer|word|letter|character|token|sentence|"
        r"paragraph)\b(?! explanation)"
        rf"|{_ANSWER}(?: (?:with|in|by))? a (?:bare|lone|plain) (?:digit|number|integer|numeral)\b",
    ),
    # another syntax
    (
        f"{_CODE_NEEDS}|markdown|latex|toml|prose|free|language|essay|letter|email|table|bullet|dict|tuple|expres|value",
        rf"{_ANSWER}{_FEW_WORDS} (?:in|as|with|using|of) (?:(?:a|an|valid|plain|free|free-form|natural|raw|simple|"
        rf"short|the|1|single|unstructured) )*{_SYNTAX}\b{_NO_DOCUMENTS}",
    ),
    (
        _CODE_NEEDS,
        rf"\b(?:{_VERBS}|use|switch to|prefer|wrap(?:ped)?|enclose|surround)(?: [\w-]+){{0,5}}? {_CODE}\b"
        rf"{_NO_DOCUMENTS}",
    ),
    (
        "json",
        r"\b(?:list|array|sequence|series) (?:of|with|containing) (?:1 |several |the )?json objects?\b"
        r"|\b(?:2|3|several|multiple|separate) json objects\b|\bjson (?:objects? )?(?:twice|\d+ times)\b",
    ),
    ("array", r"\ban array of (?:objects|ratings)\b"),
    ("separated by", r"\bseparated by (?:a |an )?(?:comma|semicolon|tab|pipe|newline|colon|dash|slash)s?\b"),
    (
        "format",
        r"\b(?:output|response|answer|reply) format:(?![^\n]*(?:json|\{))"
        r"|\bformat (?:your|the) (?:output|response|answer|reply) (?:as|like|in|with|using)\b(?![^\n]*(?:json|\{))",
    ),
    (
        "in the form|a |an ",
        r"\b(?:reply|answer|respond) in the form\b(?![^\n]*(?:json|\{))"
        rf"|{_ANSWER} (?:a|an) (?:\w+ )?(?:table|essay|report|letter|paragraph|bulleted list|ranking|list of)\b",
    ),
    ("<|[", r"^\W*(?:rating|score|explanation|reason|answer|output)\"?: ?[<\[]"),
    # other fields
    (
        f"{_FIELD_NEEDS}|entr|member",
        r"\b(?:add|include|append|insert|introduce|with|plus|also)\b(?: \w+){0,3}? (?:additional|extra|another|third|"
        rf"3rd|second|2nd|new|more|further|optional) (?:json |named )?(?:{_FIELD}|entr(?:y|ies)|members?)\b",
    ),
    (
        _FIELD_NEEDS,
        r"\b(?:add|include|insert|append|introduce|output|return|report|provide|write|use)(?: also)? (?:a|an|the|your) "
        rf"(?:json )?(?:(?!rating|explanation)\w+ )?(?!{_OWN_FIELD} )[\"'`]?[a-z][\w-]*[\"'`]? {_FIELD}\b",
    ),
    (
        _FIELD_NEEDS,
        rf"\b{_FIELD}(?: \w+)? (?:called|named|labell?ed|titled) (?!{_OWN_FIELD})[\"'`]?[a-z]"
        rf"|\b{_FIELD} (?![\"'`](?:rating|explanation)[\"'`])[\"'`][a-z][\w ]*[\"'`]"
        rf"|[\"'`](?!(?:rating|explanation)[\"'`])[a-z]\w*[\"'`] {_FIELD}\b"
        rf"|\b[13-9] (?:json |named )?{_FIELD}\b"
        rf"|\b{_FIELD}\b[^\n.;:]{{0,30}}: ?rating,? (?:and )?explanation,? and [a-z]\w*",
    ),
    (
        "rating, ",
        r"\brating, (?:an? |the )?explanation(?:,| and| plus|,) (?:and |plus )?(?:an? |the )?"
        r"(?!(?:no|nothing|not|in|both|must|are|is|that|which|as|then|only)\b)[a-z]\w*",
    ),
    (
        "rating|explanation",
        rf"\b(?:rename|call|replace|change)\b(?: \w+){{0,3}}? {_OWN_FIELD}(?: {_FIELD})?(?: \w+)? "
        r"(?:to|as|with|by|into) [\"'`]?[a-z]\w*",
    ),
    (
        "rating|explanation",
        rf"\b(?:drop|omit|skip|remove|leave out|leave off|exclude|delete) (?:the |your |any )?{_OWN_FIELD}"
        rf"(?: {_FIELD})?(?=\s*(?:$|[.,;!)]|(?:and|if|when|for|entirely|altogether|from|to save)\b))",
    ),
    (
        "explanation",
        r"\b(?:leave|keep|set) (?:the )?[\"'`]?explanation[\"'`]?(?: field)?(?: (?:to|as))?(?: an?)? "
        r"(?:empty|blank|null|none|\"\")|\bexplanations? (?:is|are) (?:optional|unnecessary)\b"
        r"|\bexplanations? (?:can|may|could|should) be "
        r"(?:omitted|skipped|dropped|empty|blank|left (?:out|empty|blank))\b",
    ),
    (
        "confidence",
        rf"{_ANSWER}(?: \w+){{0,2}} (?:a|an|your|the|with a|with your) (?:\w+ )?confidence"
        r"(?: (?:score|level|value|rating|estimate|field|percentage))?"
        r"(?=\s*(?:$|[.,;!)]|(?:and|as|for|in|from|between)\b))",
    ),
    (
        "called|named|renamed|replaced",
        rf"{_OWN_FIELD}(?: {_FIELD})? (?:is|should be|becomes|will be) (?:called|named|renamed|replaced)\b",
    ),
    (
        "json",
        r"\b(?:add|include|insert|append|put) (?!(?:the |your |a |an )?(?:explanation|rating|reason|answer|both|only|"
        r"nothing|no)\b)[^\n.;]{0,40}\b(?:to|in|into) (?:the |your )json\b",
    ),
    # other types
    (
        "rating",
        r"\b(?:the )?[\"'`]?ratings?[\"'`]?(?: (?:field|value|must|should|is|written|given|expressed|be))* "
        r"(?:as|in|be) (?:a |an )?(?:quoted )?"
        r"(?:string|text|words?|float|decimal|boolean|list|array|object|letters?)\b",
    ),
    (
        "spell|write",
        r"\b(?:spell|write) (?:out )?(?:the )?(?:rating|number)s? (?:out|in words|as words?|in letters)\b",
    ),
    (
        "explanation",
        r"\bexplanation[\"'`]?(?: (?:field|must be|should be|is|as))+ (?:a |an )?"
        r"(?:list|array|object|number|json|boolean|nested)\b",
    ),
    # text around the object
    (
        "json",
        rf"\b(?:{_VERBS}|show|list|explain|add|include|put)\b{_FEW_WORDS} (?:before|after|above|below|preceding|"
        r"outside|prior to|ahead of|followed by|and then|then)(?: of)?"
        r"(?: (?:writing|giving|returning|outputting|the|your|a|an|that|output|print|return|final|valid|1))* json\b",
    ),
    (
        "json",
        r"^(?:before|after|above|below) (?:the )?(?:final )?json(?: object)?,? (?:\w+ )?"
        rf"(?:{_VERBS}|list|show|explain|add)\b|\b(?:end|finish|conclude|close) with (?:the |a |1 )?json\b"
        r"|\b(?:preface|precede|prefix|follow) (?:the|your) json with\b",
    ),
    (
        "with|by",
        r"\b(?:begin|start|open|preface|precede|prefix|end|close|finish|follow|conclude)"
        r"(?: (?:your|the|every|each|it|answer|reply|response|output|json|object))* (?:with|by) (?:a|an|the|your|some) "
        r"(?:short |brief |1-line |single |1-sentence )*(?:summary|greeting|preamble|introduction|heading|title|note|"
        r"reasoning|analysis|phrase|paragraph|verdict|thought|chain|conclusion|comment)s?\b",
    ),
    (
        "\"|'",
        r"\b(?:begin|start|open|end|close|finish|conclude)\b[^\n.;]{0,30}\bwith (?:the words? |the line )?[\"'][a-z]",
    ),
    ("aloud|out loud|in writing", r"\b(?:think|reason)(?: \w+){0,2} (?:out loud|aloud|in writing)\b"),
    (
        "show|write|print|output",
        r"\b(?:show|write (?:down|out)|print|output) (?:all )?(?:your|the) (?:reasoning|work|thoughts|thinking|"
        r"analysis|steps|chain of thought)\b(?! in (?:the |1 |your )?(?:explanation|sentence))",
    ),
)
_TAKEN_AWAY = phrases(
    (
        "json",
        r"\b(?:instead of|rather than|in place of|not as|not in|without|no|skip the|omit the|drop the|avoid) "
        r"(?:a |an |any |the |using )?(?:single )?json\b(?! (?:errors?|syntax|in|arrays?|lists?|lines|text|is|"
        r"object (?:is|inside|that)|fields?|keys?|other))",
    ),
    (
        "json",
        rf"\b(?:do not|don't|never|no need to|need not|stop)(?: \w+)? (?:{_VERBS}|use|returning|using|writing)"
        r"(?: \w+)?(?: (?:with|in|as|a|an|any|the|valid|your|answer))* json\b(?! (?:in|inside|within|that|with|which|"
        r"arrays?|lists?|more|twice|again|lines|unless|objects? (?:in|inside|within|that|with|more)|before|after|first|"
        r"keys?|fields?))",
    ),
    ("instead of", r"\binstead of [\"'`](?:rating|explanation)[\"'`]"),
    (
        "explanation",
        r"\bno explanations?(?= (?:is|are) (?:needed|required|necessary)|\s*(?:$|[.;!),]))"
        rf"|\bwithout (?:an |any |the |giving an? )?explanations?\b{_END}"
        r"|\bexplanations? (?:is|are) not (?:needed|required|necessary)\b"
        r"|\b(?:do not|don't|never) (?:include|give|write|add|provide|output|return) (?:an?|any|the|your) explanation"
        rf"{_END}",
    ),
    (
        "explain",
        rf"\b(?:do not|don't|never) explain(?: (?:the rating|yourself|it|your (?:rating|answer|choice)))?{_END}",
    ),
)
_KEY = re.compile(r"[{,]\s*[\"']([a-z_][\w -]*)[\"']\s*:")
_OBJECT = re.compile(r"\{[^{}]*\}")


def format_changes(text: str) -> Iterator[str]:
    """Each phrase that asks for anything but one JSON object with a rating and an explanation, as found."""
    yield from asked_for(_ASKED, text)
    yield from denied(_TAKEN_AWAY, text)
    for shown in _OBJECT.finditer(text):
        keys = set(_KEY.findall(shown.group()))
        if keys and keys != FIELDS and not is_negated(text, shown.start()):
            yield shown.group()
