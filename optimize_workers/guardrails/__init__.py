"""Guardrails: what a proposed instruction may not do. Mechanical, before any judge call is spent on it.

`guard` holds the rules' order and those on the shape of a text; `scale_numbers`, `scale_words`, `answer_format` and
`template` read what a text asks for, `example_texts` (over `text_index`) what it has from the examples. `phrases`,
`wording` and `vocabulary` are how they read. The one contract: a text is refused for something found in it, which
`Guardrails.explain` names, and the baseline's own sentences are never refused.
"""

from optimize_workers.guardrails.guard import (
    GROWTH_ALLOWANCE_CHARS,
    MAX_GROWTH,
    MIN_BOUND_CHARS,
    REASONS,
    Guardrails,
    Refusal,
)

__all__ = ["GROWTH_ALLOWANCE_CHARS", "MAX_GROWTH", "MIN_BOUND_CHARS", "REASONS", "Guardrails", "Refusal"]
