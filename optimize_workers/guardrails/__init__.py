"""Guardrails: what a proposed instruction may not do. Mechanical, before any judge call is spent on it.

`guard` holds the rules' order and those on the shape of a text; `scale_ranges`, `scale_ratings`, `scale_words`,
`answer_format` and `template` read what a text asks for, over `phrases` and `numbers`; `example_texts` reads what it
has from the examples, over `text_index` and `identifiers`. The one contract: a text is refused for something found in
it, which `Guardrails.explain` names, and the baseline's own sentences are never refused.
"""

from optimize_workers.guardrails.guard import Guardrails, Refusal, refusal_to_write

__all__ = ["Guardrails", "Refusal", "refusal_to_write"]
