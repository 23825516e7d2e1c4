"""The report: complete, small, and no text of a document, a model or a prompt becomes markup."""

import json
import re
import shutil
from dataclasses import replace
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.report.disagreements import MAX_DOCUMENT_CHARS, NUM_DISAGREEMENTS
from cluster.report.html import FIGURES, REPORT, write_report
from cluster.report.record import BASELINE_FILE
from cluster.runs.folder import RunFolder
from judge_serve.judging import Demonstration, RefusedInputError
from optimize_workers.study import StudyResult
from tests.builders import PROGRAM, make_example, make_examples, make_judgment
from tests.recorded_runs import judge_pairs, make_pairs
from tests.recorded_searches import write_evaluation, write_search
from tests.unit.cluster.studies import gepa_study, make_child, make_trial

HOSTILE = "</pre></td><script>alert('x')</script><img src=x onerror=alert(1)>\"'&{{ 7*7 }}"
MAX_BYTES = 3_000_000


def write(folder):
    write_report(RunFolder(folder))
    return (folder / REPORT).read_text(encoding="utf-8")


def report(tmp_path, judgments, examples, **result):
    return write(write_evaluation(tmp_path / "run", examples, judgments, **result))


def text_of(html):
    """What stands between the tags, in one line."""
    return " ".join(re.sub(r"<[^>]*>", " ", re.sub(r"<style>.*?</style>", "", html, flags=re.S)).split())


def part(html, name):
    """The section of this name."""
    return html.split(f'<section id="{name}"')[1].split("</section>")[0]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    shown = Demonstration(query=HOSTILE, document=HOSTILE, rating=1, explanation=HOSTILE)
    program = PROGRAM.with_sections({"rubric": HOSTILE}).model_copy(update={"demonstrations": (shown,)})
    examples = [
        make_example(1, document=HOSTILE, reason=HOSTILE),
        make_example(5, number=1, document=HOSTILE, query_id=HOSTILE),
    ]
    judgments = [make_judgment(5, explanation=HOSTILE), make_judgment(None, raw_reply=HOSTILE)]
    trials = (
        make_trial(0, 30.0),
        make_child(1, "child", PROGRAM, 1, passed=True, section=HOSTILE),
        make_trial(2, 20.0, "merged", parents=[HOSTILE], proposals=[1, HOSTILE]),
        make_trial(3, 20.0, "child", parents=[PROGRAM.digest], proposal=1, section=HOSTILE),
        make_trial(4, 20.0, "chosen", instruction=HOSTILE, demonstrations=HOSTILE, calls=9),
    )
    point = {"delta": 1.0, "ci95": [0.0, 2.0], "p_better": 0.1, "n": 2}
    more = {
        "gate": {
            "passed": False,
            "reasons": [HOSTILE],
            "rules": [{"name": HOSTILE, "limit": HOSTILE, "found": [HOSTILE], "passed": False, "reason": HOSTILE}],
        },
        "adversarial": [{"kind": HOSTILE, "expected": HOSTILE, "n": 2, "mean_shift": 0.5, "ci95": [0.1, 0.9]}],
        "differences": {"nmse": point, "grades": {HOSTILE: point}},
        "calibration": {"kind": HOSTILE, "before": {"reliability": [{"predicted": 2.0, "human": 3.0, "n": 4}]}},
        "waterfall": [{"change": HOSTILE, "bullets": [{"text": HOSTILE}], "nmse": 20.0}],
        "harmful": [{"text": HOSTILE, "added_nmse": 1.0, "error": 0.5}],
        "repeats": {HOSTILE: HOSTILE},
        "ranking": [{HOSTILE: HOSTILE}],
        "human": {"n": 2, "nmse": 3.0, "note": HOSTILE},
        "versions": {HOSTILE: HOSTILE},
    }
    study = StudyResult(program, (*trials, make_trial(5, 1.0)), {HOSTILE: 1})
    folder = tmp_path_factory.mktemp("hostile") / "run"
    return write(write_search(folder, study, examples, (judgments, judgments), **more))


def test_hostile_text_never_becomes_markup(hostile):
    for tag in ("<script", "<img", "<td><script", 'onerror=alert(1)>"'):
        assert tag not in hostile
    assert hostile.count("&lt;script&gt;") > 20


def test_hostile_text_is_not_evaluated_as_a_template(hostile):
    assert "{{ 7*7 }}" in hostile
    assert "&amp;49" not in hostile


def test_the_report_needs_no_network_and_no_script(hostile):
    assert re.search(
        r"http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-", hostile
    )
    tags = re.findall(r"<[a-z][^>]*>", hostile)
    assert not [tag for tag in tags if re.search(r"\s(?:src|srcset|style|on\w+|action|data)=", tag)]
    assert all(re.search(r'href="#', tag) for tag in tags if "href=" in tag)
    assert {tag.split()[0].strip("<>") for tag in tags} & {
        "script",
        "link",
        "iframe",
        "object",
        "embed",
        "form",
    } == set()


def test_every_svg_says_what_is_seen_and_has_its_table(hostile):
    figures = re.findall(r"<figure .*?</figure>", hostile, flags=re.S)
    assert len(figures) >= 8
    for figure in figures:
        assert re.search(
            r'<svg [^>]*role="img"[^>]*aria-label="[^"]{10,}"|<svg [^>]*aria-label="[^"]{10,}"[^>]*role="img"', figure
        )
        assert "<summary>The same as a table</summary>" in figure and "<figcaption>" in figure
        assert re.search(r"<tr><th scope=\"row\"", figure)


def test_headings_descend_without_a_gap(hostile):
    levels = [int(level) for level in re.findall(r"<h([1-6])", hostile)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_ids_are_unique_and_every_link_leads_to_one(hostile):
    ids = re.findall(r'\sid="([^"]*)"', hostile)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]*)"', hostile)) <= set(ids)


def test_texts_of_unknown_direction_are_isolated(hostile):
    for piece in (r'<h3 dir="auto">', r'<p class="document" dir="auto">', r'<span dir="auto" class="reason">'):
        assert piece in hostile


def test_the_report_shows_figures_and_counts(tmp_path):
    """Ratings 1 to 4 met by 1, 2, nothing, 4: one of four is invalid, NMSE 25, over valid 0."""
    judgments = [make_judgment(1), make_judgment(2), make_judgment(None), make_judgment(4)]
    html = report(tmp_path, judgments, make_examples(4), test_openings=3)
    shown = text_of(part(html, "figures"))
    for line in ("NMSE 25.0", "valid replies 3", "invalid replies 1", "NMSE over valid replies 0.0"):
        assert line in shown
    assert "not_json 1" in text_of(part(html, "invalid"))


def test_before_and_after_stand_beside_each_other_with_the_change(tmp_path):
    """All of 4 replies unreadable before; after, each is one off: 100 to 6.25."""
    pairs = make_examples(4, "test")
    after = [make_judgment(int(pair.gold_rating) + 1) for pair in pairs]
    html = write(write_search(tmp_path / "run", None, pairs, ([make_judgment(None)] * 4, after)))
    shown = text_of(part(html, "figures"))
    assert "NMSE 100.0 6.2 -94 %" in shown
    assert "valid replies 0 4 +4" in shown
    assert "invalid replies 4 0 -100 %" in shown
    assert "NMSE over valid replies - 6.2 -" in shown
    tiles = text_of(html.split('<dl class="tiles">')[1].split("</dl>")[0])
    assert "100.0 → 6.2" in tiles and "4 → 0" in tiles and "gate passed" in tiles
    assert "opened 1 time:" in text_of(part(html, "comparison"))


def test_undefined_figures_are_shown_as_a_dash(tmp_path):
    html = report(tmp_path, [make_judgment(None)], make_examples(1))
    shown = text_of(part(html, "figures"))
    assert "NMSE over valid replies -" in shown and "bias (judge - human) -" in shown
    assert not re.search(r"\b(?:nan|inf|None|undefined|null)\b", text_of(html.split("The recorded result")[0]))
    assert 'id="bias"' not in html and 'id="confusion"' not in html


@pytest.mark.parametrize(
    "judgments, examples",
    [
        ([make_judgment(3)], make_examples(1)),
        ([make_judgment(None)] * 6, make_examples(6)),
        ([make_judgment(3)] * 6, [make_example(3.0, number=n) for n in range(6)]),
        ([make_judgment(1)] * 6, [make_example(3.0, number=n, query_id="one") for n in range(6)]),
        ([make_judgment(1, expected=1.25)] * 3, [make_example(2.5, number=n, reason="") for n in range(3)]),
    ],
)
def test_degenerate_runs_make_a_report_without_nan(tmp_path, judgments, examples):
    html = report(tmp_path, judgments, examples)
    assert not re.search(r"\b(?:nan|infinity|inf)\b", html, flags=re.IGNORECASE)
    figures = (tmp_path / "run" / FIGURES).read_text(encoding="utf-8")
    assert not re.search(r"\b(?:NaN|Infinity)\b", figures)
    assert json.loads(figures)["tables"]


def test_the_worst_disagreements_come_first_and_are_few(tmp_path):
    examples = make_examples(30)
    worst = part(report(tmp_path, [make_judgment(1) for _ in examples], examples), "disagreements")
    assert worst.count('<li class="card">') == NUM_DISAGREEMENTS
    assert worst.index("evidence 5") < worst.index("evidence 4")


def test_a_perfect_judge_has_no_disagreements(tmp_path):
    examples = make_examples(5)
    assert 'id="disagreements"' not in report(tmp_path, [make_judgment(int(e.gold_rating)) for e in examples], examples)


def test_an_unreadable_reply_stands_in_place_of_the_reason(tmp_path):
    html = part(report(tmp_path, [make_judgment(None, raw_reply="I refuse.")], make_examples(1)), "disagreements")
    assert "judge, its reply not_json I refuse." in text_of(html)


def test_the_result_stands_in_the_report(tmp_path):
    html = report(tmp_path, [make_judgment(3)], make_examples(1), wall_s=12.5)
    assert "&#34;wall_s&#34;: 12.5" in part(html, "provenance")


def test_ten_thousand_judgments_of_long_documents_make_a_small_report(tmp_path):
    long_text = "word " * 40_000  # 200 kB
    pairs = [make_example(float(n % 5 + 1), number=n, query_id=f"q{n % 500}", split="test") for n in range(10_000)]
    pairs[:20] = [replace(p, item=replace(p.item, document=long_text), explanations=(long_text,)) for p in pairs[:20]]
    judgments = [make_judgment(5, explanation=long_text if n < 20 else "because") for n in range(10_000)]
    demonstration = Demonstration(query="q", document=long_text, rating=1, explanation="e")
    program = PROGRAM.model_copy(update={"demonstrations": (demonstration,)})
    html = write(write_evaluation(tmp_path / "run", pairs, judgments, program))
    assert len(html.encode()) < MAX_BYTES / 10
    assert f"({len(long_text) - MAX_DOCUMENT_CHARS:,} more characters)" in html
    assert (tmp_path / "run" / FIGURES).stat().st_size < 200_000


def candidates(tmp_path, study):
    """The section of the candidates."""
    return part(write(write_search(tmp_path / "run", study)), "candidates")


def test_the_tree_of_candidates_is_nested_lists(tmp_path):
    study = gepa_study()
    section = candidates(tmp_path, study)
    digest = study.winner.digest[:8]
    line = f"winner trial 10 {digest} proposal 4, section rubric : NMSE 12.5, validity 0.95, n 40, calls 200"
    assert line in text_of(section)
    assert section.count("winner</strong>") == 1
    assert '<ul class="merged"><li>proposal 1 (rubric)</li><li>proposal 2 (care)</li></ul>' in section
    assert section.count("<ul") == section.count("</ul>") and section.count("<li>") == section.count("</li>")


def test_dropped_racers_and_savings_are_shown(tmp_path):
    shown = text_of(candidates(tmp_path, gepa_study()))
    assert "4 judged on all validation examples, 1 dropped in a race, 1 not judged to the end." in shown
    assert "Judge calls saved by racing: 56." in shown
    assert "passed their minibatch: 3, that did not: 3." in shown
    assert "dropped , NMSE 35.0, validity 1.00, n 12, calls 150" in shown
    assert "not judged to the end , NMSE 18.0, validity 1.00, n 13, calls 160" in shown
    assert "calls 40; proposals made from it that did not pass: 1" in shown
    assert shown.index("too_long 5") < shown.index("copied_text 2")


def test_the_course_is_drawn_with_a_table_behind_it(tmp_path):
    section = candidates(tmp_path, gepa_study())
    rows = re.findall(r"<tr><th scope=\"row\" class=\"number\" dir=\"auto\">(\d+)</th>(.*?)</tr>", section)
    cells = [(calls, *re.findall(r">([^<]+)</td>", rest)) for calls, rest in rows]
    assert cells[0] == ("40", "0", "30.0", "30.0", "1.00")
    assert cells[-1] == ("240", "11", "25.0", "12.5", "1.00")
    assert "the best falls from 30.0 to 12.5 over 250 judge calls" in section


def test_hundreds_of_candidates_make_a_report(tmp_path):
    trials = [make_trial(0, 99.0, calls=1)]
    for number in range(1, 800):
        parent = trials[number // 2 if number < 400 else -1]
        trials.append(make_trial(number, 50.0, f"text {number}", calls=number, parents=[parent.program.digest]))
    section = candidates(tmp_path, StudyResult(PROGRAM, tuple(trials), {}))
    assert section.count("<li>") == 800
    assert len(section.encode()) < MAX_BYTES / 2


def test_a_study_of_nothing_says_so(tmp_path):
    section = candidates(tmp_path, StudyResult(PROGRAM, (make_child(0, "x", PROGRAM, 1, passed=True),), {"empty": 1}))
    assert "No candidate was judged" in section
    assert "<figure" not in section
    assert "empty 1" in text_of(section)


def test_an_evaluation_has_no_candidates_and_no_comparison(tmp_path):
    html = report(tmp_path, [make_judgment(3)], make_examples(1))
    assert 'id="candidates"' not in html and 'id="comparison"' not in html and 'id="gate"' not in html


def test_a_run_of_an_older_version_lacks_what_it_did_not_record_and_nothing_else(tmp_path):
    """Without the baseline's release, the config, and figures that were added later."""
    folder = write_search(tmp_path / "run", gepa_study())
    (folder / BASELINE_FILE).unlink()
    (folder / "config.json").unlink()
    result = json.loads((folder / "result.json").read_text())
    for arm in ("baseline", "winner"):
        result[arm] = {key: result[arm][key] for key in ("dataset", "judge", "nmse")}
    for key in ("calls_saved", "refusals", "test_openings", "gate", "comparison"):
        del result[key]
    lines = [json.loads(line) for line in (folder / "candidates.jsonl").read_text().splitlines()]
    (folder / "candidates.jsonl").write_text(
        "".join(json.dumps({k: v for k, v in line.items() if k not in ("calls", "split")}) + "\n" for line in lines)
    )
    (folder / "result.json").write_text(json.dumps(result))
    html = write(folder)
    assert "valid replies 20 20 0" in text_of(part(html, "figures"))
    assert "20 test pairs of 20 queries" in html
    assert "section rubric" in text_of(part(html, "prompt"))


def test_a_run_whose_document_was_forgotten_still_makes_a_report(tmp_path):
    folder = write_evaluation(tmp_path / "run", make_pairs(6), judge_pairs(make_pairs(6)))
    table = pq.read_table(folder / "examples.parquet").to_pylist()
    pq.write_table(
        pa.Table.from_pylist([{**row, "document": "", "explanations": []} for row in table]),
        folder / "examples.parquet",
    )
    assert "no reason given" in write(folder)


@pytest.mark.parametrize("name", ["judgments.parquet", "examples.parquet", "release.json", "result.json"])
def test_a_folder_that_lacks_a_file_is_refused(tmp_path, name):
    folder = write_search(tmp_path / "run")
    (folder / name).unlink()
    with pytest.raises(RefusedInputError, match=re.escape(name)):
        write_report(RunFolder(folder))


def test_a_damaged_record_of_candidates_is_refused(tmp_path):
    folder = write_search(tmp_path / "run")
    (folder / "candidates.jsonl").write_text('{"trial": 0}\n')
    with pytest.raises(RefusedInputError, match=r"candidates.jsonl cannot be read \(KeyError"):
        write_report(RunFolder(folder))


def test_a_copied_folder_makes_the_same_report(tmp_path):
    folder = write_search(tmp_path / "run", gepa_study())
    shutil.copytree(folder, tmp_path / "copy")
    assert write(folder) == write(tmp_path / "copy")


def test_the_mass_on_the_digits_and_the_endpoint_are_shown_where_there_are_any(tmp_path):
    plain = report(tmp_path / "plain", [make_judgment(1)] * 4, make_examples(4))
    assert "digits" not in text_of(part(plain, "figures"))
    judged = [replace(make_judgment(1, expected=1.2), digit_mass=0.875)] * 4
    endpoint = {"address": "http://host/v1", "is_vllm": False, "dialect": {"dropped": ["seed"]}, "max_in_flight": 64}
    html = report(tmp_path / "digits", judged, make_examples(4), endpoint=endpoint)
    assert "digits 0.875" in text_of(part(html, "figures"))
    shown = text_of(part(html, "provenance"))
    assert "http://host/v1" in shown and "seed" in shown
