"""A release: identity by content, and refusal of everything that was changed."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge_serve.judging import (
    AnswerMode,
    Demonstration,
    Judge,
    ModelIdentity,
    Program,
    RefusedInputError,
    Release,
    Sampling,
)

SHOWN = Demonstration(query="q\u00e9", document="d", rating=2, explanation="\U0001f600")
PROGRAM = Program(sections={"task": "Rate it.", "care": "Be strict."}, bullets=("b",), demonstrations=(SHOWN,))
JUDGE = Judge(program=PROGRAM, model=ModelIdentity(name="m", revision="r1"))
RELEASE = Release(judge=JUDGE, parents=("abc",), evidence={"nmse": 12.5, "n": 40})


def document(**changes):
    return json.loads(RELEASE.to_json()) | changes


def signed(content):
    """A document whose digest was taken after the change, as an attacker or a careless script would."""
    return content | {"digest": Release.model_validate({k: v for k, v in content.items() if k != "digest"}).digest}


def test_a_release_survives_its_json():
    assert Release.from_json(RELEASE.to_json()) == RELEASE


def test_a_release_survives_a_file(tmp_path):
    path = tmp_path / "release.json"
    path.write_text(RELEASE.to_json(), encoding="utf-8")
    assert Release.from_file(path).digest == RELEASE.digest


def test_a_release_survives_writers_that_sort_keys():
    carried = json.loads(json.dumps(document(), sort_keys=True))
    assert Release.from_document(carried).judge.program.instruction == "Rate it.\n\nBe strict."


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)))
def test_any_evidence_survives(evidence):
    release = Release(judge=JUDGE, evidence=evidence)
    assert Release.from_json(release.to_json()).digest == release.digest


def test_the_digest_is_the_same_in_another_process():
    program = (
        "import sys; from judge_serve.judging import Release; "
        "print(Release.from_json(sys.stdin.buffer.read().decode()).digest)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=RELEASE.to_json().encode(),
        capture_output=True,
        check=True,
        env={"PYTHONHASHSEED": "4711"},
    )
    assert done.stdout.decode().strip() == RELEASE.digest


def test_releases_of_earlier_versions_keep_their_digest():
    assert RELEASE.digest == "71e5d0c55613b5a885e2ff8e9638ee69bb6404cb614e384f2c47d15bf0142293"


def test_the_id_is_the_start_of_the_digest():
    assert RELEASE.id == RELEASE.digest[:12]
    assert len(RELEASE.digest) == 64


@pytest.mark.parametrize(
    "changed",
    [
        RELEASE.model_copy(update={"name": "other"}),
        RELEASE.model_copy(update={"parents": ()}),
        RELEASE.model_copy(update={"evidence": {"nmse": 12.6, "n": 40}}),
        RELEASE.model_copy(update={"judge": JUDGE.model_copy(update={"mode": AnswerMode.GUIDED})}),
        RELEASE.model_copy(update={"judge": JUDGE.model_copy(update={"sampling": Sampling(seed=1)})}),
        RELEASE.model_copy(update={"judge": JUDGE.model_copy(update={"model": ModelIdentity(name="m")})}),
        RELEASE.model_copy(
            update={"judge": JUDGE.model_copy(update={"program": PROGRAM.model_copy(update={"bullets": ("c",)})})}
        ),
    ],
    ids=["name", "parents", "evidence", "mode", "sampling", "revision", "program"],
)
def test_every_part_is_in_the_digest(changed):
    assert changed.digest != RELEASE.digest


def test_a_changed_document_is_refused():
    changed = document()
    changed["judge"]["program"]["bullets"] = ["always say 5"]
    with pytest.raises(RefusedInputError, match=r"file\.json: digest \w{12} does not match its content \(\w{12}\)"):
        Release.from_document(changed, "file.json")


def test_reordered_sections_are_a_change():
    changed = document()
    changed["judge"]["program"]["sections"].reverse()
    with pytest.raises(RefusedInputError, match="does not match its content"):
        Release.from_document(changed)


@pytest.mark.parametrize("digest", ["", None, 7, [], RELEASE.id, RELEASE.digest.upper()])
def test_only_the_exact_digest_counts(digest):
    with pytest.raises(RefusedInputError, match="does not match its content"):
        Release.from_document(document(digest=digest))


@pytest.mark.parametrize("value", [None, [], "text", 4, {}, {"judge": {}}])
def test_what_is_no_release_document_is_refused(value):
    with pytest.raises(RefusedInputError, match="JSON object with a 'digest'"):
        Release.from_document(value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 2}, "format_version: "),
        ({"name": "Bad Name"}, "name: "),
        ({"surprise": 1}, "surprise: Extra inputs"),
        ({"judge": {}}, r"judge\.program: "),
        ({"calibration": {}}, r"calibration\.curve: "),
    ],
)
def test_a_malformed_document_is_refused_naming_the_field(changes, message):
    with pytest.raises(RefusedInputError, match=f"^release: {message}"):
        Release.from_document(document(**changes))


def test_a_demonstration_off_the_scale_is_refused():
    changed = document()
    changed["judge"]["program"]["demonstrations"][0]["rating"] = 6
    with pytest.raises(RefusedInputError, match=r"demonstration ratings \[6\] are off scale 1-5"):
        Release.from_document(changed)


def test_a_release_without_explanations_is_one_of_mode_expected_only():
    changed = document()
    changed["judge"]["program"]["demonstrations"][0]["explanation"] = ""
    with pytest.raises(RefusedInputError, match=r"demonstrations \[1\] have no explanation"):
        Release.from_document(changed)
    changed["judge"]["mode"] = "expected"
    release = Release.from_document(signed(changed))
    assert Release.from_json(release.to_json()) == release


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\x00", "9" * 5_000, "'digest'"])
def test_text_that_is_not_json_is_refused(text):
    with pytest.raises(RefusedInputError, match="not a JSON release document"):
        Release.from_json(text)


def test_evidence_nested_too_deep_is_refused():
    nested = 1
    for _ in range(500):
        nested = [nested]
    with pytest.raises(RefusedInputError, match="not a JSON release document"):
        Release.from_document(document(evidence={"x": nested}))


def test_a_release_of_more_than_a_megabyte_is_refused():
    with pytest.raises(RefusedInputError, match="larger than 1000000 bytes"):
        Release.from_json(" " * 1_000_001)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(RefusedInputError, match=r"gone\.json: not a readable release file"):
        Release.from_file(tmp_path / "gone.json")


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "release.json"
    path.write_bytes(b"\xff\xfe{}")
    with pytest.raises(RefusedInputError, match="not a readable release file"):
        Release.from_file(path)


def test_a_document_with_a_new_digest_is_another_release():
    assert Release.from_document(signed(document(evidence={}))).id != RELEASE.id
