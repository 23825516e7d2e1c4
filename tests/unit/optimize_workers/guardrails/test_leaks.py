"""Leaks: in a whole search no text of val or test, nor a near copy, stands anywhere but as the item under judgment.

Documents are made of few texts, so that they repeat and nearly repeat across splits; each text has words of its own,
by which every copy of it is recognised in a prompt.
"""

import json
import re
import zlib

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from judge_serve.judging import AnswerMode, EngineReply
from optimize_workers.dataset.splits import SPLITS, load_dataset
from optimize_workers.optimizers import OPTIMIZERS, load_optimizer
from optimize_workers.optimizers.mipro.example_sets import to_demonstration
from tests.builders import JUDGE, SCALE
from tests.fakes import json_reply
from tests.unit.optimize_workers.optimizers.searches import make_study

NUM_TEXTS = 14
NUM_HELD_OUT_TEXTS = 10  # so that train keeps something
CHANGES = (
    str,
    str.upper,
    lambda text: f"- {text.replace(' ', ', ')}!",
    lambda text: f"so {text}",
    lambda text: text.replace(" ", " so ", 1),
)
PROPOSAL = "Rate by what a document states."
_MARK = re.compile(r"(text|query)(\d+)word", re.IGNORECASE)


def words(name, number):
    return " ".join(f"{name}word{n}" for n in range(number))


def rows_of(num_texts, least):
    pairs = st.tuples(st.integers(0, num_texts - 1), st.sampled_from(CHANGES), st.integers(1, 5), st.booleans())
    return st.lists(pairs, min_size=least, max_size=12)


splits = st.tuples(rows_of(NUM_TEXTS, 8), rows_of(NUM_HELD_OUT_TEXTS, 4), rows_of(NUM_HELD_OUT_TEXTS, 1))


@st.composite
def datasets(draw):
    """(split, query, document, rating, reason) rows; documents may occur in several splits, queries may not."""
    rows = []
    for split, drawn in zip(SPLITS, draw(splits), strict=True):
        for text, change, rating, has_reason in drawn:
            document = change(words(f"text{text}", 50))
            rows.append((split, words(f"query{len(rows)}", 3), document, rating, "fits" if has_reason else ""))
    return rows


def dataset_of(folder, rows):
    names = ("split", "query", "document", "rating", "explanation")
    path = folder / "leaks.jsonl"
    path.write_text("\n".join(json.dumps(dict(zip(names, row, strict=True))) for row in rows), encoding="utf-8")
    return load_dataset(str(path), SCALE)


def marks_in(*texts):
    """Which texts and queries are told of."""
    return {mark.lower() for text in texts for mark in ("".join(found) for found in _MARK.findall(text))}


def propose(prompt):
    """A reflection model that answers both optimizers, each time otherwise."""
    proposal = f"{PROPOSAL} {'Take care. ' * (len(prompt) % 3)}".strip()
    names = ("observations", "summary", "proposed_instruction")
    fields = "".join(f"[[ ## {name} ## ]]\n{proposal}\n\n" for name in names)
    return f"{fields}[[ ## completed ## ]]" if "[[ ##" in prompt else f"```\n{proposal}\n```"


def rate_and_quote(request):
    """A script: any rating, with a reason that quotes the document where a reason is asked for."""
    item = request.messages[-1]["content"]
    rating = zlib.crc32(item.encode()) % 5 + 1
    if request.choices:
        return EngineReply(str(rating), "stop", first_token_logprobs=((str(rating), 0.0),))
    return json_reply(rating, item.partition("<document>")[2][:60].strip())


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(
    rows=datasets(),
    seed=st.integers(0, 99),
    mode=st.sampled_from([AnswerMode.GENERATE, AnswerMode.EXPECTED]),
    brings_demonstration=st.booleans(),
)
def test_a_search_shows_no_text_of_val_or_test(tmp_path_factory, optimizer, rows, seed, mode, brings_demonstration):
    dataset = dataset_of(tmp_path_factory.getbasetemp(), rows)
    explained = [e for e in dataset.for_optimizers().train if e.explanation]
    shown = [to_demonstration(example) for example in explained[:1] if brings_demonstration]
    dataset.require_unseen(shown)
    data = dataset.for_optimizers(shown)
    assume(data.train)  # else the study is refused
    program = JUDGE.program.model_copy(update={"demonstrations": tuple(shown)})
    judge = JUDGE.model_copy(update={"program": program, "mode": mode})
    requests, prompts = [], []

    def judge_recorded(request):
        requests.append(request)
        return rate_and_quote(request)

    def reflect_recorded(prompt):
        prompts.append(prompt)
        return propose(prompt)

    study = make_study(judge_recorded, reflect=reflect_recorded, judge=judge, data=data, seed=seed, budget=60)
    load_optimizer(optimizer)().run(study)
    val, test = (
        marks_in(*(f"{e.item.query} {e.item.document}" for e in dataset.by_split[split])) for split in SPLITS[1:]
    )
    assert requests
    for request in requests:
        item, *others = [message["content"] for message in reversed(request.messages)]
        assert marks_in(*others).isdisjoint(val | test)
        assert marks_in(item).isdisjoint(test - val)
        assert item not in others
    assert marks_in(*prompts).isdisjoint(val | test)
    for trial in study.trials:
        assert marks_in(trial.program.model_dump_json()).isdisjoint(val | test)


def test_the_searches_of_these_tests_show_and_reflect(tmp_path):
    """Else nothing above would be tested."""
    rows = [
        (split, words(f"query{split}{n}", 3), words(f"text{start + n}", 50), n % 5 + 1, "fits")
        for split, start in zip(SPLITS, (0, 20, 40), strict=True)
        for n in range(12)
    ]
    data = dataset_of(tmp_path, rows).for_optimizers()
    for optimizer in ("gepa", "mipro"):  # those that write
        requests, prompts = [], []
        study = make_study(
            lambda request, seen=requests: seen.append(request) or rate_and_quote(request),
            reflect=lambda prompt, seen=prompts: seen.append(prompt) or propose(prompt),
            data=data,
            budget=60,
        )
        load_optimizer(optimizer)().run(study)
        assert marks_in(*prompts)
        assert optimizer != "mipro" or any(len(request.messages) > 2 for request in requests)
