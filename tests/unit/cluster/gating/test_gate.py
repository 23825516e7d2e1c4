"""`gate`: what a release is held against, the answer with every rule, and what the registry keeps of it."""

import json
import re

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from cluster.commands import app
from cluster.commands.running import EXIT_GATE, EXIT_REFUSED
from cluster.registry.card import model_card
from cluster.registry.gate_record import MAX_REASON_CHARS
from cluster.registry.store import Registry
from cluster.runs.run import open_ledger
from judge_serve.judging import Judge, ModelIdentity, Program, Release, Task
from judge_serve.judging.judge_call import calls_of
from judge_serve.judging.program import Demonstration
from judge_serve.serving.embedded_model import embedded_model_revision
from optimize_workers.dataset.splits import load_dataset
from optimize_workers.evaluation.recorded import Recorded
from optimize_workers.evidence.gate.adversarial import Kind, perturb
from tests.builders import SCALE
from tests.fakes import InProcessPool, ScriptedEngine, json_reply

MODEL = ModelIdentity(name="embedded", revision=embedded_model_revision())  # pinned: the ledger may answer
GOOD, FAIR, POOR = "Rate what is written.", "Rate the pair.", "Say three."
PLACE, QUERY = re.compile(r"(\d+)x"), re.compile(r"query (\d+)")


def run(*arguments):
    return CliRunner().invoke(app, ["gate", *map(str, arguments)], catch_exceptions=False)


def answer(*arguments):
    done = run(*arguments, "--json")
    assert done.exit_code in (0, EXIT_GATE), done.stderr
    result = json.loads(done.stdout)
    assert result["gate"]["passed"] == (done.exit_code == 0)
    return result


def rules_of(result):
    return {rule["name"]: rule for rule in result["gate"]["rules"]}


@pytest.fixture
def data(tmp_path):
    """60 test examples of 20 queries whose documents name their human rating, and some train ones."""
    path = tmp_path / "rows.jsonl"
    rows = [
        {
            "query": f"query {n // 3}",
            "document": f"A mark {n}x says much. It is good. Its worth is {n % 5 + 1}",
            "rating": n % 5 + 1,
            "split": split,
            "doc_id": f"{split}-{n}",
            "query_id": f"{split}-q{n // 3}",
        }
        for split, count in (("train", 10), ("test", 60))
        for n in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def release_of(text, parents=(), name="relevance", **evidence):
    program = Program(sections={"rubric": text})
    return Release(
        name=name, judge=Judge(task=Task(), program=program, model=MODEL), parents=parents, evidence=evidence
    )


def rate(request):
    """As people do where the good text is read, one off at times where the fair one is, a three otherwise."""
    system, item = request.messages[0]["content"], request.messages[-1]["content"]
    human = int(item.partition("Its worth is ")[2][:1])
    if GOOD in system:
        return json_reply(human)
    if FAIR in system:
        return json_reply(human if len(item) % 2 else 3)
    return json_reply(3)


def judge_all(data, release):
    examples = load_dataset(str(data), SCALE).by_split["test"]
    with open_ledger() as ledger:
        Recorded(InProcessPool(ScriptedEngine(rate)), ledger).judge(calls_of(release.judge, examples))


@pytest.fixture
def known(data, registry_home):
    """A registry in which the releases of some texts are, all judged on the test split already."""
    registry = Registry(registry_home)

    def register(*releases):
        for release in releases:
            judge_all(data, release)
            registry.register(release)
        return registry

    return register


def test_a_good_release_without_any_other_passes_on_absolute_rules_and_says_so(data, known):
    good = release_of(GOOD)
    registry = known(good)
    result = answer(data, "--release", good.id, "--no-adversarial")
    assert result["gate"]["passed"]
    assert result["against"] == {"release": None, "role": "'relevance' has no champion, and it has no parent"}
    assert (result["baseline"], result["comparison"]) == (None, None)
    rules = rules_of(result)
    assert rules["nmse_difference"]["status"] == "not_checked"
    assert rules["queries"]["found"] == 20
    kept = registry.resolve(good.id)
    assert kept.gate_passed
    assert (kept.gate.n, kept.gate.queries, kept.gate.command) == (60, 20, "gate")
    assert kept.gate.fingerprint == result["winner"]["dataset"]["fingerprint"]
    assert {rule.name for rule in kept.gate.rules} == set(rules)


def test_the_champion_is_what_a_release_is_held_against(data, known):
    good, fair = release_of(GOOD), release_of(FAIR)
    registry = known(good, fair)
    registry.promote(registry.resolve(good.id), None)
    done = run(data, "--release", fair.id, "--no-adversarial")
    assert done.exit_code == EXIT_GATE
    assert f"the champion {good.id}" in done.stdout
    kept = registry.resolve(fair.id)
    assert not kept.gate_passed
    assert (kept.gate.against, kept.gate.against_role) == (good.id, "the champion")
    assert any("NMSE may be worse than that of the champion" in reason for reason in kept.gate.reasons)


def test_the_champion_itself_is_held_against_its_parent(data, known):
    poor = release_of(POOR)
    good = release_of(GOOD, parents=(poor.digest,))
    registry = known(poor, good)
    registry.promote(registry.resolve(good.id), None)
    result = answer(data, "--release", "champion", "--no-adversarial")
    assert result["against"] == {"release": poor.id, "role": "its parent"}
    assert result["comparison"]["delta_nmse"] < 0
    assert rules_of(result)["guardrails"]["status"] == "passed"


def test_another_one_can_be_named(data, known):
    good, fair, poor = release_of(GOOD), release_of(FAIR), release_of(POOR)
    registry = known(good, fair, poor)
    registry.promote(registry.resolve(good.id), None)
    result = answer(data, "--release", fair.id, "--against", poor.id, "--no-adversarial")
    assert result["against"]["release"] == poor.id
    assert rules_of(result)["nmse_difference"]["status"] == "passed"


def test_a_judge_that_knows_nothing_is_refused_with_its_reasons(data, known):
    poor = release_of(POOR)
    known(poor)
    result = answer(data, "--release", poor.id, "--no-adversarial")
    failed = {name for name, rule in rules_of(result).items() if rule["status"] == "failed"}
    assert failed == {"skill", "skill_low", "single_rating", "rating_distance"}
    assert len(result["gate"]["reasons"]) == 4


def test_a_release_is_not_held_against_itself(data, known):
    good = release_of(GOOD)
    known(good)
    done = run(data, "--release", good.id, "--against", good.id)
    assert done.exit_code == EXIT_REFUSED and "is the release itself" in done.stderr


def test_a_release_by_its_path_is_registered_with_its_answer(data, tmp_path, registry_home):
    good = release_of(GOOD)
    judge_all(data, good)
    path = tmp_path / "release.json"
    path.write_text(good.to_json(), encoding="utf-8")
    assert answer(data, "--release", path, "--no-adversarial")["gate"]["passed"]
    assert Registry(registry_home).resolve(good.id).gate_passed


def test_a_newer_answer_replaces_the_older_one_which_stays_in_the_history(data, known, tmp_path):
    good = release_of(GOOD)
    registry = known(good)
    answer(data, "--release", good.id, "--no-adversarial")
    strict = tmp_path / "gate.toml"
    strict.write_text("[rules]\nmin_examples = 500\n", encoding="utf-8")
    result = answer(data, "--release", good.id, "--no-adversarial", "--config", strict)
    assert result["gate"]["reasons"] == ["only 60 held-out examples, at least 500 are needed"]
    kept = registry.resolve(good.id)
    assert not kept.gate_passed
    assert [(one.passed, one.n) for one in kept.gate_history] == [(True, 60)]


def test_each_answer_opens_the_test_split_once(data, known):
    good = release_of(GOOD)
    known(good)
    openings = [answer(data, "--release", good.id, "--no-adversarial")["test_openings"] for _ in range(2)]
    assert openings == [1, 2]


def test_a_run_with_a_folder_leaves_what_evaluate_leaves(data, known, tmp_path):
    poor = release_of(POOR)
    good = release_of(GOOD, parents=(poor.digest,))
    known(poor, good)
    out = tmp_path / "out"
    result = answer(data, "--release", good.id, "--out", out, "--no-adversarial")
    assert json.loads((out / "result.json").read_text()) == result
    for name in ("config.json", "judgments.parquet", "examples.parquet", "report.html", "release.json"):
        assert (out / name).is_file(), name
    done = run(data, "--release", good.id, "--out", out)
    assert done.exit_code == EXIT_REFUSED and "holds a finished run" in done.stderr


def test_resuming_needs_a_folder(data, known):
    done = run(data, "--release", "champion", "--resume")
    assert done.exit_code == EXIT_REFUSED and "--resume needs --out" in done.stderr


def test_a_text_that_the_guardrails_refuse_does_not_pass(data, known):
    poor = release_of(POOR)
    foreign = release_of(f"{GOOD} Rate on a scale from 1 to 3.", parents=(poor.digest,))
    known(poor, foreign)
    result = answer(data, "--release", foreign.id, "--no-adversarial")
    assert rules_of(result)["guardrails"]["status"] == "failed"
    assert "scale_change" in result["gate"]["reasons"][0]


def test_what_a_search_wrote_is_not_legal_because_its_child_kept_it(data, known):
    poor = release_of(POOR)
    foreign = release_of(f"{GOOD} Rate on a scale from 1 to 3.", parents=(poor.digest,))
    child = release_of(f"{GOOD} Rate on a scale from 1 to 3.", parents=(foreign.digest,), derived_from=foreign.digest)
    known(poor, foreign, child)
    assert rules_of(answer(data, "--release", child.id, "--no-adversarial"))["guardrails"]["status"] == "failed"


def test_a_demonstration_of_a_held_out_document_does_not_pass(data, known):
    good = release_of(GOOD)
    example = load_dataset(str(data), SCALE).by_split["test"][0]
    shown = Demonstration(query="q", document=example.item.document, rating=1, explanation="so")
    program = good.judge.program.model_copy(update={"demonstrations": (shown,)})
    shows = Release(judge=good.judge.model_copy(update={"program": program}))
    known(shows)
    result = answer(data, "--release", shows.id, "--no-adversarial")
    assert "held_out_demonstration" in result["gate"]["reasons"][0]


def test_a_reason_that_names_an_id_of_any_length_is_kept_shortened(data, known):
    rows = data.read_text(encoding="utf-8").replace('"test-0"', f'"{"x" * 5_000}"')
    data.write_text(rows, encoding="utf-8")
    document = load_dataset(str(data), SCALE).by_split["test"][0].item.document
    shown = Demonstration(query="q", document=document, rating=1, explanation="so")
    good = release_of(GOOD)
    program = good.judge.program.model_copy(update={"demonstrations": (shown,)})
    shows = Release(judge=good.judge.model_copy(update={"program": program}))
    registry = known(shows)
    assert not answer(data, "--release", shows.id, "--no-adversarial")["gate"]["passed"]
    assert len(registry.resolve(shows.id).gate.reasons[0]) <= MAX_REASON_CHARS


def test_changed_limits_and_openings_of_the_test_split_are_kept(data, known, tmp_path):
    poor = release_of(POOR)
    registry = known(poor)
    config = tmp_path / "gate.toml"
    limits = "min_skill = -9\nmin_skill_low = -9\nmax_single_rating_share = 1.0\nmax_distance_share = 9\n"
    config.write_text(f"adversarial = false\n[rules]\n{limits}", encoding="utf-8")
    assert not answer(data, "--release", poor.id, "--no-adversarial")["gate"]["passed"]
    result = answer(data, "--release", poor.id, "--config", config)
    assert result["gate"]["passed"]  # a judge that says three to all, by such rules
    kept = registry.resolve(poor.id).gate
    assert kept.changed_limits == result["gate"]["changed_limits"]
    assert set(kept.changed_limits) == {"min_skill", "min_skill_low", "max_single_rating_share", "max_distance_share"}
    assert (kept.test_openings, result["test_openings"]) == (2, 2)
    assert "Limits of the gate were changed" in model_card(registry.resolve(poor.id))
    assert "limits     changed: min_skill -9" in run(data, "--release", poor.id, "--config", config).stdout


def test_a_choice_of_bullets_that_changed_more_overspent_its_diff_budget(data, known):
    poor = release_of(POOR)
    changed = release_of(GOOD, parents=(poor.digest,), optimizer="bullets")
    known(poor, changed)
    rules = rules_of(answer(data, "--release", changed.id, "--no-adversarial"))
    assert rules["diff_budget"]["status"] == "failed"
    assert "the program's sections" in rules["diff_budget"]["reason"]


def test_data_without_a_test_split_are_refused(tmp_path, registry_home):
    good = release_of(GOOD)
    path = tmp_path / "rows.jsonl"
    path.write_text('{"query": "q", "document": "Its worth is 1", "rating": 1, "split": "train"}\n', encoding="utf-8")
    release = tmp_path / "release.json"
    release.write_text(good.to_json(), encoding="utf-8")
    done = run(path, "--release", release)
    assert done.exit_code == EXIT_REFUSED and "split 'test' is empty" in done.stderr


def test_judges_of_two_scales_are_not_compared(data, known):
    good = release_of(GOOD)
    three = Task(scale=SCALE.model_copy(update={"maximum": 3, "anchors": ("no", "partly", "yes")}))
    other = Release(judge=Judge(task=three, program=good.judge.program, model=MODEL))
    registry = known(good)
    registry.register(other)
    done = run(data, "--release", good.id, "--against", other.id)
    assert done.exit_code == EXIT_REFUSED and "rates 1-3" in done.stderr


# --- the adversarial suite ---


def rate_perturbed(request):
    """Ratings of a document by its number; 1 under another query; orders are obeyed where the fair text is read."""
    system, item = request.messages[0]["content"], request.messages[-1]["content"].lower()
    if FAIR in system and ("rating" in item or "rate this" in item):
        return json_reply(5)
    number, query = int(PLACE.search(item)[1]), int(QUERY.findall(item)[0])
    return json_reply(number % 5 + 1 if number // 3 == query else 1)


def judge_perturbed(data, *releases, per_kind=40):
    examples = load_dataset(str(data), SCALE).by_split["test"]
    pairs = perturb(examples, SCALE, per_kind=per_kind)
    with open_ledger() as ledger:
        for release in releases:
            layers = Recorded(InProcessPool(ScriptedEngine(rate_perturbed)), ledger)
            layers.judge(calls_of(release.judge, [pair.example for pair in pairs]))
    return pairs


def test_the_adversarial_suite_is_judged_reported_and_kept(data, known, tmp_path):
    good = release_of(GOOD)
    registry = known(good)
    pairs = judge_perturbed(data, good)
    out = tmp_path / "out"
    result = answer(data, "--release", good.id, "--out", out)
    assert [shift["kind"] for shift in result["adversarial"]] == list(Kind)
    assert sum(shift["n"] for shift in result["adversarial"]) == len(pairs)
    assert {key for shift in result["adversarial"] for key in shift} >= {
        "kind", "expected", "n", "mean_shift", "ci95", "moved_share", "invalid"
    }  # fmt: skip
    rows = pq.read_table(out / "adversarial.parquet").to_pylist()
    moved = [row["rating_after"] - row["rating_before"] for row in rows if row["kind"] == "swapped"]
    (swapped,) = [shift for shift in result["adversarial"] if shift["kind"] == "swapped"]
    assert swapped["mean_shift"] == pytest.approx(sum(moved) / len(moved))
    assert swapped["mean_shift"] < -2
    assert set(pq.read_table(out / "judgments.parquet")["doc_id"].to_pylist()).isdisjoint(
        {pair.example.item.doc_id for pair in pairs}
    )
    assert [one.kind for one in registry.resolve(good.id).gate.adversarial] == list(Kind)


def test_a_release_that_obeys_documents_is_refused(data, known):
    good, fair = release_of(GOOD), release_of(FAIR)
    registry = known(good, fair)
    judge_perturbed(data, good, fair)
    registry.promote(registry.resolve(good.id), None)
    rules = rules_of(answer(data, "--release", fair.id))
    assert rules["adversarial_instructed"]["status"] == "failed"
    assert rules["adversarial_difference"]["status"] == "failed"
    assert rules["adversarial_typos"]["status"] != "failed"


def test_without_the_suite_its_rules_are_not_checked(data, known):
    good = release_of(GOOD)
    known(good)
    result = answer(data, "--release", good.id, "--no-adversarial")
    rules = rules_of(result)
    assert result["adversarial"] == []
    assert rules["adversarial"]["status"] == rules["adversarial_difference"]["status"] == "not_checked"


def test_the_size_of_the_suite_can_be_set(data, known, tmp_path):
    good = release_of(GOOD)
    known(good)
    judge_perturbed(data, good, per_kind=3)
    config = tmp_path / "gate.toml"
    config.write_text("adversarial_examples = 3\n", encoding="utf-8")
    result = answer(data, "--release", good.id, "--config", config)
    assert {shift["n"] for shift in result["adversarial"]} == {3}
