"""What a text has from the examples: runs of words, queries, names, figures, rare words, topics.

Rarity is counted in queries, because documents of one query share its topic: what the texts of several queries say
is the language of the data and free to use. So are common English and the baseline's own words.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np

from judge_serve.judging.task import Example
from optimize_workers.guardrails.identifiers import figures_in, names_in, references_in
from optimize_workers.guardrails.text_index import NGRAM_WORDS, build_index, ngram_hashes
from optimize_workers.texts.vocabulary import (
    has_capital_by_rule,
    has_no_topic,
    is_common,
    is_grammar,
    is_mostly_english,
    stem,
    words_in,
)
from optimize_workers.texts.wording import normalised, words_of

MIN_NEW_WORDS = 2  # of a copied run that have a topic and are not the baseline's own; with fewer it is a common phrase
MIN_QUERY_WORDS = 3  # a query of fewer words is found by its rare words only
QUERY_TOPIC_WORDS = 2  # words of one query that make a sentence one about it ...
DOCUMENT_TOPIC_WORDS = 3  # ... and words of one document
RETOLD_WORDS = 5  # words of one document that retell it, in any order


class ExampleTexts:
    """Queries, documents and reasons of examples, ready to be looked for in other texts."""

    def __init__(self, examples: Iterable[Example], baseline: str, own_texts: Sequence[str]) -> None:
        """Index the examples; the words of the baseline and of `own_texts` are no evidence of a copy."""
        own, others = ([word.lower() for word in words_of(normalised(t))] for t in (baseline, "\n".join(own_texts)))
        self._own = frozenset(map(stem, [*own, *others]))
        self._is_english = is_mostly_english([word for word in own if word.isalpha()])
        self._index = build_index(examples)
        self._topic_token_of = lru_cache(maxsize=50_000)(self._find_topic_token)
        self._grammar = {self._token_of(word) for word in words_in("grammar")}

    def copied_run(self, words: Sequence[str]) -> str | None:
        """A run of words (lower case) that stands in a query, document or reason, or None."""
        ngrams, ids = self._index.ngrams, self._index.token_ids
        hashes = ngram_hashes(np.array([ids.get(stem(word), -1) for word in words], dtype=np.int64))
        if not len(hashes) or not len(ngrams):
            return None
        places = np.minimum(np.searchsorted(ngrams, hashes), len(ngrams) - 1)
        for start in np.flatnonzero(ngrams[places] == hashes):
            run = words[start : start + NGRAM_WORDS]
            if sum(self._is_new(word) for word in run) >= MIN_NEW_WORDS:
                return " ".join(run)
        return None

    def copied_query(self, sentence_words: Sequence[str]) -> str | None:
        """The text of a query within a sentence (lower case), or all words of it that have a topic, or None."""
        said = [token for word in sentence_words if (token := self._token_of(word)) is not None]
        for query, words in self._by_query(sentence_words).items():
            text = self._index.query_texts[query]
            if len(words) < QUERY_TOPIC_WORDS or len(text) < MIN_QUERY_WORDS:
                continue
            asked = {token for token in text if token not in self._grammar}
            holds_text = any(tuple(said[i : i + len(text)]) == text for i in range(len(said)))
            if holds_text or (len(asked) >= MIN_QUERY_WORDS and asked.issubset(said)):
                return " ".join(words)
        return None

    def topic(self, sentence_words: Sequence[str]) -> str | None:
        """Words of a sentence (lower case) that say which query or document it is about, or None."""
        by_query = max(self._by_query(sentence_words).values(), key=len, default=())
        if len(by_query) >= QUERY_TOPIC_WORDS:
            return " ".join(by_query)
        by_document = self._of_one_document(sentence_words)
        return " ".join(by_document) if len(by_document) >= DOCUMENT_TOPIC_WORDS else None

    def retold(self, sentence_words: Sequence[str]) -> str | None:
        """Words of a sentence (lower case) that retell one document, or None."""
        found = self._of_one_document(sentence_words)
        return " ".join(found) if len(found) >= RETOLD_WORDS else None

    def mark(self, text: str) -> str | None:
        """A handle, address, ticket, figure or name of an example in a normalised text, or None."""
        found = [reference for reference in references_in(text) if reference in self._index.references]
        found += [figure for figure in figures_in(text) if figure in self._index.figures]
        if self._is_english:
            found += [name for name in names_in(text) if name in self._index.names and self._is_name(name.lower())]
        return found[0] if found else None

    def rare_word(self, words: Iterable[str]) -> str | None:
        """A word (lower case) of an example that is neither common English nor the language of the data, or None."""
        if not self._is_english:
            return None  # without a list of the language's words every noun would be rare
        return next((word for word in words if self._is_rare(word)), None)

    def _is_rare(self, word: str) -> bool:
        if len(word) < 2 or word.isdigit() or is_grammar(word) or self._is_own(word):
            return False
        if not word.isalpha() and len(word) <= 3:  # q3, v2
            return False
        if is_common(word):
            return False
        token = self._token_of(word)
        return token is not None and bool(self._index.is_of_item[token]) and self._index.is_of_few(token)

    def _is_name(self, word: str) -> bool:
        return not self._is_own(word) and not has_capital_by_rule(word)

    def _by_query(self, words: Sequence[str]) -> dict[int, list[str]]:
        """For each query that a rare word points at: the words of the sentence that its text holds."""
        topics = self._topics(words)
        pointed = {query for token in topics for query in self._index.in_queries.of(token).tolist()}
        return {
            query: [word for token, word in topics.items() if token in self._index.query_texts[query]]
            for query in sorted(pointed)
        }

    def _of_one_document(self, words: Sequence[str]) -> list[str]:
        """The rare words of a sentence that one document holds, the document with most of them."""
        held: defaultdict[int, list[str]] = defaultdict(list)
        for token, word in self._topics(words).items():
            for document in self._index.in_documents.of(token).tolist():
                held[document].append(word)
        return max(held.values(), key=len, default=[])

    def _topics(self, words: Sequence[str]) -> dict[int, str]:
        """Words of a sentence that may tell a topic, one for each token."""
        return {token: word for word in words if (token := self._topic_token_of(word)) is not None}

    def _find_topic_token(self, word: str) -> int | None:
        if len(word) < 3 or word.isdigit() or self._is_own(word) or has_no_topic(word):
            return None
        return self._token_of(word)

    def _token_of(self, word: str) -> int | None:
        return self._index.token_ids.get(stem(word))

    def _is_own(self, word: str) -> bool:
        return stem(word) in self._own

    def _is_new(self, word: str) -> bool:
        return not is_grammar(word) and (len(word) > 1 or not word.isascii()) and not self._is_own(word)
