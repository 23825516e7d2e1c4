"""Whichever write of MLflow fails while the champion changes: no alias is lost, and the next reader finishes it."""

import shutil

import pytest
from mlflow.exceptions import MlflowException

from cluster.registry.gate_record import GateRecord
from cluster.registry.store import Registry
from judge_serve.judging import RefusedInputError, Release
from tests.builders import JUDGE, PROGRAM
from tests.unit.cluster.registry.failing_mlflow import failing, healthy

PASSED = GateRecord(passed=True)
MOST_WRITES = 6
PLACES = [(at, how) for at in range(1, MOST_WRITES + 1) for how in ({}, {"answered": True}, {"more": 50})]


def release_of(text):
    return Release(judge=JUDGE.model_copy(update={"program": PROGRAM.with_sections({"rubric": text})}))


BEFORE, NOW, NEW, OTHER = map(release_of, ("before", "now", "new", "other"))


@pytest.fixture(scope="module")
def filled(migrated_database, tmp_path_factory):
    """A database in which NOW is the champion, BEFORE the one before it, NEW and OTHER are registered."""
    folder = tmp_path_factory.mktemp("filled")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        shutil.copy(migrated_database, folder / "mlflow.db")
        registry = Registry(folder)
        entries = [registry.register(release, gate=PASSED) for release in (BEFORE, NOW, NEW, OTHER)]
        for entry in entries[:2]:
            registry.promote(entry, None)
    return folder / "mlflow.db"


@pytest.fixture
def registry(home, filled):
    shutil.copy(filled, home / "mlflow.db")
    return Registry(home)


def aliases(registry):
    """By what readers of any kind see: single ones, the listing, and MLflow itself once it was read."""
    single = (registry.resolve("champion").release, registry.resolve("previous").release)
    listed = {alias: entry.release for entry in registry.listing().releases for alias in entry.aliases}
    assert listed == {"champion": single[0], "previous": single[1]}
    return single


def stored_aliases(registry):
    return tuple(registry._client.get_prompt_version_by_alias("relevance", alias).tags["digest"] for alias in ALIASES)


ALIASES = ("champion", "previous")


@pytest.mark.parametrize(("at", "how"), PLACES)
def test_no_alias_is_lost_wherever_a_promotion_fails(registry, at, how):
    entry = registry.resolve(NEW.digest)
    failing(registry, at, **how)
    try:
        registry.promote(entry, "needed today")
        has_failed = False
    except MlflowException:
        has_failed = True
    assert has_failed is (at < MOST_WRITES), "MOST_WRITES is one more than a promotion writes"
    seen = aliases(registry)  # MLflow may still be failing
    assert seen in [(NOW, BEFORE), (NEW, NOW)]
    healthy(registry)
    assert aliases(registry) == seen
    assert stored_aliases(registry) == tuple(release.digest for release in seen)
    if seen == (NEW, NOW):
        assert [one.reason for one in registry.resolve(NEW.digest).overrides] == ["needed today"]
    registry.promote(entry, None)  # asked for again
    assert aliases(registry) == (NEW, NOW)


@pytest.mark.parametrize("at", [2, 3])  # it was written down; the champion has moved, too
@pytest.mark.parametrize("second_at", range(1, 7))
def test_another_promotion_after_one_that_failed_loses_nothing(registry, at, second_at):
    new, other = registry.resolve(NEW.digest), registry.resolve(OTHER.digest)
    seen = (NOW, BEFORE)
    for entry, place in ((new, at), (other, second_at)):
        failing(registry, place, more=50)  # nor can the next reader finish it
        try:
            registry.promote(entry, None)
            expected = [(entry.release, seen[0])]
        except MlflowException:
            expected = [seen, (entry.release, seen[0])]
        seen = aliases(registry)
        assert seen in expected
    healthy(registry)
    assert aliases(registry) == seen


def test_the_first_champion_has_nothing_before_it(registry_home):
    registry = Registry(registry_home)
    registry.promote(registry.register(NEW), None)
    assert registry.resolve("champion").release == NEW
    with pytest.raises(RefusedInputError, match="no release has the alias 'previous'"):
        registry.resolve("previous")


@pytest.mark.parametrize("text", ["{", "null", '{"champion": 1}'])
def test_a_tag_that_is_not_ours_changes_no_alias(registry, text):
    registry._prompts.tag("relevance", "promotion", text)
    assert aliases(registry) == (NOW, BEFORE)
    registry.promote(registry.resolve(NEW.digest), None)
    assert aliases(registry) == (NEW, NOW)


def test_a_champion_set_by_hand_in_mlflow_stays(registry):
    failing(registry, 2)
    with pytest.raises(MlflowException):
        registry.promote(registry.resolve(NEW.digest), None)
    healthy(registry)
    registry._prompts.set_alias("relevance", "champion", int(registry.resolve(OTHER.digest).version))
    assert aliases(registry) == (OTHER, BEFORE)


@pytest.mark.parametrize("at", range(1, 6))
@pytest.mark.parametrize("before", [None, GateRecord(passed=False, reasons=("bias",)), PASSED])
def test_an_answer_of_the_gate_counts_in_whole_or_not_at_all(registry_home, at, before):
    registry = Registry(registry_home)
    if before is not None:
        registry.register(NEW, gate=before)
    after = GateRecord(passed=before is None or not before.passed, reasons=("again",), n=7)
    failing(registry, at)
    try:
        registry.register(NEW, gate=after)
    except MlflowException:
        entry = registry.find(NEW.digest)
        passes_now, passed_before = after.passed, before is not None and before.passed
        assert entry is None or entry.gate_passed in (passes_now, passed_before)
    healthy(registry)
    entry = registry.register(NEW, gate=after)
    assert (entry.gate, entry.gate_passed) == (after, after.passed)
    assert [one.passed for one in entry.gate_history] in ([], [before and before.passed])
    assert len(registry.releases()) == 1
