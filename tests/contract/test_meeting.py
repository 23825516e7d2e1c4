"""Meeting a model over real HTTP and a real ledger: what the ledger answers, and what it never passes off."""

import json

import pytest
from click.testing import CliRunner

from cluster.commands import app
from cluster.endpoint.contact import asking
from cluster.endpoint.judges import choice_for, reach_model
from cluster.endpoint.meeting import Met, contacted, known, meet, vllm_version
from cluster.endpoint.models import resolve_model
from cluster.failures import GateRefusedError
from cluster.progress import Progress
from cluster.registry import check_unchanged
from cluster.runs.folder import RunFolder
from cluster.runs.run import begin_run, open_ledger
from judge_serve.judging import Judge, ModelIdentity, RefusedInputError, Release
from judge_serve.judging.canaries import NUM_CANARIES
from judge_serve.judging.errors import MisconfiguredError, UnreachableError
from judge_serve.judging.judge_call import calls_of
from optimize_workers.evaluation.scopes import Meeting
from tests.builders import PROGRAM, make_examples
from tests.contract.endpoints import json_answer
from tests.contract.model_endpoint import model_endpoint
from tests.fakes import InProcessPool

EXAMPLES = make_examples(30)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "RELEVANCE_JUDGE_STORE", "RELEVANCE_JUDGE_MODEL_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RELEVANCE_JUDGE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def endpoint():
    with model_endpoint() as opened:
        yield opened


def judge_on(model):
    return Judge(program=PROGRAM, model=model)


class Started:
    """One start of a command against an endpoint: what it met, the judgments of 30 examples, what it said."""

    def __init__(self, endpoint, capsys, *, release=None, **options):
        capsys.readouterr()
        before = endpoint.num_asked
        with open_ledger() as ledger, Progress() as progress:
            self.choice = contacted(resolve_model(f"{endpoint.url}#m"), progress)
            judge = (release or Release(judge=judge_on(self.choice.identity))).judge
            calls = calls_of(judge, EXAMPLES)
            self.met: Met = meet(self.choice, ledger, progress, calls, **options)
            self.canaries_asked = endpoint.num_asked - before
            with asking(self.choice) as asked:
                pool = InProcessPool(asked.engine)
                pool.judge = lambda calls, on_done=None: _judge(calls, on_done, asked)
                self.judgments = self.met.recorded(pool, ledger).judge(calls)
        self.cached = sum(judgment.cached for judgment in self.judgments)
        self.ratings = [judgment.rating for judgment in self.judgments]
        self.said = " ".join(capsys.readouterr().err.split())


def _judge(calls, on_done, asked):
    from judge_serve.judging import judge_pair

    async def judge_all():
        return [await judge_pair(call, asked.engine) for call in calls]

    judgments = asked.run(judge_all())
    if on_done:
        on_done(range(len(judgments)), judgments)
    return judgments


@pytest.fixture
def start(capsys):
    return lambda endpoint, **options: Started(endpoint, capsys, **options)


def test_a_model_that_changed_is_said_and_nothing_old_is_passed_off(endpoint, start):
    first, again = start(endpoint), start(endpoint)
    assert (first.cached, again.cached, again.ratings) == (0, 30, first.ratings)
    assert (first.canaries_asked, again.canaries_asked) == (2 * NUM_CANARIES, NUM_CANARIES)
    endpoint.salt = "second"
    changed = start(endpoint)
    assert (changed.cached, changed.met.is_changed, changed.met.identity.scope) == (0, True, 1)
    assert "the model has changed: 'm' (reported as 'm-2026') answers otherwise than before" in changed.said
    assert changed.ratings != first.ratings
    assert {judgment.identity for judgment in changed.judgments} == {changed.met.identity.id}
    assert changed.met.identity.id not in {judgment.identity for judgment in first.judgments}
    shown = changed.met.as_dict()
    assert (shown["scope"], shown["changed"], shown["canaries"]["n"]) == (1, True, NUM_CANARIES)
    still = start(endpoint)
    assert (still.cached, still.met.is_changed, still.ratings) == (30, False, changed.ratings)


def test_a_model_that_changes_back_is_answered_for_by_what_was_recorded_then(endpoint, start):
    first = start(endpoint)
    endpoint.salt = "second"
    start(endpoint)
    endpoint.salt = "first"
    back = start(endpoint)
    assert (back.cached, back.ratings, back.met.identity.scope) == (30, first.ratings, 0)
    assert "the model has changed back" in back.said


def test_replies_that_differ_by_chance_raise_no_alarm(endpoint, start):
    endpoint.chance = 0.02
    assert not any(start(endpoint).met.is_changed for _ in range(12))


def test_one_model_at_two_addresses_is_one(endpoint, start):
    first = start(endpoint)
    with model_endpoint() as elsewhere:
        other = start(elsewhere)
    assert (other.cached, other.ratings, other.met.identity) == (30, first.ratings, first.met.identity)


def test_another_model_at_the_same_address_is_said(endpoint, start):
    start(endpoint)
    endpoint.reported = "m-2027"
    changed = start(endpoint)
    assert (changed.cached, changed.met.is_changed) == (0, True)
    assert "the model has changed: 'm' (reported as 'm-2026') answered here before" in changed.said
    endpoint.reported = "m-2026"
    assert start(endpoint).cached == 30


def test_a_new_fingerprint_with_the_same_answers_is_no_change(endpoint, start):
    endpoint.fingerprint = "fp_1"
    start(endpoint)
    endpoint.fingerprint = "fp_2"
    again = start(endpoint)
    assert (again.cached, again.met.is_changed, again.met.as_dict()["fingerprint"]) == (30, False, "fp_2")


def test_what_vllm_says_of_itself_is_recorded(endpoint, start):
    models = {"data": [{"id": "other", "max_model_len": 1}, {"id": "m", "max_model_len": 4_096}]}
    endpoint.gets = {"/version": json_answer({"version": "0.29.0"}), "/v1/models": json_answer(models)}
    started = start(endpoint)
    assert (started.met.version, started.met.lookup.context_length) == ("0.29.0", 4_096)


@pytest.mark.parametrize("page", [None, [], {"data": None}, {"data": [None, {"id": "m", "max_model_len": True}]}, "x"])
def test_what_an_endpoint_says_unreadably_is_not_known(endpoint, start, page):
    endpoint.gets = {"/version": json_answer(page), "/v1/models": json_answer(page)}
    started = start(endpoint)
    assert (started.met.version, started.met.lookup.context_length) == (None, None)


def test_fresh_asks_everything_again_and_answers_from_then_on(endpoint, start):
    start(endpoint)
    fresh, after = start(endpoint, fresh=True), start(endpoint)
    assert (fresh.cached, fresh.met.identity.scope, fresh.met.is_changed) == (0, 1, False)
    assert (after.cached, after.met.identity.scope) == (30, 1)


def test_canaries_that_cannot_be_measured_are_said_and_no_agreement(endpoint, start):
    start(endpoint)
    answer, filtered = endpoint._answer, json_answer({"error": {"code": "content_filter", "message": "no"}}, 400)
    endpoint.answer = lambda received: filtered if "from 1 (not relevant)" in str(received.body) else answer(received)
    started = start(endpoint)
    assert (started.cached, started.met.is_changed, len(started.ratings)) == (0, False, 30)
    assert "whether this is the model of last time cannot be told: no canary could be compared" in started.said


def test_an_endpoint_that_is_down_fails(start):
    with model_endpoint() as gone:
        pass
    with pytest.raises(UnreachableError):
        start(gone)


def test_a_wrong_key_fails_at_once(endpoint, start):
    endpoint.failing = json_answer({"error": {"message": "Incorrect API key"}}, 401)
    with pytest.raises(MisconfiguredError):
        start(endpoint)
    assert endpoint.num_asked <= NUM_CANARIES


# --- runs and releases ---


def run_in(folder, ledger, progress, *, resume):
    return begin_run("evaluate", folder, {}, ledger, progress, resume=resume)


def test_a_run_begun_before_a_change_is_not_resumed(endpoint, start, tmp_path):
    met = start(endpoint).met
    with open_ledger() as ledger, Progress() as progress:
        run_in(tmp_path / "run", ledger, progress, resume=False).note_model(met.identity)
        run_in(tmp_path / "run", ledger, progress, resume=True).note_model(met.identity)
        for now in (met.identity.in_scope(1), met.identity.model_copy(update={"reported": "m-2027"})):
            run = run_in(tmp_path / "run", ledger, progress, resume=True)
            with pytest.raises(RefusedInputError, match=r"--resume: the run in .* began with 'm' .*start a new run"):
                run.note_model(now)
        run_in(tmp_path / "run", ledger, progress, resume=False).note_model(met.identity.in_scope(1))


def test_a_run_of_version_0_1_is_resumed(tmp_path):
    with open_ledger() as ledger, Progress() as progress:
        RunFolder.create(tmp_path / "run", {})
        run_in(tmp_path / "run", ledger, progress, resume=True).note_model(ModelIdentity(name="m"))


def test_a_release_is_reached_where_its_model_answered_last_or_where_it_is_said_to_be(endpoint, start):
    release = Release(judge=judge_on(start(endpoint).choice.identity))
    assert choice_for(release).address == endpoint.url
    with model_endpoint() as elsewhere, Progress() as progress:
        there = choice_for(release, f"{elsewhere.url}#m")
        assert reach_model(release, there, progress).identity == release.judge.model


def test_a_release_of_an_endpoint_that_nobody_met_says_what_to_do():
    release = Release(judge=judge_on(ModelIdentity(name="m", revision="endpoint", reported="x")))
    with pytest.raises(RefusedInputError, match=r"say where by --model http\(s\)://host/v1#m"):
        choice_for(release)


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        ({"name": "n"}, "the name is 'm' instead of 'n'"),
        ({"reported": "m-2025"}, "reports itself as 'm-2026' instead of 'm-2025'"),
    ],
)
def test_a_release_of_another_model_is_refused_naming_what_differs(endpoint, wanted, named):
    model = ModelIdentity(**{"name": "m", "revision": "endpoint", **wanted})
    with Progress() as progress, pytest.raises(RefusedInputError, match=named):
        release = Release(judge=judge_on(model))
        reach_model(release, choice_for(release, f"{endpoint.url}#m"), progress)


def test_a_release_of_version_0_1_is_served_at_another_address(endpoint, start):
    release = Release(judge=judge_on(ModelIdentity(name="m", revision="http://gone.example/v1")))
    started = start(endpoint, release=release)
    assert {judgment.identity for judgment in started.judgments} == {started.met.identity.id}
    with Progress() as progress:
        assert reach_model(release, choice_for(release, f"{endpoint.url}#m"), progress).address == endpoint.url


def test_labels_of_a_model_that_changed_need_a_reason(endpoint, start):
    met = start(endpoint).met
    release = Release(judge=judge_on(met.identity), canaries=met.canaries)
    assert check_unchanged(release, met.agreement_with(release), None) is None
    endpoint.salt = "second"
    changed = start(endpoint).met
    with pytest.raises(GateRefusedError, match="answers otherwise than when it was made"):
        check_unchanged(release, changed.agreement_with(release), None)
    assert "of 20 canaries agree" in check_unchanged(release, changed.agreement_with(release), "we know")
    assert changed.agreement_with(Release(judge=release.judge)) is None  # of version 0.1


# --- check ---


def check(release, folder, *more):
    path = folder / "release.json"
    path.write_text(release.to_json(), encoding="utf-8")
    done = CliRunner().invoke(app, ["check", str(path), "--json", *more], catch_exceptions=False)
    return done.exit_code, json.loads(done.stdout) if done.stdout.strip() else done.stderr


@pytest.mark.parametrize("with_canaries", [True, False])
def test_check_ends_with_0_while_the_model_is_the_same_and_with_3_when_it_is_not(
    endpoint, start, tmp_path, with_canaries
):
    met = start(endpoint).met
    release = Release(judge=judge_on(met.identity), canaries=met.canaries if with_canaries else None)
    status, same = check(release, tmp_path)
    assert (status, same["same"], same["canaries"]["agree"], same["next"]) == (0, True, 20, "nothing to do")
    endpoint.salt = "second"
    status, changed = check(release, tmp_path)
    assert (status, changed["same"]) == (3, False)
    assert changed["canaries"]["ci95"][1] < 0.8 and "gate DATA" in changed["next"]


def test_check_names_another_model(endpoint, start, tmp_path):
    met = start(endpoint).met
    endpoint.reported = "m-2027"
    status, found = check(Release(judge=judge_on(met.identity), canaries=met.canaries), tmp_path)
    assert status == 3 and "reports itself as 'm-2027'" in found["differences"][0]


def test_check_of_an_endpoint_that_does_not_tell_is_a_failure(endpoint, start, tmp_path):
    met = start(endpoint).met
    endpoint.failing = json_answer({"error": {"code": "content_filter", "message": "no"}}, 400)
    status, found = check(Release(judge=judge_on(met.identity), canaries=met.canaries), tmp_path)
    assert (status, found["same"]) == (1, None)


def test_check_without_anything_to_compare_with_is_refused(endpoint, tmp_path):
    model = ModelIdentity(name="m", revision="endpoint")
    status, said = check(Release(judge=judge_on(model)), tmp_path, "--model", f"{endpoint.url}#m")
    assert status == 2 and "nothing to compare with" in " ".join(said.split())


# --- models pinned by content ---


def test_a_pinned_model_is_asked_once_per_version_of_vllm(endpoint, start):
    pinned = resolve_model(f"{endpoint.url}#m")._replace(
        identity=ModelIdentity(name="m", revision="content:1"), former=None
    )
    with open_ledger() as ledger, Progress() as progress:
        assert known(pinned, ledger).identity.scope == 0  # the weights are known, nothing else was ever there
        met = meet(pinned, ledger, progress)
        asked = endpoint.num_asked
        assert known(pinned, ledger) == met and meet(pinned, ledger, progress) == met
        assert (asked, endpoint.num_asked) == (2 * NUM_CANARIES, 2 * NUM_CANARIES)
        ledger.add_meeting(Meeting(met.identity, None, "0.0.1", None, met.canaries))
        assert known(pinned, ledger) is not None
    assert met.version == vllm_version()


def test_a_new_version_of_vllm_has_a_pinned_model_asked_again(endpoint, start):
    pinned = resolve_model(f"{endpoint.url}#m")._replace(
        identity=ModelIdentity(name="m", revision="content:1"), former=None
    )
    with open_ledger() as ledger, Progress() as progress:
        canaries = start(endpoint).met.canaries
        ledger.add_meeting(Meeting(pinned.identity, None, "0.0.1", None, canaries))
        assert known(pinned, ledger) is None
        assert meet(pinned, ledger, progress).identity.scope == 0
        assert known(pinned, ledger) is not None
