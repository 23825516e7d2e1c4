"""`releases`: what is listed and shown, what differs, and a release that goes to another home and comes back."""

import json

import pytest
from click.testing import CliRunner

from cluster.commands import app
from cluster.commands.printing import printable
from cluster.commands.running import EXIT_GATE, EXIT_REFUSED
from cluster.registry.card import model_card
from cluster.registry.difference import difference_of
from cluster.registry.gate_record import GateRecord, KeptRule, KeptShift
from cluster.registry.moving import MAX_EXPORT_BYTES, exported
from cluster.registry.store import Registry
from judge_serve.judging import Demonstration, ModelIdentity, Release
from judge_serve.judging.content_key import digest_of
from optimize_workers.evidence.gate.rule import RuleStatus
from tests.builders import JUDGE, PROGRAM, make_calibration

SECRET = "Leocadia earns 72k"
OLD = Release(judge=JUDGE)
SHOWN = Demonstration(query="who earns what", document=SECRET, rating=5, explanation="says it")
PROVEN = {
    "dataset": {"fingerprint": "f" * 64, "split": "test", "n": 80, "sizes": {"train": 200, "val": 70, "test": 80}},
    "optimizer": "mipro",
    "seed": 0,
    "judge_calls": 300,
    "baseline": {"nmse": 18.4, "nmse_ci95": [15.6, 21.5], "n": 80},
    "winner": {"nmse": 12.4, "nmse_ci95": [11.0, 13.9], "n": 80, "skill": -0.02},
    "comparison": {"delta_nmse": -6.0, "ci95": [-8.0, -4.0], "p_better": 1.0},
}
NEW = Release(
    judge=JUDGE.model_copy(
        update={
            "program": PROGRAM.model_copy(
                update={
                    "sections": {"rubric": "Rate the pair well.", "care": "Be careful."},
                    "bullets": ("Old pages help less.",),
                    "demonstrations": (SHOWN,),
                }
            )
        }
    ),
    parents=(OLD.digest,),
    evidence=PROVEN,
)
GATE = GateRecord(
    date="2026-05-01T10:00:00+00:00",
    passed=True,
    command="gate",
    against=OLD.id,
    against_role="its parent",
    fingerprint="f" * 64,
    n=80,
    queries=10,
    rules=(
        KeptRule(name="validity", status=RuleStatus.PASSED, limit=0.95, found=1.0),
        KeptRule(name="diff_budget", status=RuleStatus.NOT_CHECKED, reason="it has none"),
    ),
    adversarial=(KeptShift(kind="stuffed", expected="not_rise", n=40, invalid=1, mean_shift=0.25, ci95=(0.1, 0.4)),),
    figures={"nmse": 12.0, "nmse_ci95": (11.0, 13.0), "skill": 0.2},
)


def run(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)


def answer(*arguments):
    done = run("releases", *arguments, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def refused(*arguments):
    done = run("releases", *arguments)
    assert done.exit_code == EXIT_REFUSED, done.output
    return done.stderr


@pytest.fixture
def registry(registry_home):
    registry = Registry(registry_home)
    registry.register(OLD)
    registry.promote(registry.register(NEW, gate=GATE), None)
    return registry


@pytest.fixture
def move_to(monkeypatch):
    """Take another home; MLflow leaves the address of the last one in the environment of its process."""

    def move(folder):
        monkeypatch.setenv("RELEVANCE_JUDGE_HOME", str(folder))
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    return move


@pytest.fixture
def other_home(registry_home, migrated_database, tmp_path):
    """A second home with an empty registry."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "mlflow.db").write_bytes(migrated_database.read_bytes())
    return folder


# --- list and show ---


def test_releases_are_listed_newest_first_with_gate_and_nmse(registry):
    told = answer("list")["releases"]
    assert [(one["id"], one["aliases"], one["gate_passed"], one["nmse"]) for one in told] == [
        (NEW.id, ["champion"], True, 12.0),
        (OLD.id, [], None, None),
    ]
    shown = run("releases", "list").stdout
    assert "passed 2026-05-01" in shown and "not seen" in shown


def test_an_empty_registry_lists_nothing(registry_home):
    assert answer("list") == {"releases": [], "unreadable": []}
    assert run("releases", "list").stdout.strip() == "no releases"


def test_a_release_is_shown_with_its_gate_its_overrides_and_its_evidence(registry):
    registry.record_override(registry.resolve(NEW.id), "label", "a trial of ours")
    registry.register(NEW, gate=GATE.model_copy(update={"date": "2026-06-01T00:00:00+00:00"}))
    told = answer("show", "champion")
    assert told["document"]["digest"] == NEW.digest
    assert told["document"]["evidence"]["comparison"] == PROVEN["comparison"]
    assert [rule["name"] for rule in told["gate_record"]["rules"]] == ["validity", "diff_budget"]
    assert [one["reason"] for one in told["overrides"]] == ["a trial of ours"]
    assert [one["date"][:10] for one in told["gate_history"]] == ["2026-05-01"]
    assert told["ancestors"] == [OLD.id]
    shown = run("releases", "show", NEW.id).stdout
    for part in (
        "passed 2026-06-01",
        "diff budget",
        "earlier    2026-05-01",
        "label: a trial of ours",
        "Rate the pair well.",
    ):
        assert part in shown


# --- the model card ---


def test_the_card_says_what_it_was_tuned_on_its_figures_gate_limits_and_lineage(registry):
    card = run("releases", "show", NEW.id, "--card").stdout
    for part in (
        f"# Model card: relevance {NEW.id}",
        "search: mipro, 300 judge calls, seed 0",
        "train 200, val 70, test 80",
        "18.40 (15.60 to 21.50)",
        "12.40 (11.00 to 13.90)",
        "-6.00 (95 % interval -8.00 to -4.00)",
        "Passed on 2026-05-01",
        f"its parent {OLD.id}",
        "| validity | 0.95 | 1.00 | passed |",
        "| stuffed | not rise | 40 | 1 | 0.25 | 0.10 to 0.40 | - |",
        "Not checked: diff budget",
        f"- {OLD.id}: scripted, generate",
    ):
        assert part in card, part


def test_the_card_holds_no_text_of_a_document(registry):
    leaky = GATE.model_copy(
        update={
            "passed": False,
            "rules": (
                KeptRule(name="guardrails", status=RuleStatus.FAILED, reason=f"refused: copied_text ({SECRET})"),
            ),
        }
    )
    card = model_card(registry.register(NEW, gate=leaky), [OLD])
    assert SECRET not in card and "who earns what" not in card
    assert "refused: copied_text" in card and "**Refused**" in card


def test_the_card_of_a_calibrated_judge_claims_no_search(registry):
    evidence = {key: value for key, value in PROVEN.items() if key not in ("optimizer", "seed", "judge_calls")}
    card = model_card(registry.register(Release(judge=JUDGE, calibration=make_calibration(), evidence=evidence)))
    assert "searched" not in card
    assert "- calibrated on 40 pairs of 8 queries of train" in card


def test_the_card_of_a_judge_that_nobody_measured_says_so(registry):
    card = model_card(registry.resolve(OLD.id))
    for part in ("no search made this judge", "this release was not measured", "No gate has seen", "Not run."):
        assert part in card


def test_the_card_names_the_licence_where_the_catalogue_knows_it(registry):
    known = Release(judge=JUDGE.model_copy(update={"model": ModelIdentity(name="gemma-3-12b")}))
    assert "licence of the model: Gemma" in model_card(registry.register(known))
    assert "not known to the catalogue" in model_card(registry.resolve(OLD.id))


def test_hostile_evidence_breaks_neither_card_nor_table(registry):
    evidence = {"dataset": "x", "winner": [1], "optimizer": "a|b\n# <script>", "comparison": {"ci95": ["x", None]}}
    hostile = OLD.model_copy(update={"evidence": evidence})
    entry = registry.register(hostile)
    card = model_card(entry)
    assert "<script>" not in card.replace("\\<", "") and "a\\|b" in card
    assert run("releases", "show", hostile.id, "--card").exit_code == 0
    assert answer("list")["releases"][0]["nmse"] is None


# --- diff ---


def test_a_difference_names_fields_sections_bullets_and_demonstrations(registry):
    told = answer("diff", OLD.id, NEW.id)
    assert [field["field"] for field in told["fields"]] == ["parents"]
    (section,) = told["sections"]
    assert section["name"] == "rubric"
    assert [change["what"] for change in section["changes"]] == ["same", "removed", "added"]
    assert (told["bullets"]["added"], told["bullets"]["removed"]) == (["Old pages help less."], [])
    assert len(told["demonstrations"]["added"]) == 1
    shown = run("releases", "diff", OLD.id, NEW.id).stdout
    assert "{+pair well.+}" in shown and "bullet + Old pages help less." in shown


def test_a_release_does_not_differ_from_itself(registry):
    assert answer("diff", NEW.id, "champion")["same"]
    assert "are the same release" in run("releases", "diff", NEW.id, NEW.id).stdout


def test_models_modes_and_orders_of_bullets_are_fields_that_differ():
    program = PROGRAM.model_copy(update={"bullets": ("a", "b")})
    first = Release(judge=JUDGE.model_copy(update={"program": program}))
    turned = program.model_copy(update={"bullets": ("b", "a")})
    second = Release(judge=JUDGE.model_copy(update={"program": turned, "model": ModelIdentity(name="other")}))
    told = difference_of(first, second)
    assert [(field["field"], field["second"]) for field in told["fields"]] == [("model.name", "other")]
    assert told["bullets"] == {"removed": [], "added": [], "reordered": True}


# --- export and import ---


def test_a_release_goes_to_another_home_and_comes_back(registry, other_home, tmp_path, move_to, registry_home):
    there, back = tmp_path / "there.json", tmp_path / "back.json"
    assert answer("export", "champion", "--out", there)["gate_passed"]
    move_to(other_home)
    told = answer("import", there)
    assert (told["release"], told["gate_passed"], told["gate_taken"]) == (NEW.id, True, True)
    elsewhere = answer("show", NEW.id)
    assert elsewhere["imported_from"] and elsewhere["document"]["digest"] == NEW.digest
    assert "imported from" in run("releases", "list").stdout
    assert [one["id"] for one in answer("list")["releases"]] == [NEW.id]  # the parent stayed where it was
    answer("export", NEW.id, "--out", back)
    move_to(registry_home)
    told = answer("import", back)
    assert not told["gate_taken"]  # what this registry knows is as new
    entry = Registry(registry_home).resolve(NEW.id)
    assert (entry.gate.imported_from, entry.gate, entry.release) == (None, GATE, NEW)


def test_an_imported_refusal_counts(registry, other_home, tmp_path, move_to):
    path = tmp_path / "one.json"
    registry.register(NEW, gate=GATE.model_copy(update={"passed": False, "reasons": ("too few",)}))
    answer("export", NEW.id, "--out", path)
    move_to(other_home)
    answer("import", path)
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text('{"query": "q", "document": "d"}\n', encoding="utf-8")
    done = run("label", pairs, "--release", NEW.id, "--out", tmp_path / "out")
    assert done.exit_code == EXIT_GATE and "too few" in done.stderr


@pytest.mark.parametrize("origin", ["", "  ", None])
def test_an_imported_result_is_marked_even_if_its_file_names_no_origin(registry, other_home, tmp_path, move_to, origin):
    def anonymous(document):
        document.update(exported_from=origin)
        document["gate"].update(imported_from=origin)

    path = rewritten(registry, tmp_path, anonymous)
    move_to(other_home)
    assert answer("import", path)["imported_from"] == "an unnamed machine"


def test_an_imported_pass_does_not_replace_a_refusal_of_this_registry(registry, tmp_path):
    path = rewritten(registry, tmp_path, lambda d: d["gate"].update(date="9999-12-31T00:00:00+00:00"))
    registry.register(NEW, gate=GATE.model_copy(update={"passed": False, "reasons": ("bias",)}))
    told = answer("import", path)
    assert (told["gate_taken"], told["gate_passed"]) == (False, False)
    assert not registry.resolve(NEW.id).gate_passed


def test_a_bare_release_is_imported_without_a_gate(registry_home, tmp_path):
    path = tmp_path / "release.json"
    path.write_text(NEW.to_json(), encoding="utf-8")
    told = answer("import", path)
    assert (told["release"], told["gate_passed"]) == (NEW.id, None)


def test_an_existing_file_is_not_overwritten(registry, tmp_path):
    path = tmp_path / "there.json"
    path.write_text("mine", encoding="utf-8")
    assert "exists" in refused("export", NEW.id, "--out", path)
    assert path.read_text(encoding="utf-8") == "mine"
    assert "cannot be written" in refused("export", NEW.id, "--out", tmp_path / "no" / "such" / "folder.json")


def rewritten(registry, tmp_path, change, *, with_digest=True):
    """An exported file after a change, its own digest taken anew if asked for."""
    document = exported(registry.resolve(NEW.id))
    change(document)
    if with_digest:
        document["digest"] = digest_of({key: value for key, value in document.items() if key != "digest"})
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_a_file_that_was_changed_is_refused(registry, tmp_path):
    path = rewritten(registry, tmp_path, lambda d: d["gate"].update(passed=False), with_digest=False)
    assert "does not match its content" in refused("import", path)
    path = rewritten(registry, tmp_path, lambda d: d["release"]["judge"]["model"].update(name="other"))
    assert "does not match its content" in refused("import", path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.update(export_version=2), "neither an exported release"),
        (lambda d: d.update(release=None), "a release is a JSON object"),
        (lambda d: d["release"].update(name="../../etc"), "name"),
        (lambda d: d.update(gate="yes"), "its gate result is malformed"),
        (lambda d: d["gate"].update(passed="perhaps"), "its gate result is malformed"),
        (lambda d: d["gate"].update(command="x" * 10_000), "its gate result is malformed"),
        (lambda d: d["gate"].update(command="\x1b[2J"), "control characters"),
        (lambda d: d["gate"].update(rules=[]), "names no rule"),
        (lambda d: d.update(exported_from="host\x1b]0;x"), "control characters"),
        (lambda d: d["gate"]["rules"][0].update(status="failed"), "it passed and failed validity"),
        (lambda d: d["gate"]["rules"].extend(d["gate"]["rules"] * 100), "its gate result is malformed"),
    ],
)
def test_hostile_exports_are_refused(registry, tmp_path, change, said):
    assert said in refused("import", rewritten(registry, tmp_path, change))


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b"\x80\x04K\x01.", b'{"digest": NaN}']
)
def test_what_is_no_export_is_refused(registry_home, tmp_path, content):
    path = tmp_path / "file.json"
    path.write_bytes(content)
    assert "relevance-judge: " in refused("import", path)


def test_a_huge_file_is_refused_unread(registry_home, tmp_path):
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(MAX_EXPORT_BYTES + 1)
    assert "larger than" in refused("import", path)
    assert "not a readable JSON file" in refused("import", tmp_path / "gone.json")


def test_texts_from_elsewhere_do_not_steer_the_terminal():
    assert printable("a\x1b[2Jb\u202ec\nd") == "a\ufffd[2Jb\ufffdc\nd"
