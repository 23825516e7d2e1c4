"""The waterfall: steps on held-out examples, each program measured once, in the result, the report and its picture."""

import pytest

from cluster.adapting.config import OptimizeConfig
from cluster.adapting.finish import finish_adaptation
from cluster.adapting.waterfall import measure_steps
from cluster.commands.optimize import show
from cluster.measuring.measure import Measured
from cluster.registry.store import Registry
from cluster.report.waterfall import waterfall_of
from cluster.runs.folder import RunFolder
from judge_serve.judging import Release
from optimize_workers.library.bullets import Bullet
from optimize_workers.library.selection import Change, Ground, HarmfulBullet, Selection, Step
from optimize_workers.statistics.metrics import measure
from optimize_workers.study import StudyResult
from tests.builders import JUDGE, PROGRAM, SCALE, make_examples, make_judgment
from tests.recorded_searches import of_pairs
from tests.unit.cluster.adapting.test_finish import adaptation_in, adapted_by, dataset  # noqa: F401
from tests.unit.cluster.studies import make_trial

EXAMPLES = make_examples(2, "test")  # human ratings 1 and 2


def holding(*bullets):
    return PROGRAM.model_copy(update={"bullets": bullets})


def step(change, bullets, program, nmse, delta, ground=Ground.BETTER, p_value=0.01):
    about = (nmse - 1, nmse + 1), delta, (delta - 1, delta + 1)
    return Step(change, bullets, program, nmse, *about, 40, ground, p_value)


STEPS = (
    step(Change.BASELINE, (), PROGRAM, 20.0, 0.0, None, None),
    step(Change.ADDED, ("One.",), holding("One."), 15.0, -5.0),
    step(Change.ADDED, ("Two <b>.", "Three."), holding("One.", "Two <b>.", "Three."), 10.0, -5.0),
    step(Change.REMOVED, ("One.",), holding("Two <b>.", "Three."), 9.0, -1.0, Ground.NOT_NEEDED, 0.03),
)


def measured(program, *ratings):
    judgments = of_pairs([make_judgment(rating) for rating in ratings], EXAMPLES)
    release = Release(judge=JUDGE.model_copy(update={"program": program}))
    return Measured(release, EXAMPLES, judgments, measure(judgments, EXAMPLES, SCALE), 1.0)


def held_out_steps():
    known = [measured(PROGRAM, 3, 4), measured(STEPS[-1].program, 1, 2)]
    asked = []

    def measure_step(number, program):
        asked.append(number)
        return measured(program, 2, 3)

    return measure_steps(STEPS, known, measure_step, SCALE), asked


def test_only_what_is_not_known_is_measured():
    _, asked = held_out_steps()
    assert asked == [1, 2]


def test_each_step_is_compared_with_the_one_before():
    """Off by two on both is 25 points, by one 6.25."""
    steps, _ = held_out_steps()
    assert [one.measured.figures.nmse for one in steps] == [25.0, 6.25, 6.25, 0.0]
    assert [one.comparison.delta_nmse for one in steps] == [0.0, -18.75, 0.0, -6.25]


def test_bars_fall_from_one_step_to_the_next():
    assert [bar[:4] for bar in waterfall_of([40.0, 20.0, 30.0])] == [
        ("baseline", 0.0, 40.0, "whole"),
        ("1", 20.0, 40.0, "fall"),
        ("2", 20.0, 30.0, "rise"),
        ("winner", 0.0, 30.0, "whole"),
    ]
    assert [bar.delta for bar in waterfall_of([40.0, 20.0, 30.0])] == [0.0, -20.0, 10.0, 0.0]


def test_a_perfect_baseline_has_bars_of_nothing():
    assert [(bar.low, bar.high) for bar in waterfall_of([0.0])] == [(0.0, 0.0)] * 2


def test_a_picture_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no step was measured"):
        waterfall_of([])


@pytest.fixture
def finished(tmp_path, dataset, registry_home):  # noqa: F811
    selection = Selection(STEPS, (HarmfulBullet("Bad & worse.", 3.5, 0.9),))
    trials = (make_trial(0, 20.0, calls=10, stage="baseline"),)
    study = StudyResult(STEPS[-1].program, trials, {"scale_change": 1}, selection=selection)
    adapted = adapted_by(study)
    adapted = adapted._replace(proof=adapted.proof._replace(steps=held_out_steps()[0]))
    folder = RunFolder.create(tmp_path / "run", {})
    for trial in trials:
        folder.append_line("candidates.jsonl", trial.as_dict())
    config = OptimizeConfig(data="rows.jsonl", optimizer="bullets", out=folder.path)
    return finish_adaptation(adaptation_in(folder, dataset, config), adapted, Registry(registry_home)), folder


def test_the_result_holds_the_steps_of_both_splits(finished):
    result, _ = finished
    assert [(s["split"], s["nmse"], s["delta_nmse"], s["calls"]) for s in result["steps"][:2]] == [
        ("val", 20.0, 0.0, 40),
        ("val", 15.0, -5.0, 40),
    ]
    assert result["steps"][1]["bullets"] == [{"id": Bullet(text="One.").id, "text": "One."}]
    assert [(s["split"], s["nmse"], s["num_bullets"]) for s in result["waterfall"]] == [
        ("test", 25.0, 0),
        ("test", 6.25, 1),
        ("test", 6.25, 3),
        ("test", 0.0, 2),
    ]
    assert [(s["ground"], s["p_value"]) for s in result["steps"]] == [
        (None, None),
        ("better", 0.01),
        ("better", 0.01),
        ("not needed", 0.03),
    ]
    assert result["waterfall"][-1]["ground"] == "not needed"
    assert result["harmful"] == [
        {
            "id": Bullet(text="Bad & worse.").id,
            "text": "Bad & worse.",
            "split": "train",
            "shrunk_added_nmse": 3.5,
            "error": 0.9,
        }
    ]
    assert result["diff_budget"] == {"kept": True, "changed": None}


def test_the_report_shows_the_waterfall_with_each_text_escaped(finished):
    _, folder = finished
    html = (folder.path / "report.html").read_text(encoding="utf-8")
    steps = html.split('<section id="steps"')[1].split("</section>")[0]
    assert "NMSE on the test split, from 25.0 to 0.0 in 3 steps" in steps
    assert [f"{label}</text>" in steps for label in ("25.0", "-18.8", "0.0", "-6.2")] == [True] * 4
    assert "Two &lt;b&gt;." in html and "Two <b>." not in html
    assert "Bad &amp; worse." in steps and "shrunk towards 0" in steps
    assert steps.count("not needed") >= 1 and "0.030" in steps
    assert "Nothing but the bullet block differs" in steps
    assert "- Two &lt;b&gt;.\n- Three." in html, "the winner's prompt shows its bullets"


def test_the_table_shows_the_steps(finished, capsys):
    result, _ = finished
    show(result)
    shown = capsys.readouterr().out
    assert "- One." in shown and "removed, not needed" in shown
    assert "hurts      Bad & worse." in shown


def test_a_run_that_changed_more_is_marked(finished):
    result, folder = finished
    from cluster.report.html import write_report

    write_report(folder, {**result, "diff_budget": {"kept": False, "changed": "sampling"}})
    assert "More than the bullet block changed: sampling" in (folder.path / "report.html").read_text(encoding="utf-8")
