"""The landscape: a judging task whose error depends on which of 24 rules an instruction holds.

A program is a set of rules in three sections. Ten rules lower the error, six raise it, four help only as two pairs,
four do nothing. Every example belongs to two kinds of failure of one direction, has a difficulty, and is misread by

    difficulty * (sizes of its failures that no rule ends, added, + HARM per harmful rule about one of its failures)

into that direction, to which noise is added: a part of the example's own, and a part drawn anew for every (rule set,
example). A small share of replies is no JSON. All of it is a pure function of the seed, the rule set and the example.

What can be gained (mean of seeds 0-19, 400 test examples each): test NMSE 23.6 without any rule, 2.4 with all rules
that help. Alone, a rule that helps takes 1.2 to 3.6 off, a harmful one adds 3.4 to 3.7. An idle one changes one
rating in six. Judged on a minibatch of 8, three quarters of the rules that fit a failure in it raise the score, and
so does a third of the idle ones and a sixth of the harmful ones.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b
from statistics import NormalDist, fmean
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from benchmarks.landscape_demonstrations import TOLERANCE, TYPICAL, Lesson, Shown, misled, share_left
from benchmarks.landscape_texts import (
    DETAILS,
    FAILURES,
    REMARKS,
    RULES,
    SECTIONS,
    SENTENCES,
    TOPICS,
    VERBS,
    Kind,
)
from judge_serve.judging import Example, Item, Judge, ModelIdentity, Program, Scale
from optimize_workers.dataset.splits import OptimizationData

RuleSet = frozenset[str]  # names of rules, and remarks, which are no rules and do nothing but draw noise anew
HARM = 0.3  # rating units that a harmful rule adds, for an example of difficulty 1
DIFFICULTY = (0.7, 1.3)  # uniform between
OWN_NOISE = 0.4  # standard deviation in rating units, the same for all rule sets
FRESH_NOISE = 0.15  # the same, drawn anew for every (rule set, example): an idle rule changes one rating in six
SCALE = Scale()
BASELINE = Program(sections=SECTIONS)
JUDGE = Judge(program=BASELINE, model=ModelIdentity(name="landscape", revision="1"))
EVERY_HELPFUL = frozenset(name for name, rule in RULES.items() if rule.kind in (Kind.HELPS, Kind.PAIR))
HARMFUL = frozenset(name for name, rule in RULES.items() if rule.kind is Kind.HARMS)
_NORMAL = NormalDist()
_KEY = re.compile(r"\bNote ([a-z]{8})\b")
_SPACE = re.compile(r"\s+")


class LandscapeConfig(BaseModel):
    """A landscape: its seed, its sizes, the share of replies that hold no rating, and what demonstrations do about it.

    Attributes:
        malformed_rate: share of the replies if nothing is shown.
        malformed_left: share of those that each demonstration shown leaves; 1 repairs nothing.
        malformed_by_example: replies about the same examples are malformed whatever the program, exactly that share of
            each split, so that no search comes to prefer a program for its well-formed replies.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 0
    num_train: int = Field(200, ge=1)
    num_val: int = Field(100, ge=1)
    num_test: int = Field(400, ge=1)
    malformed_rate: float = Field(0.01, ge=0.0, le=1.0)
    malformed_left: float = Field(1.0, ge=0.0, le=1.0)
    malformed_by_example: bool = False


class Traits(NamedTuple):
    """What makes an example easy or hard, and whether it is fit to be shown; `noise` in rating units."""

    gold: float
    failures: tuple[str, ...]
    sign: int
    difficulty: float
    noise: float
    is_typical: bool


class Reading(NamedTuple):
    """What the judge makes of an example: its rating, whether it can write it down, and the failures left."""

    rating: int
    is_malformed: bool
    failures: tuple[str, ...]


class Landscape:
    """The task of one seed.

    Attributes:
        data: what optimizers receive.
        test: examples that no optimizer sees.
    """

    def __init__(self, config: LandscapeConfig | None = None) -> None:
        self.config = config or LandscapeConfig()
        self._traits: dict[str, Traits] = {}
        self._malformed: set[str] = set()  # keys, used if malformed by example
        self.data = OptimizationData(self._make("train", self.config.num_train), self._make("val", self.config.num_val))
        self.test = self._make("test", self.config.num_test)

    def read(self, rules: RuleSet, key: str, shown: Sequence[Shown] = ()) -> Reading:
        """How a judge with these rules, shown these demonstrations, reads the example that carries the key."""
        traits = self._traits[key]
        demonstrations = (f"{one.key}={one.rating}" for one in shown)
        malformed, normal = draws(self.config.seed, "reading", *sorted(rules), *demonstrations, key)[:2]
        fresh = FRESH_NOISE * traits.difficulty * _NORMAL.inv_cdf(normal)
        missed_by = miss(rules, traits, [self._lesson(one) for one in shown])
        rating = SCALE.nearest(traits.gold + traits.sign * missed_by + traits.noise + fresh)
        malformed_rate = self.config.malformed_rate * self.config.malformed_left ** len(shown)
        by_example = self.config.malformed_by_example
        is_malformed = key in self._malformed if by_example else malformed < malformed_rate
        return Reading(rating, is_malformed, failures_left(rules, traits))

    def nmse(self, rules: RuleSet, examples: Sequence[Example], shown: Sequence[Shown] = ()) -> float:
        """NMSE of such a judge: 0-100, lower is better, a malformed reply counts 100."""
        return 100.0 * (1.0 - fmean(self.scores(rules, examples, shown)))

    def scores(self, rules: RuleSet, examples: Sequence[Example], shown: Sequence[Shown] = ()) -> list[float]:
        """Score of every example: 1 - (gap / 4)^2, 0 for a malformed reply."""
        readings = [self.read(rules, key_of(example.item.document), shown) for example in examples]
        return [
            0.0 if reading.is_malformed else 1.0 - ((reading.rating - example.gold_rating) / SCALE.width) ** 2
            for reading, example in zip(readings, examples, strict=True)
        ]

    def traits(self, example: Example) -> Traits:
        """What makes the example easy or hard."""
        return self._traits[key_of(example.item.document)]

    def _lesson(self, shown: Shown) -> Lesson:
        traits = self._traits[shown.key]
        return Lesson(traits.failures, traits.is_typical and abs(shown.rating - traits.gold) <= TOLERANCE)

    def _make(self, split: str, count: int) -> tuple[Example, ...]:
        examples = tuple(self._make_example(split, number) for number in range(count))
        keys = [key_of(example.item.document) for example in examples]
        in_turn = sorted(keys, key=lambda key: draws(self.config.seed, "malformed", key)[0])
        self._malformed.update(in_turn[: round(self.config.malformed_rate * count)])
        return examples

    def _make_example(self, split: str, number: int) -> Example:
        drawn = iter(draws(self.config.seed, split, str(number), count=16))
        key = "".join(chr(ord("a") + int(26 * next(drawn))) for _ in range(5)) + _letters(len(self._traits))
        sign = 1 if next(drawn) < 0.5 else -1
        kinds = [name for name, failure in FAILURES.items() if failure.sign == sign]
        first = kinds.pop(int(len(kinds) * next(drawn)))
        second = kinds[int(len(kinds) * next(drawn))]
        step = int(5 * next(drawn)) / 2  # 0 to 2
        traits = Traits(
            gold=SCALE.minimum + step if sign > 0 else SCALE.maximum - step,
            failures=(first, second),
            sign=sign,
            difficulty=DIFFICULTY[0] + (DIFFICULTY[1] - DIFFICULTY[0]) * next(drawn),
            noise=OWN_NOISE * _NORMAL.inv_cdf(next(drawn)),
            is_typical=draws(self.config.seed, "typical", key)[0] < TYPICAL,
        )
        self._traits[key] = traits
        query = f"{_choose(VERBS, next(drawn))} {_choose(TOPICS, next(drawn))} {_choose(DETAILS, next(drawn))}"
        body = " ".join(_choose(SENTENCES, next(drawn)) for _ in range(2))
        reasons = " ".join(FAILURES[name].reason for name in traits.failures)
        item = Item(query, f"Note {key}. {body}", f"{split}-q{number}", f"{split}-d{number}")
        return Example(item, traits.gold, (reasons,), split=split)


def failures_left(rules: RuleSet, traits: Traits) -> tuple[str, ...]:
    """Failures of an example that the rules do not end; a pair ends its failure where both rules are present."""
    return tuple(name for name in traits.failures if not ENDED_BY[name] <= rules)


def miss(rules: RuleSet, traits: Traits, lessons: Sequence[Lesson] = ()) -> float:
    """How far the judge misses before noise, in rating units: help never raises it, harm never lowers it."""
    harmful = sum(1 for rule in rules & HARMFUL if touches(rule, traits))
    sizes = sum(FAILURES[name].size * share_left(name, lessons) for name in failures_left(rules, traits))
    return traits.difficulty * (sizes + HARM * harmful + misled(traits.failures, lessons))


def touches(rule: str, traits: Traits) -> bool:
    """Whether a rule is about a failure of the example."""
    return not set(RULES[rule].failures).isdisjoint(traits.failures)


@lru_cache(maxsize=4_096)
def rules_in(instruction: str) -> RuleSet:
    """The rules and remarks whose sentences stand in a text, whatever the line breaks and what stands around them."""
    text = _SPACE.sub(" ", instruction)
    rules = (name for name, rule in RULES.items() if rule.text in text)
    return frozenset([*rules, *(remark for remark in REMARKS if remark in text)])


def key_of(text: str) -> str:
    """The key of the example whose document stands in a text."""
    found = _KEY.search(text)
    if found is None:
        raise ValueError(f"no document of the landscape in {text[:200]!r}")
    return found.group(1)


def draws(seed: int, *parts: str, count: int = 4) -> list[float]:
    """Independent numbers in (0, 1), a pure function of the seed and the parts."""
    content = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    numbers: list[float] = []
    for block in range(math.ceil(count / 8)):
        digest = blake2b(content, key=b"%d:%d" % (seed, block)).digest()
        numbers += [(int.from_bytes(digest[at : at + 6]) + 0.5) / 2**48 for at in range(0, 64, 8)]
    return numbers[:count]


def lognormal(median: float, sigma: float, drawn: float) -> float:
    """The quantile of a lognormal distribution at a number in (0, 1)."""
    return median * math.exp(sigma * _NORMAL.inv_cdf(drawn))


def _enders() -> dict[str, RuleSet]:
    helpful: Iterable[str] = sorted(EVERY_HELPFUL)
    return {name: frozenset(rule for rule in helpful if name in RULES[rule].failures) for name in FAILURES}


def _choose(texts: Sequence[str], drawn: float) -> str:
    return texts[int(len(texts) * drawn)]


def _letters(number: int) -> str:
    return "".join(chr(ord("a") + number // 26**place % 26) for place in range(3))


ENDED_BY = _enders()
