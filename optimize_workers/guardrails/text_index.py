"""The index over the texts of the examples: which words and runs of words they hold, and in how many queries.

Arrays instead of sets of strings: ten thousand documents are prepared in a second or two.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from judge_serve.judging.task import Example
from optimize_workers.guardrails.identifiers import figures_in, names_in, references_in
from optimize_workers.texts.query_groups import query_groups
from optimize_workers.texts.vocabulary import stem
from optimize_workers.texts.wording import normalised, words_of

NGRAM_WORDS = 8  # a run of this many words of one example counts as copied
SHARED_BY_QUERIES = 5  # what the texts of this many queries say ...
SHARED_SHARE = 0.05  # ... and of this share of all queries, is the language of the data
TOPIC_SHARE = 0.01  # the same for words that only together tell a topic: with many documents some hold any few words
_HASH_BASE = np.uint64(0x9E3779B97F4A7C15)
_QUERY, _DOCUMENT, _REASON = range(3)

Ids = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Postings:
    """For each token the queries or documents that hold it: `values[starts[token]:starts[token + 1]]`."""

    starts: Ids
    values: Ids

    def of(self, token: int) -> Ids:
        """Queries or documents of a token."""
        return self.values[self.starts[token] : self.starts[token + 1]]


@dataclass(frozen=True)
class TextIndex:
    """Texts of n examples; their tokens are the stems of words, numbered.

    Attributes:
        queries_by_token: in the texts of how many queries a token occurs, shape (tokens,).
        shared: from so many queries on, a token or run of words is the language of the data.
        is_of_item: whether a token occurs in a query or document, or as a name in a reason, shape (tokens,).
        ngrams: sorted hashes of the runs of `NGRAM_WORDS` words of too few queries to be shared.
        in_queries, in_documents: where the tokens occur that may tell a topic.
        query_texts: tokens of each query's text, in order.
        references, figures, names: see `identifiers`; only those of too few queries, and only names never seen without
            their capital.
    """

    token_ids: dict[str, int]
    queries_by_token: Ids
    shared: float
    is_of_item: npt.NDArray[np.bool_]
    ngrams: Hashes
    in_queries: Postings
    in_documents: Postings
    query_texts: dict[int, tuple[int, ...]]
    references: frozenset[str]
    figures: frozenset[str]
    names: frozenset[str]

    def is_of_few(self, token: int) -> bool:
        """Whether too few queries hold a token for it to be the language of the data."""
        return bool(self.queries_by_token[token] < self.shared)


class _Texts(NamedTuple):
    """All texts as numbered words: one entry a text, and the queries that hold each mark."""

    word_ids: dict[str, int]
    words: list[Ids]
    queries: list[int]
    documents: list[int]
    kinds: list[int]
    references: dict[str, set[int]]
    figures: dict[str, set[int]]
    names: dict[str, set[int]]  # kinds of text by name


def build_index(examples: Iterable[Example]) -> TextIndex:
    """Index queries, documents and reasons."""
    texts = _read(examples)
    token_ids: dict[str, int] = {}
    tokens = [token_ids.setdefault(stem(word.lower()), len(token_ids)) for word in texts.word_ids]
    token_of_word = np.array(tokens, dtype=np.int64)
    spoken = [token_of_word[words] for words in texts.words]
    lengths = [len(tokens) for tokens in spoken]
    flat = np.concatenate([np.zeros(0, dtype=np.int64), *spoken])
    query_of, document_of, kind_of, text_of = (
        np.repeat(np.array(values, dtype=np.int64), lengths)
        for values in (texts.queries, texts.documents, texts.kinds, range(len(spoken)))
    )
    num_queries = len(set(texts.queries))
    shared, topical = (max(SHARED_BY_QUERIES, share * num_queries) for share in (SHARED_SHARE, TOPIC_SHARE))
    queries_by_token = np.bincount(_unique_pairs(flat, query_of)[0], minlength=len(token_ids))
    is_topical = queries_by_token[flat] < topical
    asked, told = ((kind_of == kind) & is_topical for kind in (_QUERY, _DOCUMENT))
    is_of_item = np.zeros(len(token_ids), dtype=np.bool_)
    is_of_item[flat[kind_of != _REASON]] = True
    for name, kinds in texts.names.items():
        is_of_item[token_ids[stem(name.lower())]] |= _REASON in kinds
    lower_case = {word for word in texts.word_ids if word.islower()}
    return TextIndex(
        token_ids=token_ids,
        queries_by_token=queries_by_token,
        shared=shared,
        is_of_item=is_of_item,
        ngrams=_rare_ngrams(flat, text_of, query_of, shared),
        in_queries=_postings(flat[asked], query_of[asked], len(token_ids)),
        in_documents=_postings(flat[told], document_of[told], len(token_ids)),
        query_texts={
            query: tuple(tokens.tolist())
            for query, kind, tokens in zip(texts.queries, texts.kinds, spoken, strict=True)
            if kind == _QUERY
        },
        references=_of_few(texts.references, shared),
        figures=_of_few(texts.figures, shared),
        names=frozenset(
            name
            for name in texts.names
            if name.lower() not in lower_case and queries_by_token[token_ids[stem(name.lower())]] < shared
        ),
    )


def ngram_hashes(tokens: Ids) -> Hashes:
    """Hash of each run of `NGRAM_WORDS` tokens, shape (max(n - NGRAM_WORDS + 1, 0),)."""
    num_runs = max(len(tokens) - NGRAM_WORDS + 1, 0)
    hashes = np.zeros(num_runs, dtype=np.uint64)
    mixed = (tokens + 2).astype(np.uint64) * _HASH_BASE
    mixed ^= mixed >> np.uint64(29)
    for position in range(NGRAM_WORDS):
        hashes = hashes * _HASH_BASE + mixed[position : position + num_runs]
    return hashes


def _read(examples: Iterable[Example]) -> _Texts:
    word_ids: defaultdict[str, int] = defaultdict(count().__next__)
    texts = _Texts(word_ids, [], [], [], [], defaultdict(set), defaultdict(set), defaultdict(set))
    queries: defaultdict[str, int] = defaultdict(count().__next__)
    documents: defaultdict[str, int] = defaultdict(count().__next__)
    seen: set[tuple[int, str]] = set()
    examples = list(examples)
    for example, name in zip(examples, query_groups(e.item for e in examples), strict=True):
        item, query = example.item, queries[name]
        kinds = (_QUERY, _DOCUMENT, *(_REASON for _ in example.explanations))
        for kind, text in zip(kinds, (item.query, item.document, *example.explanations), strict=True):
            if (query, text) in seen:
                continue
            seen.add((query, text))
            text = normalised(text)
            words = words_of(text)
            texts.words.append(np.fromiter(map(word_ids.__getitem__, words), dtype=np.int64, count=len(words)))
            texts.queries.append(query)
            texts.documents.append(documents[item.doc_id])
            texts.kinds.append(kind)
            for reference in references_in(text):
                texts.references[reference].add(query)
            for figure in figures_in(text):
                texts.figures[figure].add(query)
            for name in names_in(text):
                texts.names[name].add(kind)
    return texts


def _rare_ngrams(flat: Ids, text_of: Ids, query_of: Ids, shared: float) -> Hashes:
    """Sorted hashes of the runs that lie within one text and are said in too few queries to be shared."""
    hashes = ngram_hashes(flat)
    is_within = text_of[: len(hashes)] == text_of[NGRAM_WORDS - 1 :][: len(hashes)]
    queries = query_of[: len(hashes)][is_within].astype(np.uint64)
    hashes = hashes[is_within]
    _, firsts = np.unique(hashes + queries * _HASH_BASE, return_index=True)
    runs, num_queries = np.unique(hashes[firsts], return_counts=True)
    rare: Hashes = runs[num_queries < shared]
    return rare


def _unique_pairs(first: Ids, second: Ids) -> tuple[Ids, Ids]:
    """Distinct pairs, sorted."""
    width = int(second.max()) + 1 if len(second) else 1
    pairs = np.unique(first * width + second)
    return pairs // width, pairs % width


def _postings(tokens: Ids, places: Ids, num_tokens: int) -> Postings:
    tokens, places = _unique_pairs(tokens, places)
    return Postings(np.searchsorted(tokens, np.arange(num_tokens + 1)), places)


def _of_few(queries_by_mark: dict[str, set[int]], shared: float) -> frozenset[str]:
    return frozenset(mark for mark, queries in queries_by_mark.items() if len(queries) < shared)
