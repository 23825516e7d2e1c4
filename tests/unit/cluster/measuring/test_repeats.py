"""`evaluate --repeats` and judges that vote: what is refused, what is reported, and the same answers everywhere."""

import json

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from cluster.commands import app
from cluster.commands.running import EXIT_REFUSED
from cluster.endpoint.meeting import Met
from cluster.labeling.bulk import label_rows
from cluster.measuring.measure import Measurer
from cluster.progress import Progress
from cluster.runs.recorded import read_run
from cluster.runs.run import open_ledger
from judge_serve.judging import AnswerMode, Judge, ModelIdentity, Program, Release, Sampling, Votes
from judge_serve.judging.judge_call import JudgeCall
from judge_serve.serving.embedded_model import embedded_model_revision
from optimize_workers.dataset.splits import load_dataset
from optimize_workers.evaluation.recorded import Lookup, Recorded
from tests.builders import SCALE, make_calibration
from tests.fakes import InProcessPool, MemoryStore, ScriptedEngine, json_reply
from tests.unit.judge_serve.serving.desk import Desk, completion

pytestmark = pytest.mark.usefixtures("registry_home")
MODEL = ModelIdentity(name="embedded", revision=embedded_model_revision())  # pinned: the ledger may answer
MET = Met(MODEL, Lookup())
PROGRAM = Program(sections={"rubric": "Rate the pair."})
WARM = Judge(program=PROGRAM, model=MODEL, sampling=Sampling(temperature=0.8))


@pytest.fixture
def data(tmp_path):
    """40 examples whose documents name their human rating."""
    path = tmp_path / "rows.jsonl"
    rows = [
        {
            "query": f"query {n // 4}",
            "document": f"document {n} rating {n % 5 + 1}",
            "rating": n % 5 + 1,
            "split": "val",
        }
        for n in range(40)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def noisy_rating(text, seed):
    """The human rating, one off to either side by turns of the seed."""
    gold = int(text.split("rating ")[1][0])
    return min(5, max(1, gold + (1, -1, 0)[seed % 3]))


def noisy(request):
    return json_reply(noisy_rating(request.messages[-1]["content"], request.seed))


def write_release(folder, judge=WARM):
    path = folder / "in.json"
    path.write_text(Release(judge=judge).to_json(), encoding="utf-8")
    return path


def record(data, repeats, judge=WARM):
    examples = load_dataset(str(data), SCALE).by_split["val"]
    with open_ledger() as ledger:
        layers = Recorded(InProcessPool(ScriptedEngine(noisy)), ledger)
        layers.judge([JudgeCall(judge, example.item, number) for number in range(repeats) for example in examples])


def run(*arguments):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)], catch_exceptions=False)


# --- repeats ---


def test_repeats_show_the_spread_and_what_they_buy(tmp_path, data):
    record(data, 3)
    out = tmp_path / "out"
    done = run(data, "--split", "val", "--release", write_release(tmp_path), "--repeats", "3", "--out", out, "--json")
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    repeats = result["repeats"]
    assert (repeats["num_repeats"], repeats["temperature"], repeats["calls"], repeats["cached"]) == (3, 0.8, 120, 120)
    # 2, 3 and 4 come one up, one down, right: 1 apart; 1 and 5 are clipped on one side
    assert repeats["spread"]["mean_sd"] == pytest.approx((3 * 1.0 + 2 * (1 / 3) ** 0.5) / 5)
    assert repeats["spread"]["changing_share"] == 1.0
    one, _, three = repeats["by_count"]
    assert (one["k"], one["calls"], three["calls"]) == (1, 40, 120)
    assert three["mean"]["nmse"] < one["mean"]["nmse"] / 3
    assert three["mean"]["ci95"][1] < 0
    assert result["calls"] == result["n"] == 40


def test_the_headline_is_the_first_repeat_and_readers_see_it_alone(tmp_path, data):
    record(data, 3)
    release = write_release(tmp_path)
    run(data, "--split", "val", "--release", release, "--repeats", "3", "--out", tmp_path / "three")
    run(data, "--split", "val", "--release", release, "--out", tmp_path / "one")
    three, one = (json.loads((tmp_path / name / "result.json").read_text()) for name in ("three", "one"))
    same = set(one) - {"wall_s", "finished_at"}
    assert {key: three[key] for key in same} == {key: one[key] for key in same}
    rows = pq.read_table(tmp_path / "three" / "judgments.parquet").to_pylist()
    assert [row["occurrence"] for row in rows] == [0] * 40 + [1] * 40 + [2] * 40
    assert read_run(tmp_path / "three").judgments == read_run(tmp_path / "one").judgments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--repeats", "3"], "at temperature 0 repeats are equal; give --temperature"),
        (["--repeats", "3", "--temperature", "0"], "at temperature 0 repeats are equal"),
        (["--repeats", "3", "--temperature", "1", "--mode", "expected"], "mode 'expected' reads one greedy token"),
        (["--repeats", "1"], "--repeats: "),
        (["--repeats", "51"], "--repeats: "),
        (["--temperature", "3"], "--temperature: "),
    ],
)
def test_repeats_that_show_nothing_are_refused(tmp_path, data, arguments, message):
    done = run(data, *arguments, "--out", tmp_path / "out")
    assert done.exit_code == EXIT_REFUSED
    assert message in done.stderr


def test_a_temperature_beside_a_release_is_refused(tmp_path, data):
    release = write_release(tmp_path)
    done = run(data, "--release", release, "--temperature", "0.5", "--out", tmp_path / "out")
    assert "--temperature cannot be given beside --release, which holds it" in done.stderr


def test_repeats_of_a_judge_that_votes_are_refused(tmp_path, data):
    release = write_release(tmp_path, VOTING)
    done = run(data, "--release", release, "--repeats", "2", "--out", tmp_path / "out")
    assert (done.exit_code, "combines 3 votes already" in done.stderr) == (EXIT_REFUSED, True)


# --- votes ---

VOTING = Judge(
    program=PROGRAM,
    model=MODEL,
    mode=AnswerMode.GENERATE,
    sampling=Sampling(temperature=0.8),
    votes=Votes(num_samples=3),
)


def test_evaluating_a_judge_that_votes_counts_all_its_calls(tmp_path, data):
    record(data, 3, VOTING)
    release = write_release(tmp_path, VOTING)
    done = run(data, "--split", "val", "--release", release, "--out", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["n"], result["calls"], result["cached"]) == (40, 120, 120)
    assert result["prompt_tokens"] == 40 * 3 * 10
    assert result["nmse"] == pytest.approx(
        100 * (2 / 5) * (1 / 3) ** 2 / 16
    )  # only clipped ratings are off, by a third
    assert len(pq.read_table(tmp_path / "out" / "judgments.parquet")) == 40


def test_measuring_serving_and_labeling_combine_the_same_votes(tmp_path, data):
    release = Release(judge=VOTING, calibration=make_calibration(judge=VOTING))
    examples = load_dataset(str(data), SCALE).by_split["val"][:5]
    pool = InProcessPool(ScriptedEngine(noisy))
    with Progress() as progress:
        measured = Measurer(pool, MemoryStore(), progress, MET).measure(release, examples, "val").judgments
        out = label_rows([(e.item, {"query": e.item.query}) for e in examples], release, pool, tmp_path, progress)
    labels = pq.read_table(out["shards"][0]).to_pylist()
    desk = Desk(
        lambda body: completion(json_reply(noisy_rating(body["messages"][-1]["content"], body["seed"]))), MODEL.name
    )
    desk.deploy(release)
    pairs = [{"query": e.item.query, "document": e.item.document} for e in examples]
    served = [desk.call("POST", "/v1/judge", json=pair).json() for pair in pairs]
    expected = [(judgment.rating, judgment.expected_rating) for judgment in measured]
    assert [(row["rating"], row["expected_rating"]) for row in labels] == expected
    assert [(row["rating"], row["expected_rating"]) for row in served] == expected
    assert expected[:2] == [(1, pytest.approx(4 / 3)), (2, 2.0)]
    assert pool.waves == [15, 15]
