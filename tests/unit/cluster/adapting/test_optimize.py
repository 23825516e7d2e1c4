"""A whole choice of bullets in this process, its test split closed before; what is found in the data beforehand."""

import json
from dataclasses import dataclass, field

import pytest

from cluster.adapting.adaptation import Adaptation
from cluster.adapting.config import OptimizeConfig
from cluster.adapting.finish import finish_adaptation
from cluster.adapting.optimize import adapt_judge, run_optimize
from cluster.endpoint.config import EXAMPLES
from cluster.endpoint.meeting import Met
from cluster.measuring.measure import Measurer
from cluster.progress import Progress
from cluster.registry.store import Registry
from cluster.runs.folder import RunFolder
from cluster.runs.run import Run, open_ledger
from judge_serve.judging import Judge, ModelIdentity, RefusedInputError, Release, load_judge_file
from judge_serve.judging.errors import CallFailedError
from optimize_workers.dataset.splits import load_dataset
from optimize_workers.evaluation.recorded import Lookup
from optimize_workers.library.bullets import Bullet, Source, read_bullets
from tests.fakes import InProcessPool, ScriptedEngine, json_reply

pytestmark = pytest.mark.usefixtures("registry_home")
LIBRARY = read_bullets(EXAMPLES / "bullets.txt")
HELPS = (LIBRARY[0].text, LIBRARY[1].text)
HURTS = LIBRARY[-1].text
JUDGE_FILE = load_judge_file(EXAMPLES / "judge.toml")
MODEL = ModelIdentity(name="m")
MET = Met(MODEL, Lookup())


@dataclass
class FakeSession:
    """What `adapt_judge` needs of a session; `seen` are the documents judged, in order."""

    pool: InProcessPool
    seen: list[str] = field(default_factory=list)
    reflection_max_tokens = 100
    can_propose = False

    def found(self):
        return {}

    def complete_reflection(self, request):
        raise AssertionError("a choice of bullets asks no reflection model")


@pytest.fixture(scope="module")
def dataset():
    return load_dataset(str(EXAMPLES / "workplace.jsonl"), JUDGE_FILE.task.scale)


@pytest.fixture
def session(dataset):
    """A judge that is two off on half of the documents unless one bullet stands there, on the others for another."""
    examples = [e for rows in dataset.by_split.values() for e in rows]
    gold = {e.item.document: (int(e.gold_rating), number % 2) for number, e in enumerate(examples)}
    found = FakeSession(InProcessPool(ScriptedEngine(lambda request: rate(request))))

    def rate(request):
        document = request.messages[-1]["content"].partition("<document>\n")[2].removesuffix("\n</document>")
        found.seen.append(document)
        system = request.messages[0]["content"]
        rating, kind = gold[document.replace("&lt;", "<")]
        gap = (0 if HELPS[kind] in system else 2) + (HURTS in system)
        return json_reply(min(5, rating + gap) if rating <= 3 else max(1, rating - gap))

    return found


def adapt(session, dataset, folder, library, **options):
    config = OptimizeConfig(
        data="workplace.jsonl", optimizer="bullets", out=folder.path, **{"budget": 4_000, **options}
    )
    judge: Judge = JUDGE_FILE.judge(MODEL, config.mode)
    with open_ledger() as ledger, Progress() as progress:
        run = Run("optimize", folder, ledger, progress)
        measurer = Measurer(session.pool, ledger, progress, MET)
        adaptation = Adaptation(judge, dataset, session, run, config, measurer, MODEL)
        return adaptation, adapt_judge(adaptation, library)


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path / "run", {})


def test_what_helps_is_found_and_proven_step_by_step_on_the_test_split(session, dataset, folder, registry_home):
    adaptation, adapted = adapt(session, dataset, folder, LIBRARY)
    assert set(adapted.proof.winner.release.judge.program.bullets) == set(HELPS)
    result = finish_adaptation(adaptation, adapted, Registry(registry_home))
    assert [step["change"] for step in result["waterfall"]] == ["baseline", "added", "added"]
    assert [step["nmse"] for step in result["waterfall"]] == sorted(
        (step["nmse"] for step in result["waterfall"]), reverse=True
    )
    assert result["waterfall"][0]["nmse"] == result["baseline"]["nmse"]
    assert result["waterfall"][-1]["nmse"] == result["winner"]["nmse"] == 0.0
    assert [bullet["text"] for bullet in result["harmful"]] == [HURTS]
    assert (result["diff_budget"]["kept"], result["gate"]["passed"]) == (True, True)
    release = Release.from_file(folder.path / "release.json")
    assert release.judge.program.sections == JUDGE_FILE.program.sections


def test_a_calibrated_winner_is_fitted_on_train_beside_the_budget(session, dataset, folder, registry_home):
    library = [Bullet(text="Stay calm.")]
    adaptation, adapted = adapt(session, dataset, folder, library, budget=600, calibrate=True)
    result = finish_adaptation(adaptation, adapted, Registry(registry_home))
    winner = adapted.proof.winner.release
    assert result["calls"] <= 600
    assert result["calibration"]["calls"] == len(dataset.for_optimizers().train)
    assert winner.calibration.fitted_on.judge == winner.judge.digest
    assert result["calibration"]["before"]["nmse"] == result["baseline"]["nmse"] > result["winner"]["nmse"]
    assert result["calibration"]["after"]["nmse"] == result["winner"]["nmse"]
    assert winner.parents == (adapted.proof.baseline.release.digest,)
    test = {e.item.document for e in dataset.by_split["test"]}
    places = [place for place, document in enumerate(session.seen) if document.replace("&lt;", "<") in test]
    assert places == list(range(len(session.seen) - 80, len(session.seen)))  # after the last of train


def test_the_test_split_is_judged_after_the_search_and_opened_once(session, dataset, folder):
    _, adapted = adapt(session, dataset, folder, LIBRARY)
    test = {e.item.document for e in dataset.by_split["test"]}
    places = [place for place, document in enumerate(session.seen) if document.replace("&lt;", "<") in test]
    assert adapted.proof.test_openings == 1
    assert places == list(range(min(places), len(session.seen)))
    assert len(places) == 80 * len(adapted.search.study.selection.steps)


def test_what_a_search_found_is_written_before_it_is_proven(session, dataset, folder):
    test = {e.item.document for e in dataset.by_split["test"]}
    judge = session.pool.judge

    def fail_on_test(calls, on_done=None):
        if any(call.item.document in test for call in calls):
            raise CallFailedError("one row is refused again and again")
        return judge(calls, on_done)

    session.pool.judge = fail_on_test
    with pytest.raises(CallFailedError):
        adapt(session, dataset, folder, LIBRARY)
    found = Release.from_file(folder.path / "release.json")
    assert set(found.judge.program.bullets) == set(HELPS)
    assert (found.evidence, len(found.parents)) == ({}, 1)
    session.pool.judge = judge
    _, adapted = adapt(session, dataset, folder, LIBRARY)
    assert adapted.proof.winner.release.judge == found.judge


def test_a_run_that_begins_anew_does_not_keep_the_winner_of_another_and_a_resumed_one_does(tmp_path):
    folder = RunFolder.create(tmp_path / "begun", {})
    folder.write_release("{}")
    RunFolder.create(folder.path, {}, resume=True)
    assert (folder.path / "release.json").exists()
    RunFolder.create(folder.path, {})
    assert not (folder.path / "release.json").exists()


def test_at_most_so_many_bullets_are_kept(session, dataset, folder):
    _, adapted = adapt(session, dataset, folder, LIBRARY, max_bullets=1)
    assert len(adapted.proof.winner.release.judge.program.bullets) == 1


def test_a_bullet_that_a_test_document_taught_is_never_judged(session, dataset, folder):
    doc_id = dataset.by_split["test"][0].item.doc_id
    taught = LIBRARY[0].model_copy(update={"sources": (Source(query_id="q", doc_id=doc_id),)})
    _, adapted = adapt(session, dataset, folder, [taught, *LIBRARY[1:]])
    assert adapted.proof.winner.release.judge.program.bullets == (HELPS[1],)
    assert adapted.search.study.refusals == {"held_out_source": 1}
    lines = [json.loads(line) for line in (folder.path / "candidates.jsonl").read_text().splitlines()]
    assert lines[0]["origin"]["bullet"] == taught.id


def test_the_baseline_stays_where_no_bullet_helps(session, dataset, folder, registry_home):
    adaptation, adapted = adapt(session, dataset, folder, [Bullet(text=HURTS), Bullet(text="Stay calm.")], budget=600)
    result = finish_adaptation(adaptation, adapted, Registry(registry_home))
    assert result["winner"]["nmse"] == result["baseline"]["nmse"]
    assert [step["change"] for step in result["waterfall"]] == ["baseline"]
    assert result["gate"]["passed"] is False or result["comparison"]["delta_nmse"] == 0.0


# --- what is found in the data before anything is started ---

TEXT = " ".join(f"word{number}" for number in range(30))
SHOWING_JUDGE = f"""
[program.sections]
rubric = "Rate the pair."
[[program.demonstrations]]
query = "query 0"
document = "{TEXT.upper()}"
rating = 3
explanation = "why"
"""


@pytest.fixture
def optimize(tmp_path, monkeypatch):
    """`optimize` of ten rows of each split, whose documents can be changed; the budget is too small to start."""
    monkeypatch.setenv("RELEVANCE_JUDGE_HOME", str(tmp_path / "home"))

    def run(documents, **config):
        rows = [
            {"query": f"query {n}", "document": documents.get(n, f"document {n}"), "doc_id": f"d{n}", "rating": 3}
            | {"split": ("train", "val", "test")[n // 10]}
            for n in range(30)
        ]
        data = tmp_path / "data.jsonl"
        data.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        model = "http://127.0.0.1:9/v1#none"
        run_optimize(
            OptimizeConfig(data=str(data), optimizer="gepa", model=model, budget=1, out=tmp_path / "out", **config),
            Progress(),
        )

    return run


def test_near_copies_are_told(optimize, capsys):
    with pytest.raises(RefusedInputError, match="--budget 1 is too small"):
        optimize({3: TEXT, 21: TEXT.upper()})
    assert "1 documents of train are near copies of documents of val or test, such as d3" in " ".join(
        capsys.readouterr().err.split()
    )


def test_a_judge_that_shows_a_test_document_is_refused(optimize, tmp_path):
    judge = tmp_path / "judge.toml"
    judge.write_text(SHOWING_JUDGE, encoding="utf-8")
    with pytest.raises(RefusedInputError, match="demonstration 1 of the judge shows document 'd25' of split 'test'"):
        optimize({25: TEXT}, judge=judge)
    with pytest.raises(RefusedInputError, match="--budget 1 is too small"):
        optimize({5: TEXT}, judge=judge)
