"""Distillation: what people wrote about single mistakes becomes general bullets of one line.

Similar explanations are put to the reflection model together, one bullet for each group; without a model that can
write, a reviewer's own line is the bullet. Every bullet passes the guardrails, and those that say the same are merged.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np

from judge_serve.judging.rendering import render_scale
from judge_serve.judging.task import Task
from optimize_workers.guardrails import Guardrails, Refusal
from optimize_workers.library.bullets import Bullet, Source
from optimize_workers.library.reviews import MAX_LINE_CHARS, one_line
from optimize_workers.texts.themes import topic_words
from optimize_workers.texts.word_vectors import word_vectors
from optimize_workers.texts.wording import normalised, words_of

MIN_LIKENESS = 0.2  # mean cosine of an explanation and its group; unlike ones have 0.06 by chance
MAX_GROUP = 8  # explanations in one prompt
SAME_WORDS_SHARE = 0.7  # of the words of two bullets together; then they say the same
NOTHING = "NONE"  # what the model answers where there is no bullet
UNREADABLE = "unreadable"  # reason of a refusal: the answer is no single line

_PROMPT = """\
A judge rates how relevant a document is to a search query.

Its task: {description}

These parts are fixed; a guideline neither repeats nor changes them:
- {scale}
- The answer is one JSON object with an integer rating and a short explanation.

People compared the judge's ratings with their own and wrote why it was wrong, one JSON object a line:
{explanations}

Write one guideline for the judge that would have prevented these mistakes and helps with queries and documents that \
nobody has seen yet. It
- names the cause behind the mistakes: what to look for, and what follows from it;
- holds no names, numbers, quotations, unusual words or topics of the texts above, and no rating;
- is plain text on one line of at most {most} characters.

Answer with the guideline alone. If the mistakes have no cause that a guideline could mend, answer {nothing}."""


class Explained(NamedTuple):
    """An explanation of one mistake.

    Attributes:
        source: the pair, the explanation's text and the pair's split.
        author: who wrote it.
        gap: judge minus human in rating units; None if unknown.
        is_line: whether it may stand as a bullet as it is; the reasons of labels speak of one document and may not.
    """

    source: Source
    author: str
    gap: float | None = None
    is_line: bool = True


class RefusedLine(NamedTuple):
    """A line that did not become a bullet, and why."""

    text: str
    refusal: Refusal


class Distillation(NamedTuple):
    """Bullets, those of most sources first, and the lines that were refused."""

    bullets: tuple[Bullet, ...]
    refused: tuple[RefusedLine, ...]


def distill(
    explained: Sequence[Explained],
    task: Task,
    guard: Guardrails,
    *,
    at: datetime,
    reflect: Callable[[str], str | Refusal] | None = None,
    writer: str = "",
) -> Distillation:
    """Bullets from explanations.

    Args:
        explained: of training pairs, as a bullet made of others would leak them.
        task: its description and scale are told to the model.
        guard: refuses lines that copy texts or change the task.
        at: date of the bullets.
        reflect: completes a prompt; None where no model is able to write.
        writer: name of that model.

    Raises: EngineError if the model did not answer.
    """
    date = at.isoformat(timespec="seconds")
    bullets: list[Bullet] = []
    refused: list[RefusedLine] = []
    for group in group_explanations([one.source.explanation for one in explained]):
        members = [explained[number] for number in group]
        lines: list[tuple[str, str, tuple[Source, ...]]] = [
            (one_line(one.source.explanation), one.author, (one.source,)) for one in members if one.is_line
        ]
        if reflect is not None:
            line, refusal = _read(reflect(distillation_prompt(members, task)))
            refusal = refusal or (guard.explain(line) if line else None)
            if refusal:
                refused.append(RefusedLine(line, refusal))
            elif line:
                lines = [(line, writer, tuple(one.source for one in members))]
        for line, author, sources in lines:
            refusal = guard.explain(line)
            if refusal:
                refused.append(RefusedLine(line, refusal))
            else:
                bullets.append(Bullet(text=line, author=author, created_at=date, sources=sources))
    merged = merge_similar(bullets)
    return Distillation(tuple(sorted(merged, key=lambda bullet: -len(bullet.sources))), tuple(refused))


def distillation_prompt(explained: Sequence[Explained], task: Task) -> str:
    """The prompt that asks for one bullet; it shows no query and no document."""
    return _PROMPT.format(
        description=task.description.strip(),
        scale=render_scale(task.scale).replace("\n", "\n  "),
        explanations="\n".join(json.dumps(_told(one), ensure_ascii=False) for one in explained),
        most=MAX_LINE_CHARS,
        nothing=NOTHING,
    )


def group_explanations(texts: Sequence[str]) -> list[list[int]]:
    """Numbers of texts that speak of the same thing, at most `MAX_GROUP` together, in the order of their first ones."""
    groups: list[list[int]] = []
    vectors = word_vectors([" ".join(sorted(topic_words(text))) for text in texts])
    for number, vector in enumerate(vectors):
        likeness = [
            float(np.mean(vectors[group] @ vector)) if len(group) < MAX_GROUP else -1.0 for group in groups
        ]  # to the members, on the average
        best = int(np.argmax(likeness)) if likeness else -1
        if best >= 0 and likeness[best] >= MIN_LIKENESS:
            groups[best].append(number)
        else:
            groups.append([number])
    return groups


def merge_similar(bullets: Iterable[Bullet]) -> list[Bullet]:
    """Bullets in their order, those that say the same once: the first stays and takes the sources of the others."""
    merged = []
    for first, *others in group_similar(bullets):
        sources = tuple(dict.fromkeys(source for one in (first, *others) for source in one.sources))
        merged.append(first.model_copy(update={"sources": sources}) if others else first)
    return merged


def group_similar(bullets: Iterable[Bullet]) -> list[list[Bullet]]:
    """Bullets that say the same as the first one of their group, in their order."""
    groups: list[list[Bullet]] = []
    words: list[frozenset[str]] = []  # of the first ones
    for bullet in bullets:
        own = frozenset(words_of(normalised(bullet.text).casefold()))
        place = next((n for n, other in enumerate(words) if _say_the_same(own, other)), None)
        if place is None:
            groups.append([bullet])
            words.append(own)
        else:
            groups[place].append(bullet)
    return groups


def _say_the_same(first: frozenset[str], second: frozenset[str]) -> bool:
    # "not" turns a line around and changes one word of many
    return len(first & second) >= SAME_WORDS_SHARE * len(first | second) and not (first ^ second) & _TURNS


_TURNS = frozenset({"not", "no", "never", "without", "unless", "lower", "higher", "high", "low"})


def _told(one: Explained) -> dict[str, str]:
    told = {}
    if one.gap:
        told["judge's rating"] = f"{abs(one.gap):.2g} too {'high' if one.gap > 0 else 'low'}"
    return {**told, "why": one.source.explanation}


def _read(reply: str | Refusal) -> tuple[str, Refusal | None]:
    """The line of a reply, empty for `NOTHING`; a refusal if there is not exactly one."""
    if isinstance(reply, Refusal):
        return "", reply
    lines = [line.strip() for line in reply.strip().strip("`").splitlines() if line.strip()]
    if len(lines) != 1:
        return "", Refusal(UNREADABLE, f"{len(lines)} lines, expected one")
    line = lines[0].removeprefix("- ").strip().strip('"').strip()
    if line.strip(".").upper() == NOTHING:
        return "", None
    if len(line) > MAX_LINE_CHARS:
        return line[:MAX_LINE_CHARS], Refusal("too_long", f"{len(line)} characters, at most {MAX_LINE_CHARS}")
    return line, None
