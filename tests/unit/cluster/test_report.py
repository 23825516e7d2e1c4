"""The report: complete, and no text of a document, a model or a prompt becomes markup."""

import json
import re
from xml.etree import ElementTree

import pytest

from cluster.measure import Measured
from cluster.report.html import NUM_DISAGREEMENTS, write_report
from cluster.run_folder import RunFolder
from judge_serve.judging import Demonstration, Release
from optimize_workers.metrics import measure
from optimize_workers.study import StudyResult
from tests.builders import JUDGE, PROGRAM, SCALE, make_example, make_examples, make_judgment
from tests.unit.cluster.studies import gepa_study, make_child, make_trial, program_of

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


def candidates_html(tmp_path, study):
    """The section as written, and checked to be well-formed up to the next one."""
    arms = [("winner", measured([make_judgment(3)], make_examples(1)))]
    write_report(RunFolder.create(tmp_path, {}), "Optimization", arms, {}, study)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    section = "<h2>Candidates" + html.split("<h2>Candidates")[1].split("<h2>Confusion")[0]
    return section, ElementTree.fromstring(f"<div>{section}</div>")


def test_the_tree_of_candidates_is_nested_lists(tmp_path):
    section, document = candidates_html(tmp_path, gepa_study())
    (root,) = document.findall("ul[@class='lineage']/li")
    (better,) = [item for item in root.findall("ul/li/ul/li") if item.findtext("strong") == "winner"]
    text = " ".join("".join(better.itertext()).split())
    digest = program_of("better").digest[:8]
    assert text == (f"winner trial 10 {digest} proposal 4, section rubric: NMSE 12.5, validity 0.95, n 40, calls 200")
    merged = root.find("ul/li/div/ul[@class='merged']")
    assert merged is not None
    assert [item.text for item in merged] == ["proposal 1 (rubric)", "proposal 2 (care)"]
    assert section.count("winner</strong>") == 1


def test_dropped_racers_and_savings_are_shown(tmp_path):
    section, document = candidates_html(tmp_path, gepa_study())
    text = " ".join("".join(document.itertext()).split())
    assert "4 judged on all validation examples, 1 dropped in a race, 1 not judged to the end." in text
    assert "Judge calls saved by racing: 56." in text
    assert "passed their minibatch: 3, that did not: 3." in text
    assert ": dropped, NMSE 35.0, validity 1.00, n 12, calls 150" in text
    assert ": not judged to the end, NMSE 18.0, validity 1.00, n 13, calls 160" in text
    assert "calls 40; proposals made from it that did not pass: 1" in text
    assert section.index("too_long") < section.index("copied_text")
    assert '<tr><td>copied_text</td><td class="number">2</td></tr>' in section


def test_the_course_is_drawn_with_a_table_behind_it(tmp_path):
    _, document = candidates_html(tmp_path, gepa_study())
    path = document.find("figure/svg/path[@stroke-width]")
    assert path is not None
    assert path.get("d", "").count("V") == 3
    rows = [[cell.text for cell in row] for row in document.findall("details/table/tr")]
    assert rows[1] == ["40", "0", "30.0", "30.0", "1.00"]
    assert rows[-1] == ["240", "11", "25.0", "12.5", "1.00"]


def test_hostile_origins_never_become_markup(tmp_path):
    trials = (
        make_trial(0, 30.0),
        make_child(1, "child", PROGRAM, 1, passed=True, section=HOSTILE),
        make_trial(2, 20.0, "merged", parents=[HOSTILE], proposals=[1, HOSTILE]),
        make_trial(3, 20.0, "child", parents=[PROGRAM.digest], proposal=1, section=HOSTILE),
        make_trial(4, 20.0, "chosen", instruction=HOSTILE, demonstrations=HOSTILE),
    )
    section, _ = candidates_html(tmp_path, StudyResult(PROGRAM, trials, {HOSTILE: 1}))
    assert "<script" not in section
    assert "<img" not in section
    assert section.count("&lt;script&gt;") == 6
    assert "{{ 7*7 }}" in section


def test_hundreds_of_candidates_make_a_report(tmp_path):
    trials = [make_trial(0, 99.0)]
    for number in range(1, 800):
        parent = trials[number // 2 if number < 400 else -1]
        trials.append(make_trial(number, 50.0, f"text {number}", calls=number, parents=[parent.program.digest]))
    section, _ = candidates_html(tmp_path, StudyResult(PROGRAM, tuple(trials), {}))
    assert section.count("<li>") == 800


def test_a_study_of_nothing_says_so(tmp_path):
    section, document = candidates_html(tmp_path, StudyResult(PROGRAM, (), {"empty": 1}))
    assert "No candidate was judged" in section
    assert document.find("figure") is None
    assert "<td>empty</td>" in section


def test_a_report_without_a_study_has_no_candidates(tmp_path):
    assert "Candidates" not in report(tmp_path, [("judge", measured([make_judgment(3)], make_examples(1)))])
