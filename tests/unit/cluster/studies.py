"""Trials and studies for tests, as the optimizers record them."""

from dataclasses import replace

from optimize_workers.study import StudyResult, Trial
from tests.builders import PROGRAM


def program_of(text):
    """A program that is told apart by its rubric."""
    return PROGRAM.with_sections({"rubric": text})


def make_trial(number, nmse, text=None, *, calls=0, n=40, is_full=True, **origin):
    """A trial on validation examples of the baseline, or of the program with this rubric."""
    program = PROGRAM if text is None else program_of(text)
    return Trial(number, program, 1.0 - nmse / 100.0, 1.0, n, is_full, origin, "val", calls)


def make_child(number, text, parent, proposal, *, passed, section="rubric"):
    """A proposal judged on its minibatch of the training examples."""
    origin = {"parents": [parent.digest], "proposal": proposal, "section": section, "passed": passed}
    return replace(make_trial(number, 20.0, text, n=8, is_full=False, **origin), split="train")


def gepa_study():
    """Baseline; "good" merged of two proposals, "better" made from it; one dropped, one not judged to the end."""
    good, better = program_of("good"), program_of("better")
    trials = (
        make_trial(0, 30.0, calls=40, optimizer="gepa"),
        make_child(1, "one", PROGRAM, 1, passed=True),
        make_child(2, "two", PROGRAM, 2, passed=True, section="care"),
        make_child(3, "bad", PROGRAM, 3, passed=False),
        make_trial(4, 20.0, "good", calls=120, parents=[PROGRAM.digest], proposals=[1, 2], merged=["a"], chance=0.9),
        make_child(5, "better", good, 4, passed=True),
        make_child(6, "worse", good, 5, passed=False),
        make_child(7, "worst", good, 6, passed=False),
        make_trial(8, 35.0, "lost", calls=150, n=12, is_full=False, parents=[good.digest], proposals=[1], chance=0.1),
        make_trial(
            9, 18.0, "open", calls=160, n=13, is_full=False, parents=[PROGRAM.digest], proposals=[9], chance=0.6
        ),
        replace(
            make_trial(
                10,
                12.5,
                "better",
                calls=200,
                parents=[good.digest],
                proposal=4,
                section="rubric",
                chance=0.8,
            ),
            validity=0.95,
        ),
        make_trial(11, 25.0, "late", calls=240, parents=[PROGRAM.digest], proposal=7, section="rubric", chance=0.5),
    )
    return StudyResult(better, trials, {"copied_text": 2, "too_long": 5}, calls_saved=56)
