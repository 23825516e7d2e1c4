"""A deployment that fails anywhere: endpoint and registry stay at one, and what is said is what is."""

import json
import shutil

import pytest
from mlflow.exceptions import MlflowException

from cluster.endpoint import deploy, status
from cluster.endpoint.agreement import disagreements
from cluster.endpoint.config import DeployConfig, RollbackConfig
from cluster.endpoint.deploy import run_deploy, run_rollback
from cluster.endpoint.journal import Deployment, Journal, Step
from cluster.endpoint.state import ServeState
from cluster.failures import GateRefusedError, ServingFailedError
from cluster.progress import Progress
from cluster.registry.gate_record import GateRecord, Override
from cluster.registry.store import GATE_RECORD_TAG, GATE_TAG, OVERRIDES_TAG, Registry
from judge_serve.catalogue.served_model import ServedModel
from judge_serve.judging import RefusedInputError, Release
from tests.builders import JUDGE, PROGRAM
from tests.unit.cluster.registry.failing_mlflow import FailingClient

PASSED = GateRecord(passed=True)
REFUSED = GateRecord(passed=False, reasons=("bias +0.80",))


def release_of(text):
    return Release(judge=JUDGE.model_copy(update={"program": PROGRAM.with_sections({"rubric": text})}))


BEFORE, NOW, NEW = map(release_of, ("before", "now", "new"))


class FakeApplication:
    """Serve, as far as a deployment sees it: what answers, and what Serve's own state holds for a new replica."""

    def __init__(self, release):
        self.live = self.kept = release
        self.broken = {}  # by the number of the putting: what it raises, and whether the release is live by then
        self.puts = 0
        self.on_put = lambda: None

    def running(self):
        return self.live

    def put(self, release, progress):
        self.puts += 1
        self.on_put()
        error, goes_live = self.broken.get(self.puts, (None, True))
        self.kept = release
        if goes_live:
            self.live = release
        if error is not None:
            raise error


@pytest.fixture(scope="module")
def filled(migrated_database, tmp_path_factory):
    """NOW is the champion, BEFORE the one before it, all have passed the gate."""
    folder = tmp_path_factory.mktemp("filled")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        shutil.copy(migrated_database, folder / "mlflow.db")
        registry = Registry(folder)
        entries = [registry.register(release, gate=PASSED) for release in (BEFORE, NOW, NEW)]
        for entry in entries[:2]:
            registry.promote(entry, None)
    return folder / "mlflow.db"


@pytest.fixture
def registry(home, filled):
    shutil.copy(filled, home / "mlflow.db")
    return Registry(home)


@pytest.fixture
def application(registry, monkeypatch):
    """A running endpoint that answers with NOW."""
    model = ServedModel(name=JUDGE.model.name, source="x", revision=JUDGE.model.revision, gpus=0)
    state = ServeState(host="127.0.0.1", port=1, models=(model,), pid=1, started_at=0.0, ray_address="127.0.0.1:1")
    application = FakeApplication(NOW)
    monkeypatch.setattr(deploy, "_require_running", lambda: state)
    monkeypatch.setattr(deploy, "_live_name", lambda *_: "relevance")
    monkeypatch.setattr(deploy, "attach", lambda *_: None)
    monkeypatch.setattr(deploy, "Application", lambda _: application)
    monkeypatch.setattr(status, "read_state", lambda _: None)
    return application


def deploying(release, **options):
    with Progress() as progress:
        return run_deploy(DeployConfig(release=release.digest, **options), progress)


def rolling_back(**options):
    with Progress() as progress:
        return run_rollback(RollbackConfig(**options), progress)


def champions(registry):
    return registry.resolve("champion").release, registry.resolve("previous").release


def step(home):
    last = Journal(home).read()
    return last.step, last.release, last.before


def test_a_deployment_goes_through_all_steps(registry, application, home):
    seen = []
    application.on_put = lambda: seen.append(step(home))
    assert deploying(NEW)["release"] == NEW.id
    assert seen == [(Step.INTENDED, NEW.id, NOW.id)]
    assert step(home) == (Step.PROMOTED, NEW.id, NOW.id)
    assert (application.live, application.kept, champions(registry)) == (NEW, NEW, (NEW, NOW))


FAILURES = {
    "it refuses the release": (ServingFailedError("the endpoint refused it"), False),
    "it is never live": (ServingFailedError("not live after 60 s"), False),
    "it goes live and fails": (ServingFailedError("unhealthy"), True),
    "Ray is gone": (ConnectionError("no Ray"), False),
    "interrupted before": (KeyboardInterrupt(), False),
    "interrupted after": (KeyboardInterrupt(), True),
}


@pytest.mark.parametrize("how", FAILURES)
def test_what_fails_puts_the_release_before_back_in_serves_own_state_too(registry, application, home, how):
    error, _ = application.broken[1] = FAILURES[how]
    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else ServingFailedError
    with pytest.raises(expected) as caught:
        deploying(NEW)
    if expected is ServingFailedError:
        assert f"the endpoint runs release {NOW.id} as before" in str(caught.value)
    assert (application.live, application.kept, champions(registry)) == (NOW, NOW, (NOW, BEFORE))
    assert step(home) == (Step.UNDONE, NEW.id, NOW.id)
    assert [*status.run_status()["disagreements"]] == []


def test_where_putting_back_fails_too_it_is_said_and_status_names_the_way_out(registry, application, home):
    application.broken = {1: (ServingFailedError("refused"), False), 2: (ServingFailedError("no Ray"), False)}
    with pytest.raises(ServingFailedError, match=r"refused; putting \w+ back failed, too: no Ray"):
        deploying(NEW)
    assert step(home) == (Step.BROKEN, NEW.id, NOW.id)
    (said,) = status.run_status()["disagreements"]
    assert f"'relevance-judge deploy {NOW.id}' goes back" in said["mend"]


@pytest.mark.parametrize("at", range(1, 6))
@pytest.mark.parametrize("more", [0, 50])
def test_whichever_write_of_mlflow_fails_endpoint_and_registry_are_at_one(registry, application, monkeypatch, at, more):
    opened = []

    def failing(folder):
        opened.append(Registry(folder))
        opened[-1]._prompts._client = FailingClient(opened[-1]._client, at, more=more)
        return opened[-1]

    monkeypatch.setattr(deploy, "Registry", failing)
    try:
        deploying(NEW)
    except ServingFailedError as error:
        assert "the store is gone" in str(error)
    except MlflowException as error:  # pragma: no cover
        pytest.fail(f"raised as it came: {error}")
    assert champions(registry) in [(NOW, BEFORE), (NEW, NOW)]
    assert application.live == application.kept == registry.champion_of("relevance").release


def test_of_two_deployments_at_once_one_is_refused_and_both_say_the_truth(registry, application, home):
    said = []

    def other():
        application.on_put = lambda: None
        with pytest.raises(RefusedInputError) as caught:
            deploying(BEFORE)
        said.append(str(caught.value))
        with pytest.raises(RefusedInputError, match="under way"):
            rolling_back()
        said.append(status.run_status()["disagreements"][0]["what"])

    application.on_put = other
    assert deploying(NEW)["release"] == NEW.id
    assert said[0].startswith(f"another deployment of release {NEW.id}, begun at ")
    assert said[1].startswith(f"a deployment of {NEW.id} is under way")
    assert (application.live, champions(registry)) == (NEW, (NEW, NOW))
    assert status.run_status()["disagreements"] == []


def test_a_killed_deployment_is_told_and_hinders_no_other(registry, application, home):
    killed = Deployment(release=NEW.id, name="relevance", before=NOW.id, step=Step.LIVE, began_at="2026-01-01")
    Journal(home).write(killed)
    (said,) = status.run_status()["disagreements"]
    assert "was interrupted once it was live" in said["what"] and NEW.id in said["mend"] and NOW.id in said["mend"]
    deploying(NEW)
    assert status.run_status()["disagreements"] == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"release": 1}', "\xff"])
def test_a_journal_that_cannot_be_read_counts_as_none(home, text):
    (home / "deployment.json").write_bytes(text.encode("latin-1"))
    assert Journal(home).read() is None


def last(step):
    return Deployment(release="new", name="n", before="old", step=step, began_at="then")


@pytest.mark.parametrize(
    ("live", "name", "champion", "deployment", "is_busy", "said"),
    [
        (None, None, None, None, False, []),
        (None, None, "a", None, False, []),
        ("a", "n", "a", None, False, []),
        ("a", "n", "a", Step.PROMOTED, False, []),
        ("a", "n", "a", Step.UNDONE, False, []),
        ("a", "n", "b", None, False, ["the registry's champion of n is b"]),
        ("a", "n", None, None, False, ["the registry has no champion of n"]),
        ("a", None, "a", None, False, ["which the registry does not know"]),
        ("a", "n", "a", Step.INTENDED, False, ["was interrupted before"]),
        ("new", "n", "old", Step.LIVE, False, ["was interrupted once", "the registry's champion of n is old"]),
        ("a", "n", "b", Step.BROKEN, False, ["failed, and so did", "the registry's champion"]),
        ("a", "n", "b", Step.INTENDED, True, ["is under way since then"]),
        ("a", "n", "b", None, True, ["a deployment of a release is under way"]),
    ],
)
def test_disagreements_are_named_with_what_mends_them(live, name, champion, deployment, is_busy, said):
    champions = {"n": champion} if champion else {}
    found = [*disagreements(live, name, champions, deployment and last(deployment), is_busy=is_busy)]
    assert len(found) == len(said)
    for one, part in zip(found, said, strict=True):
        assert part in one.what and one.mend


# --- rollback and the gate ---

THEN, LATER = "2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00"
REFUSED_THEN = REFUSED.model_copy(update={"date": THEN}).dump(10_000)
LET_THROUGH = {command: Override(date=LATER, command=command, reason="needed") for command in ("deploy", "label")}


@pytest.mark.parametrize(
    ("tags", "may_return"),
    [
        ({}, True),
        ({GATE_RECORD_TAG: REFUSED_THEN}, False),
        ({GATE_RECORD_TAG: "{"}, False),
        ({GATE_RECORD_TAG: ""}, False),
        ({GATE_RECORD_TAG: "", GATE_TAG: "perhaps"}, False),
        ({GATE_RECORD_TAG: "{", OVERRIDES_TAG: Override.dump_all([LET_THROUGH["deploy"]])}, False),
        ({GATE_RECORD_TAG: REFUSED_THEN, OVERRIDES_TAG: Override.dump_all([LET_THROUGH["deploy"]])}, True),
        ({GATE_RECORD_TAG: REFUSED_THEN, OVERRIDES_TAG: Override.dump_all([LET_THROUGH["label"]])}, False),
        ({GATE_RECORD_TAG: REFUSED_THEN, OVERRIDES_TAG: "{"}, False),
        (
            {
                GATE_RECORD_TAG: REFUSED.model_copy(update={"date": "2026-03-01"}).dump(10_000),
                OVERRIDES_TAG: Override.dump_all([LET_THROUGH["deploy"]]),
            },
            False,
        ),
    ],
)
def test_a_rollback_asks_whether_the_gate_refused_that_release_since(registry, application, tags, may_return):
    entry = registry.resolve("previous")
    for key, value in tags.items():
        registry._tag(entry, key, value)
    if may_return:
        assert rolling_back()["release"] == BEFORE.id
        return
    with pytest.raises(GateRefusedError, match="--force"):
        rolling_back()
    assert (application.live, champions(registry)) == (NOW, (NOW, BEFORE))
    assert rolling_back(force="the new one is worse")["override"] == "the new one is worse"
    kept = registry.resolve("champion")
    assert (kept.release, kept.overrides[-1].command) == (BEFORE, "rollback")


@pytest.mark.parametrize("record", ["", "{", "[]", json.dumps({"passed": "x"}), None])
def test_a_pass_without_a_record_that_can_be_read_is_none(registry, application, record):
    entry = registry.register(release_of("other"))
    registry._tag(entry, GATE_TAG, "true")
    if record is not None:
        registry._tag(entry, GATE_RECORD_TAG, record)
    assert not registry.find(entry.release.digest).gate_passed
    with pytest.raises(GateRefusedError, match="cannot be read"):
        deploying(entry.release)
