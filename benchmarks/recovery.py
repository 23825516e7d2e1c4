"""Evaluations one after the other against an endpoint that fails in all ways it can, and that changes its model.

    python -m benchmarks.recovery --json [--full]

Each evaluation is the command's own (`run_evaluate`: ledger, canaries, Ray workers, run folder) on 30 pairs drawn from
a world's 60; the evaluations of a world share a ledger and an endpoint. In each some pairs meet a refusal, are called
too long, or meet 429, 503, a trickled body, a reset, a page or an error in a 200, once or twice; in every fifth
evaluation one pair meets it always (429 left out). A request may take 0.5 s. Before some evaluations the model
changes to another rating on at least half of all texts; in every other world 2 % of the replies differ by chance.

Keys, each 0 where all is well: `lost` (pairs without a row), `doubled` (pairs with two rows), `invented` (ratings that
no reply held), `ended_early` (evaluations that raised), `unnoticed_changes` (starts after a change that say nothing of
it, or pass on a rating of the model before), `false_alarms` (starts that say the model changed where it did not),
`mislabelled` (pairs always refused, too long or failing whose row says another thing). `detail.asked_again` counts
replies that were sent whole and asked for again: on a busy machine some come after their 0.5 s. `--full` has 300
evaluations; without it there are 60.
"""

from __future__ import annotations

import json
import logging
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.faulty_endpoint import OF_THE_MOMENT, Fault, FaultyEndpoint, Trouble, serving
from benchmarks.ray_head import CLUSTER_OF_OTHERS, ray_head
from benchmarks.running import ROOT, run_benchmark, say
from cluster.adapting.config import EvaluateConfig
from cluster.progress import Progress

EVALUATIONS, EVALUATIONS_FULL = 60, 300
PER_WORLD = 10
PAIRS, DRAWN = 60, 30
TROUBLED = 10  # pairs of an evaluation that meet something
HOPELESS = tuple(fault for fault in OF_THE_MOMENT if fault is not Fault.RATE_LIMIT)  # which takes over two minutes
HOPELESS_EVERY = 5  # an evaluation in so many has a pair that is never answered, which takes 10 to 30 s to find out
CHANGE_EVERY = 4  # an evaluation in so many has another model before it, on average
CHANGED_SHARES = (0.5, 0.7, 1.0)
FLIPPED_SHARE = 0.02
TIMEOUT_S = 0.5
PATH = {"PYTHONPATH": str(ROOT)}
_USUAL_REASONS = {Fault.REFUSAL: "refusal", Fault.TOO_LONG: "prompt_too_long"}


@dataclass
class World:
    """Evaluations that share a ledger and an endpoint.

    Attributes:
        pairs: the words by which the endpoint knows the pairs' texts, by doc_id.
        eras: by doc_id and model, in the order of models, the ratings that complete replies held.
        refused: pairs whose refusal by this model the ledger holds.
    """

    number: int
    folder: Path
    endpoint: FaultyEndpoint
    chance: random.Random
    pairs: dict[str, str] = field(default_factory=dict)
    eras: list[dict[str, Counter[int]]] = field(default_factory=lambda: [{}])
    refused: set[str] = field(default_factory=set)

    def collect_replies(self) -> None:
        """Take over what the endpoint replied since the last time."""
        for text, ratings in self.endpoint.replied.items():
            for doc_id, word in self.pairs.items():
                if word in text:
                    self.eras[-1].setdefault(doc_id, Counter()).update(ratings)
        self.endpoint.forget_replies()


def measure(full: bool) -> dict[str, Any]:
    """All worlds, one after the other."""
    logging.getLogger("judge_serve").setLevel(logging.ERROR)
    num_worlds = (EVALUATIONS_FULL if full else EVALUATIONS) // PER_WORLD
    tally: Counter[str] = Counter()
    started = time.monotonic()
    examples: list[str] = []
    with tempfile.TemporaryDirectory(prefix="rj") as folder, ray_head(Path(folder) / "ray", PATH) as address:
        os.environ.update(CLUSTER_OF_OTHERS, RAY_ADDRESS=address)  # of this process, which ends with the benchmark
        for number in range(num_worlds):
            run_world(number, Path(folder) / f"world-{number}", tally, examples)
            say(f"world {number}: {time.monotonic() - started:.0f} s, {dict(tally)}")
    keys = ("lost", "doubled", "invented", "ended_early", "unnoticed_changes", "false_alarms", "mislabelled")
    detail = {"examples": examples[:20], "wall_s": time.monotonic() - started, **tally}
    return {**{key: tally[key] for key in keys}, "detail": detail}


def run_world(number: int, folder: Path, tally: Counter[str], examples: list[str]) -> None:
    """The evaluations of one world."""
    folder.mkdir(parents=True)
    os.environ["RELEVANCE_JUDGE_HOME"] = str(folder / "home")
    with serving(FaultyEndpoint(seed=number)) as endpoint:
        world = World(number, folder, endpoint, random.Random(number))
        world.pairs = {f"d{pair}": f"#{number:03}-{pair:03}#" for pair in range(PAIRS)}
        if number % 2:
            endpoint.flip(FLIPPED_SHARE)
        for turn in range(PER_WORLD):
            is_changed = turn > 0 and world.chance.random() < 1 / CHANGE_EVERY
            if is_changed:
                endpoint.change_model(world.chance.choice(CHANGED_SHARES))
                world.eras.append({})
                world.refused.clear()
            found = evaluate_once(world, turn, is_changed=is_changed)
            for key, what in found:
                tally[key] += 1
                examples.append(f"world {number}, evaluation {turn}: {key}: {what}")
            tally["evaluations"] += 1
            tally["changes"] += is_changed


def evaluate_once(world: World, turn: int, *, is_changed: bool) -> list[tuple[str, str]]:
    """One evaluation; returns what went wrong, by key."""
    from cluster.adapting.evaluate import run_evaluate  # imports Ray, which then reads the environment of `measure`

    drawn = world.chance.sample(sorted(world.pairs), DRAWN)
    troubles = draw_troubles(world, drawn, has_hopeless=turn % HOPELESS_EVERY == 0)
    world.endpoint.trouble({world.pairs[doc_id]: trouble for doc_id, trouble in troubles.items()})
    data = world.folder / f"data-{turn}.jsonl"
    data.write_text("".join(_row(doc_id, world.pairs[doc_id]) for doc_id in drawn))
    out = world.folder / f"run-{turn}"
    config = EvaluateConfig(data=str(data), split="test", model=str(endpoint_file(world)), out=out)
    try:
        result = run_evaluate(config, Progress())
    except Exception as error:  # whatever it is, the evaluation ended early
        world.collect_replies()
        return [("ended_early", f"{type(error).__name__}: {error}")]
    world.collect_replies()
    rows = pq.read_table(out / "judgments.parquet").to_pylist()
    return [*compare(world, drawn, rows), *check_change(result, is_changed), *check_labels(troubles, rows, world)]


def draw_troubles(world: World, drawn: list[str], *, has_hopeless: bool) -> dict[str, Trouble]:
    """What some of the pairs meet: two by their texts for ever, the others once or twice, a hopeless one always."""
    chosen = world.chance.sample(drawn, TROUBLED)
    kinds = [*OF_THE_MOMENT, *world.chance.sample(OF_THE_MOMENT, 1)]
    troubles = {
        doc_id: Trouble(fault, world.chance.randint(1, 2)) for doc_id, fault in zip(chosen, kinds, strict=False)
    }
    troubles[chosen[-3]] = Trouble(Fault.REFUSAL, None)
    troubles[chosen[-2]] = Trouble(Fault.TOO_LONG, None)
    if has_hopeless:
        troubles[chosen[-1]] = Trouble(world.chance.choice(HOPELESS), None)
    return troubles


def endpoint_file(world: World) -> Path:
    """The world's endpoint as people describe one."""
    path = world.folder / "endpoint.toml"
    path.write_text(f'base_url = "{world.endpoint.base_url}"\nmodel = "m"\ntimeout_s = {TIMEOUT_S}\n')
    return path


def compare(world: World, drawn: list[str], rows: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Rows that are missing, doubled, or hold what no reply held; and replies that were asked for twice."""
    counts = Counter(row["doc_id"] for row in rows)
    yield from (("lost", doc_id) for doc_id in drawn if not counts[doc_id])
    yield from (("doubled", doc_id) for doc_id, count in counts.items() if count > 1)
    for doc_id, ratings in world.eras[-1].items():
        if ratings.total() > 1:
            yield "asked_again", f"{doc_id} was asked again after {ratings.total() - 1} complete replies"
            world.eras[-1][doc_id] = Counter(dict.fromkeys(ratings, 1)) if len(ratings) == 1 else ratings
    for row in rows:
        if row["rating"] is None or world.eras[-1].get(row["doc_id"], {}).get(row["rating"]):
            continue
        earlier = any(era.get(row["doc_id"], {}).get(row["rating"]) for era in world.eras[:-1])
        yield ("unnoticed_changes" if earlier else "invented"), f"{row['doc_id']} got {row['rating']}"


def check_change(result: dict[str, Any], is_changed: bool) -> Iterator[tuple[str, str]]:
    """Whether what the evaluation says of the model is true."""
    says_so = bool(result["model"]["changed"])
    if says_so and not is_changed:
        yield "false_alarms", str(result["model"])
    if is_changed and not says_so:
        yield "unnoticed_changes", str(result["model"])


def check_labels(troubles: dict[str, Trouble], rows: list[dict[str, Any]], world: World) -> Iterator[tuple[str, str]]:
    """Whether pairs that are never answered are called what they are, if nobody answered for them before."""
    for row in rows:
        doc_id, trouble = row["doc_id"], troubles.get(row["doc_id"])
        said = row["invalid_reason"] or ("not_judged" if row["not_judged"] else str(row["rating"]))
        is_known = doc_id in world.refused or doc_id in world.eras[-1]
        if row["invalid_reason"]:
            world.refused.add(doc_id)
        if trouble is None or trouble.times is not None or is_known:
            continue
        if said != _USUAL_REASONS.get(trouble.fault, "not_judged"):
            yield "mislabelled", f"{doc_id} met {trouble.fault} and is called {said}"


def _row(doc_id: str, word: str) -> str:
    row = {"query": f"why was {doc_id} rolled back", "document": f"It was {word}.", "rating": 3, "split": "test"}
    return json.dumps({**row, "query_id": f"q{doc_id}", "doc_id": doc_id}) + "\n"


if __name__ == "__main__":
    run_benchmark(__doc__.splitlines()[0], measure)
