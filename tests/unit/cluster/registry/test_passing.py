"""Who passes without a gate's yes: deploy, label and serve ask for it, a reason overrides it and is remembered."""

import json
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from cluster.commands import app
from cluster.commands.running import EXIT_GATE, EXIT_REFUSED
from cluster.endpoint import deploy, serve
from cluster.endpoint.config import DeployConfig, RollbackConfig, ServeConfig
from cluster.endpoint.deploy import run_deploy, run_rollback
from cluster.endpoint.meeting import Met
from cluster.endpoint.models import ModelChoice
from cluster.failures import GateRefusedError
from cluster.labeling import bulk as labeling
from cluster.labeling.bulk import run_label
from cluster.labeling.config import LabelConfig
from cluster.progress import Progress
from cluster.registry.gate_record import GateRecord, KeptRule
from cluster.registry.moving import exported
from cluster.registry.passing import caveats_of, check_may_be_served
from cluster.registry.store import GATE_RECORD_TAG, OVERRIDES_TAG, Registry
from judge_serve.catalogue.served_model import ServedModel
from judge_serve.judging import Release
from optimize_workers.evaluation.recorded import Lookup
from optimize_workers.evidence.gate.rule import RuleStatus
from tests.builders import JUDGE, PROGRAM
from tests.fakes import InProcessPool, ScriptedEngine

RELEASE = Release(judge=JUDGE)
SERVED = ServedModel(name=JUDGE.model.name, source="x", revision=JUDGE.model.revision, gpus=0)
OTHER = Release(judge=JUDGE.model_copy(update={"program": PROGRAM.with_sections({"rubric": "Rate well."})}))


@pytest.fixture
def registry(registry_home):
    return Registry(registry_home)


def run(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"query": "q", "document": "d"}\n', encoding="utf-8")
    return path


@pytest.fixture
def in_process(monkeypatch):
    """`label` with a pool of this process in place of a session."""

    class Opened:
        pool = InProcessPool(ScriptedEngine())
        choice = ModelChoice(RELEASE.judge.model, SERVED, None)

        def found(self):
            return {}

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    monkeypatch.setattr(labeling, "open_session", lambda *_: Opened())
    identity = RELEASE.judge.model
    monkeypatch.setattr(labeling, "choice_for", lambda *_: Opened.choice)
    monkeypatch.setattr(labeling, "reach_model", lambda *_: Opened.choice)
    monkeypatch.setattr(labeling, "meet", lambda *_: Met(identity, Lookup()))


def test_labels_of_a_release_that_no_gate_has_seen_are_refused(registry, pairs, tmp_path):
    registry.register(RELEASE)
    done = run("label", pairs, "--release", RELEASE.id, "--out", tmp_path / "out")
    assert done.exit_code == EXIT_GATE
    assert "no gate has seen this release" in done.stderr
    assert not (tmp_path / "out").exists()


def test_what_the_gate_said_is_in_the_refusal(registry, pairs, tmp_path):
    registry.register(RELEASE, gate=GateRecord(passed=False, reasons=("bias +0.80 is beyond 0.5 rating units",)))
    done = run("label", pairs, "--release", RELEASE.id, "--out", tmp_path / "out")
    assert done.exit_code == EXIT_GATE and "bias +0.80" in done.stderr


def test_an_overridden_gate_stands_in_the_result_and_in_the_registry(registry, pairs, tmp_path, in_process):
    registry.register(RELEASE, gate=GateRecord(passed=False, reasons=("too few",)))
    config = LabelConfig(input=str(pairs), release=RELEASE.id, force="a trial of ours", out=tmp_path / "out")
    with Progress() as progress:
        result = run_label(config, progress)
    assert result == json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["override"] == "a trial of ours"
    assert (result["gate"]["passed"], result["gate"]["reasons"]) == (False, ["too few"])
    (override,) = registry.resolve(RELEASE.id).overrides
    assert (override.command, override.reason) == ("label", "a trial of ours")


def test_a_passed_gate_needs_no_override_and_records_none(registry, pairs, tmp_path, in_process):
    registry.register(RELEASE, gate=GateRecord(passed=True))
    config = LabelConfig(input=str(pairs), release=RELEASE.id, force="to be sure", out=tmp_path / "out")
    with Progress() as progress:
        result = run_label(config, progress)
    assert (result["override"], result["gate"]["passed"]) == (None, True)
    assert registry.resolve(RELEASE.id).overrides == ()


def test_whoever_labels_is_told_how_a_pass_came_about(registry, pairs, tmp_path, in_process, capsys):
    champion = registry.register(OTHER, gate=GateRecord(passed=True))
    registry.promote(champion, None)
    rules = (
        KeptRule(name="validity", status=RuleStatus.PASSED),
        KeptRule(name="adversarial", status=RuleStatus.NOT_CHECKED),
    )
    registry.register(RELEASE, gate=GateRecord(passed=False, command="gate", date="2026-01-02", reasons=("bias",)))
    lenient = GateRecord(
        passed=True,
        rules=rules,
        changed_limits={"max_abs_bias": 3.0},
        imported_from="laptop",
        against="cafe",
        fingerprint="f",
        n=41,
    )
    registry.register(RELEASE, gate=lenient)
    config = LabelConfig(input=str(pairs), release=RELEASE.id, out=tmp_path / "out")
    with Progress() as progress:
        gate = run_label(config, progress)["gate"]
    assert (gate["fingerprint"], gate["n"], gate["against"]) == ("f", 41, "cafe")
    assert gate["caveats"] == [
        "the answer is imported from laptop",
        "limits were changed: max_abs_bias 3 in place of 0.5",
        "not checked: adversarial",
        f"it was not held against the champion {OTHER.id}",
        "gate refused it on 2026-01-02",
    ]
    assert "passed the gate, but the answer is imported" in capsys.readouterr().err
    shown = run("releases", "show", RELEASE.id).stdout
    assert all(f"caveat     {caveat}" in shown for caveat in gate["caveats"])


def test_a_pass_against_the_champion_by_the_usual_rules_has_no_caveat(registry):
    registry.promote(registry.register(OTHER, gate=GateRecord(passed=True)), None)
    rules = (KeptRule(name="validity", status=RuleStatus.PASSED),)
    entry = registry.register(RELEASE, gate=GateRecord(passed=True, rules=rules, against=OTHER.id))
    assert caveats_of(entry, registry) == []


def test_a_pass_on_other_data_is_told(registry):
    proven = RELEASE.model_copy(update={"evidence": {"dataset": {"fingerprint": "here"}}})
    for fingerprint, caveats in (("here", []), ("there", ["the gate saw other data than the release was proven on"])):
        entry = registry.register(proven, gate=GateRecord(passed=True, fingerprint=fingerprint))
        assert caveats_of(entry, registry) == caveats


def test_the_status_shows_gates_and_overrides(registry):
    registry.register(RELEASE, gate=GateRecord(passed=False, reasons=("too few",)))
    registry.promote(registry.resolve(RELEASE.id), "needed today")
    registry.record_override(registry.resolve(RELEASE.id), "label", "a trial")
    told = json.loads(run("status", "--json").stdout)
    assert told["gates"] == {RELEASE.id: False}
    assert [(one["release"], one["command"], one["reason"]) for one in told["overrides"]] == [
        (RELEASE.id, "deploy", "needed today"),
        (RELEASE.id, "label", "a trial"),
    ]
    shown = run("status").stdout
    assert "gate NOT passed" in shown and "needed today" in shown and "a trial" in shown


def test_only_the_latest_overrides_are_kept(registry):
    entry = registry.register(RELEASE)
    for number in range(23):
        registry.record_override(entry, "label", f"reason {number} {'x' * 2_000}")
    kept = registry.resolve(RELEASE.id).overrides
    assert [one.reason.split()[1] for one in kept] == [str(number) for number in range(3, 23)]


def test_overrides_with_the_longest_reasons_stay_readable(registry):
    entry = registry.register(RELEASE)
    for number in range(9):
        registry.record_override(entry, "label", f"{number} " + "\U0001f600" * 998)
    kept = registry.resolve(RELEASE.id).overrides
    assert [one.reason[0] for one in kept] == list("2345678")  # as many of the latest as fit


def test_a_refusal_whose_storing_was_interrupted_counts(registry):
    registry.register(RELEASE, gate=GateRecord(passed=True))
    entry = registry.resolve(RELEASE.id)
    registry._tag(entry, GATE_RECORD_TAG, GateRecord(passed=False, reasons=("bias",)).dump(10_000))
    assert not registry.resolve(RELEASE.id).gate_passed


@pytest.fixture
def endpoint(monkeypatch):
    """An endpoint that takes any release at once."""
    monkeypatch.setattr(
        deploy, "_require_running", lambda: SimpleNamespace(ray_address="", models=[SERVED], url="http://127.0.0.1:1")
    )
    monkeypatch.setattr(deploy, "_live_name", lambda *_: RELEASE.name)
    monkeypatch.setattr(deploy, "attach", lambda *_: None)
    application = SimpleNamespace(running=lambda: None, put=lambda *_: None)
    monkeypatch.setattr(deploy, "Application", lambda _: application)


@pytest.mark.parametrize("reason", ["rollback", "needed today"])
def test_a_deployment_against_the_gate_is_recorded_whatever_its_reason(registry, endpoint, reason):
    registry.register(RELEASE, gate=GateRecord(passed=False, reasons=("too few",)))
    with Progress() as progress, pytest.raises(GateRefusedError):
        run_deploy(DeployConfig(release=RELEASE.id), progress)
    with Progress() as progress:
        live = run_deploy(DeployConfig(release=RELEASE.id, force=reason), progress)
    assert live["override"] == reason
    assert [one.reason for one in registry.resolve(RELEASE.id).overrides] == [reason]


def test_a_rollback_needs_no_reason(registry, endpoint):
    registry.promote(registry.register(RELEASE), "let through once")
    registry.promote(registry.register(OTHER), None)
    with Progress() as progress:
        assert run_rollback(RollbackConfig(), progress)["release"] == RELEASE.id
    assert registry.resolve("champion").release == RELEASE


@pytest.mark.parametrize("blank", ["   ", "\t\n  ", "ok"])
def test_a_blank_reason_overrides_nothing(registry, pairs, tmp_path, blank):
    registry.register(RELEASE)
    done = run("label", pairs, "--release", RELEASE.id, "--out", tmp_path / "out", "--force", blank)
    assert done.exit_code == EXIT_REFUSED and "--force" in done.stderr


@pytest.mark.parametrize("broken", ["{", "[]", '{"passed": "maybe"}', '[{"date": 1}]'])
def test_a_broken_record_in_the_registry_counts_as_none(registry, broken):
    entry = registry.register(RELEASE)
    for tag in (GATE_RECORD_TAG, OVERRIDES_TAG):
        registry._tag(entry, tag, broken)
    kept = registry.resolve(RELEASE.id)
    assert (kept.gate, kept.overrides, kept.gate_passed) == (None, (), False)


def test_on_loopback_a_release_is_served_with_a_note_elsewhere_it_needs_a_reason(registry, capsys):
    entry = registry.register(RELEASE)
    with Progress() as progress:
        check_may_be_served(entry, None, note=progress.note, is_loopback=True)
        with pytest.raises(GateRefusedError, match="no gate has seen this release"):
            check_may_be_served(entry, None, note=progress.note, is_loopback=False)
        check_may_be_served(entry, "shown to the team", note=progress.note, is_loopback=False)
        passed = registry.register(RELEASE, gate=GateRecord(passed=True))
        check_may_be_served(passed, None, note=progress.note, is_loopback=False)
    told = capsys.readouterr().err
    assert "served on loopback only" in told and "served because: shown to the team" in told


# --- what `serve` serves ---


@pytest.fixture
def serving(monkeypatch):
    monkeypatch.setattr(serve, "choice_for", lambda release, _location: f"choice of {release.id}")

    def chosen(**options):
        with Progress() as progress:
            return serve._judge_to_serve(ServeConfig(**options), progress)

    return chosen


def test_the_champion_is_served_where_nothing_is_named(registry, serving):
    registry.promote(registry.register(RELEASE, gate=GateRecord(passed=True)), None)
    assert serving() == (RELEASE, f"choice of {RELEASE.id}")


def test_what_is_named_is_served_beside_a_champion(registry, serving):
    registry.promote(registry.register(RELEASE, gate=GateRecord(passed=True)), None)
    registry.register(OTHER)
    assert serving(release=OTHER.id)[0] == OTHER
    assert serving(model="embedded")[0] not in (RELEASE, OTHER)


def test_without_a_champion_the_shipped_judge_is_served(registry, serving):
    registry.register(RELEASE)
    assert serving()[0].judge.model.name == "embedded"


def test_without_a_registry_none_is_made(home, serving):
    serving()
    assert not (home / "mlflow.db").exists()


def test_a_release_served_to_others_against_the_gate_is_recorded(registry, serving):
    registry.register(RELEASE)
    with pytest.raises(GateRefusedError):
        serving(release=RELEASE.id, host="0.0.0.0")
    serving(release=RELEASE.id, host="0.0.0.0", force="a demonstration")
    assert [one.command for one in registry.resolve(RELEASE.id).overrides] == ["serve"]


def test_a_judge_file_served_to_others_asks_the_gate_as_a_release_does(registry, serving):
    judge, choice = serving(model="embedded")
    assert registry.releases() == []  # on loopback nothing is asked and nothing registered
    with pytest.raises(GateRefusedError, match=f"release {judge.id} has not passed the gate: no gate has seen"):
        serving(model="embedded", host="0.0.0.0")
    with pytest.raises(GateRefusedError):
        serving(host="0.0.0.0")  # nor is the shipped judge served unasked
    assert serving(model="embedded", host="0.0.0.0", force="a demonstration") == (judge, choice)
    assert [one.command for one in registry.resolve(judge.id).overrides] == ["serve"]
    registry.register(judge, gate=GateRecord(passed=True))
    assert serving(model="embedded", host="0.0.0.0") == (judge, choice)


def test_an_import_does_not_stand_in_for_an_answer_that_cannot_be_read(registry, tmp_path):
    path = tmp_path / "there.json"
    rules = (KeptRule(name="validity", status=RuleStatus.PASSED),)
    path.write_text(json.dumps(exported(registry.register(RELEASE, gate=GateRecord(passed=True, rules=rules)))))
    registry._tag(registry.resolve(RELEASE.id), GATE_RECORD_TAG, "{")
    told = json.loads(run("releases", "import", path, "--json").stdout)
    assert (told["gate_taken"], registry.resolve(RELEASE.id).gate_passed) == (False, False)
