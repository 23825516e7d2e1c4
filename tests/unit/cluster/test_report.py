"""The report: complete, and no text of a document, a model or a prompt becomes markup."""

import json
import re

import pytest

from cluster.measure import Measured
from cluster.report.html import NUM_DISAGREEMENTS, write_report
from cluster.run_folder import RunFolder
from judge_serve.judging import Demonstration, Release
from optimize_workers.metrics import measure
from tests.builders import JUDGE, PROGRAM, SCALE, make_example, make_examples, make_judgment

HOSTILE = "</pre></td><script>alert('x')</script><img src=x onerror=alert(1)>\"'&{{ 7*7 }}"


def measured(judgments, examples, program=PROGRAM):
    release = Release(judge=JUDGE.model_copy(update={"program": program}))
    return Measured(release, examples, judgments, measure(judgments, examples, SCALE), 1.0)


def report(tmp_path, arms, **result):
    write_report(RunFolder.create(tmp_path, {}), "Evaluation", arms, result)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.fixture
def hostile(tmp_path):
    shown = Demonstration(query=HOSTILE, document=HOSTILE, rating=1, explanation=HOSTILE)
    program = PROGRAM.with_sections({"rubric": HOSTILE}).model_copy(update={"demonstrations": (shown,)})
    examples = [
        make_example(1, document=HOSTILE, reason=HOSTILE),
        make_example(5, number=1, document=HOSTILE, query_id=HOSTILE),
    ]
    judgments = [make_judgment(5, explanation=HOSTILE), make_judgment(None, raw_reply=HOSTILE)]
    arms = [("judge", measured(judgments, examples, program))]
    gate = {"passed": False, "reasons": [HOSTILE]}
    return report(tmp_path, arms, gate=gate, dataset={"path": HOSTILE})


def test_hostile_text_never_becomes_markup(hostile):
    assert "<script" not in hostile
    assert "<img" not in hostile
    assert "&lt;script&gt;" in hostile


def test_hostile_text_is_not_evaluated_as_a_template(hostile):
    assert "49" not in re.sub(r"&#\d+;", "", hostile).split("<h2>Prompt")[0].split("<h2>Worst")[1]
    assert "{{ 7*7 }}" in hostile


def test_the_report_needs_no_network(hostile):
    assert not re.search(r"(?:src|href)\s*=", re.sub(r"&lt;.*?&gt;", "", hostile).replace("src=x", ""))


def test_the_report_shows_figures_and_counts(tmp_path):
    examples = make_examples(4)
    judgments = [make_judgment(1), make_judgment(2), make_judgment(None), make_judgment(4)]
    html = report(tmp_path, [("baseline", measured(judgments, examples))], test_openings=3)
    assert "25.0 (" in html
    assert "opened 3 time(s)" in html
    assert "not_json" in html


def test_undefined_figures_are_shown_as_a_dash(tmp_path):
    html = report(tmp_path, [("judge", measured([make_judgment(None)], make_examples(1)))])
    assert '<td class="number">-</td>' in html
    assert "nan" not in html.lower().split("<h2>prompt")[0].replace("finance", "")


def test_the_worst_disagreements_come_first_and_are_few(tmp_path):
    examples = make_examples(30)
    judgments = [make_judgment(1) for _ in examples]
    html = report(tmp_path, [("judge", measured(judgments, examples))])
    worst = html.split("<h2>Worst disagreements")[1].split("<h2>Prompt")[0]
    assert worst.count("<strong>") == NUM_DISAGREEMENTS
    assert worst.index("evidence 5") < worst.index("evidence 4")


def test_a_perfect_judge_has_no_disagreements(tmp_path):
    examples = make_examples(5)
    html = report(tmp_path, [("judge", measured([make_judgment(int(e.gold_rating)) for e in examples], examples))])
    assert "<strong>" not in html


def test_the_result_stands_in_the_report(tmp_path):
    html = report(tmp_path, [("judge", measured([make_judgment(3)], make_examples(1)))], wall_s=12.5)
    assert json.dumps({"wall_s": 12.5}, indent=2).replace('"', "&#34;") in html
