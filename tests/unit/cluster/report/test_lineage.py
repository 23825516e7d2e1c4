"""The lineage: every candidate once, under what it was made from, whatever the trials hold."""

from collections import Counter

import pytest

from cluster.report.lineage import DROPPED, FULL, UNFINISHED, lineage_of
from optimize_workers.study import StudyResult
from tests.builders import PROGRAM
from tests.unit.cluster.studies import gepa_study, make_child, make_trial, program_of


def tree_of(study):
    """Trial numbers by the trial above them, as a browser reads the lists."""
    above, parents = {}, [None]
    for entry in lineage_of(study).entries:
        above[entry.trial.number] = parents[-1]
        if entry.has_children:
            parents.append(entry.trial.number)
        for _ in range(entry.num_ends):
            parents.pop()
    assert parents == [None], "every list that begins ends"
    return above


def entries_of(study):
    return {entry.trial.number: entry for entry in lineage_of(study).entries}


def test_candidates_stand_under_what_they_were_made_from():
    assert tree_of(gepa_study()) == {0: None, 4: 0, 8: 4, 10: 4, 9: 0, 11: 0}


def test_a_candidate_says_what_it_was_merged_from():
    entries = entries_of(gepa_study())
    assert entries[4].merged_from == ("proposal 1 (rubric)", "proposal 2 (care)")
    assert entries[10].merged_from == ()
    assert [entries[number].change for number in (0, 4, 10)] == ["baseline", "", "proposal 4, section rubric"]


def test_what_lost_its_race_is_told_from_what_was_not_judged_to_the_end():
    entries = entries_of(gepa_study())
    assert {number: entry.state for number, entry in entries.items() if entry.state != FULL} == {
        8: DROPPED,
        9: UNFINISHED,
    }


def test_only_the_winner_is_marked():
    assert [number for number, entry in entries_of(gepa_study()).items() if entry.is_winner] == [10]


def test_a_baseline_that_nothing_beat_is_the_winner():
    study = StudyResult(PROGRAM, (make_trial(0, 30.0), make_trial(1, 30.0, "equal", parents=[PROGRAM.digest])), {})
    assert [entry.is_winner for entry in lineage_of(study).entries] == [True, False]


def test_proposals_that_did_not_pass_are_counted_at_their_parent():
    lineage = lineage_of(gepa_study())
    assert {entry.trial.number: entry.num_not_passed for entry in lineage.entries if entry.num_not_passed} == {
        0: 1,
        4: 2,
    }
    assert (lineage.num_passed, lineage.num_not_passed) == (3, 3)
    assert (lineage.num_full, lineage.num_dropped, lineage.num_unfinished, lineage.num_minibatches) == (4, 1, 1, 0)


def test_candidates_without_parents_stand_under_the_baseline():
    choice = {"optimizer": "mipro", "instruction": 2, "demonstrations": 5}
    study = StudyResult(
        program_of("chosen"),
        (
            make_trial(0, 30.0, optimizer="mipro"),
            make_trial(1, 10.0, "chosen", n=5, is_full=False, **choice),
            make_trial(2, 20.0, "chosen", **choice),
        ),
        {},
    )
    lineage = lineage_of(study)
    assert tree_of(study) == {0: None, 2: 0}
    assert lineage.entries[1].change == "instruction 2, demonstrations 5"
    assert lineage.entries[1].is_winner
    assert lineage.num_minibatches == 1


def test_a_parent_that_is_unknown_or_comes_later_is_the_baseline():
    later, itself = program_of("later"), program_of("itself")
    study = StudyResult(
        PROGRAM,
        (
            make_trial(0, 30.0),
            make_trial(1, 30.0, "early", parents=[later.digest]),
            make_trial(2, 30.0, "later", parents=[program_of("early").digest]),
            make_trial(3, 30.0, "itself", parents=[itself.digest]),
            make_trial(4, 30.0, "orphan", parents=["nobody"]),
        ),
        {},
    )
    assert tree_of(study) == {0: None, 1: 0, 2: 1, 3: 0, 4: 0}


@pytest.mark.parametrize("trials", [(), (make_child(0, "child", PROGRAM, 1, passed=True),)])
def test_nothing_judged_in_full_is_an_empty_tree(trials):
    lineage = lineage_of(StudyResult(PROGRAM, trials, {}))
    assert lineage.entries == ()
    assert lineage.num_passed == len(trials)


def test_a_line_of_a_thousand_generations_is_laid_out():
    trials = [make_trial(0, 99.0)]
    for number in range(1, 1000):
        trials.append(make_trial(number, 50.0, f"text {number}", parents=[trials[-1].program.digest]))
    above = tree_of(StudyResult(PROGRAM, tuple(trials), {}))
    assert above == {0: None, **{number: number - 1 for number in range(1, 1000)}}


def test_a_wide_family_keeps_its_order():
    trials = [make_trial(0, 99.0)]
    trials += [make_trial(number, 50.0, f"text {number}", parents=[PROGRAM.digest]) for number in range(1, 500)]
    above = tree_of(StudyResult(PROGRAM, tuple(trials), {}))
    assert list(above) == list(range(500))
    assert Counter(above.values()) == {None: 1, 0: 499}
