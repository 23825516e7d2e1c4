"""Runs as `evaluate` leaves them, for tests of what reads them: judged by a formula, without a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from cluster.runs.folder import RunFolder
from judge_serve.judging import Example, Judgment, Release
from tests.builders import JUDGE, make_example, make_judgment

TOPICS = ("parental leave", "expense report", "laptop order", "office keys", "travel booking")
Rate = Callable[[int, Example], int | None]


def opposite(_number: int, example: Example) -> int:
    """A rating far from the human one: low for high, high for low, 4 for 3."""
    return 4 if example.gold_rating == 3 else int(6 - example.gold_rating)


def make_pairs(count: int, split: str = "train") -> list[Example]:
    """Examples of all ratings and several topics, with documents of different words and lengths."""
    pairs = []
    for number in range(count):
        topic = TOPICS[number % len(TOPICS)]
        words = " ".join(f"{topic.split()[0]}{number}x{place}" for place in range(5 + 3 * number))
        example = make_example(float(number % 5 + 1), number=number, document=f"About {topic}. {words}", split=split)
        item = replace(example.item, query=f"{topic} question {number}")
        pairs.append(replace(example, item=item))
    return pairs


def judge_pairs(pairs: Sequence[Example], rate: Rate = opposite, model: str = "scripted") -> list[Judgment]:
    """A judgment of each pair."""
    judgments = []
    for number, pair in enumerate(pairs):
        judgment = make_judgment(rate(number, pair), explanation=f"judge's reason {number}")
        item = pair.item
        judgments.append(replace(judgment, query_id=item.query_id, doc_id=item.doc_id, model=model))
    return judgments


def write_run(
    path: Path, pairs: Sequence[Example], judgments: Sequence[Judgment] | None = None, arm: str = "judge"
) -> Path:
    """A finished run of `evaluate` over these pairs; returns its folder."""
    release = Release(judge=JUDGE)
    folder = RunFolder.create(path, {"data": "labelled.jsonl"})
    folder.write_judgments([(arm, release.id, judgments or judge_pairs(pairs), pairs)])
    folder.write_json("release_document.json", {**release.model_dump(mode="json"), "digest": release.digest})
    folder.write_json("result.json", {"dataset": {"fingerprint": "f" * 64}})
    return path
