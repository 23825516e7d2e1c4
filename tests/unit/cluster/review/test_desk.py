"""The review page without a browser: what is stored, what is refused, what stands in the queue."""

import json
import threading
import time
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from cluster.review.app import build_app
from cluster.review.desk import Desk, RefusedActionError, Written
from cluster.runs.recorded import read_run
from optimize_workers.ledger import Ledger
from optimize_workers.library.reviews import Decision, EventKind, PairKey
from tests.recorded_runs import judge_pairs, make_pairs, write_run
from tests.unit.cluster.review.visiting import BASE, NOON, RULE, MemoryEvents, post

# --- actions ---


def test_explaining_makes_the_bullet_and_stays_on_the_pair(client, door, desk, store):
    answer = post(client, door, explanation=" It only mentions\r\nthe subject. ", bullet="", action="save")
    assert answer.headers["location"] == "/pair/0"
    (event,) = store.stored
    assert (event.kind, event.text, event.author, event.at) == (
        EventKind.EXPLAINED,
        "It only mentions\nthe subject.",
        "ada",
        NOON,
    )
    assert desk.reviews()[desk.entries[0].key].bullet == "It only mentions the subject."


def test_a_decision_stores_what_was_written_before_it_and_goes_on(client, door, store):
    answer = post(client, door, explanation="why", bullet=RULE, action="accept")
    assert answer.headers["location"] == "/pair/1"
    assert [event.kind for event in store.stored] == [EventKind.EXPLAINED, EventKind.BULLET_EDITED, EventKind.ACCEPTED]


def test_saving_what_did_not_change_stores_nothing(client, door, store):
    post(client, door, explanation=RULE, action="save")
    post(client, door, explanation=RULE, bullet=RULE, action="save", seen="1")
    assert len(store.stored) == 1


def test_undo_goes_to_the_pair_and_with_nothing_left_to_the_queue(client, door, desk):
    post(client, door, path="/pair/3", action="label_wrong")
    assert desk.reviews()[desk.entries[3].key].decision is Decision.LABEL_WRONG
    assert post(client, door, path="/undo?state=open").headers["location"] == "/pair/3?state=open"
    assert desk.reviews()[desk.entries[3].key].decision is Decision.OPEN
    assert post(client, door, path="/undo").headers["location"] == "/"


def test_accepting_without_a_bullet_or_with_a_refused_one_stores_nothing(client, door, store, desk):
    assert "no bullet to accept" in post(client, door, action="accept").text
    copied = desk.entries[0].example.item.document
    answer = post(client, door, action="accept", bullet=copied + " and more of it", explanation="typed text")
    assert answer.status_code == 422
    assert "copied_text" in answer.text
    assert "typed text" in answer.text  # nothing that was typed is lost
    assert store.stored == []


def test_an_unknown_action_and_a_long_explanation_are_refused(client, door, store):
    assert post(client, door, action="nosuch").status_code == 422
    assert "at most 4000" in post(client, door, action="save", explanation="x" * 5_000).text
    assert store.stored == []


def test_what_somebody_else_did_meanwhile_is_not_overwritten(run, store, desk):
    bob = Desk(run, store, "bob", 50)
    bob.act(0, "save", Written("bob's reason", "", 0))
    with pytest.raises(RefusedActionError, match="bob changed this pair meanwhile"):
        desk.act(0, "save", Written("ada's reason", "", 0))
    desk.act(0, "save", Written("ada's reason", "bob's reason", 1))
    assert desk.reviews()[desk.entries[0].key].explained_by == "ada"


def test_what_somebody_else_did_before_ones_own_last_action_is_not_overwritten(run, store, desk):
    bob = Desk(run, store, "bob", 50)
    desk.act(0, "save", Written("ada's reason", "", 0))
    bob.act(0, "save", Written("bob's reason", "ada's reason", 1))
    desk.act(0, "reject", Written("bob's reason", "bob's reason", store.stored[-1].number))  # another window of ada's
    num_events = len(store.stored)
    with pytest.raises(RefusedActionError, match="bob changed this pair meanwhile"):
        desk.act(0, "save", Written("ada's new reason", "ada's reason", 1))
    assert len(store.stored) == num_events


def test_two_windows_of_one_person_do_not_overwrite_each_other_in_silence(desk, store):
    desk.act(0, "save", Written("first window", "", 0))
    with pytest.raises(RefusedActionError, match="in another window"):
        desk.act(0, "save", Written("second window", "", 0))
    with pytest.raises(RefusedActionError, match="in another window"):
        desk.act(0, "reject", Written("", "", 0))  # would empty the explanation
    assert len(store.stored) == 1
    desk.act(0, "reject", Written("first window", "first window", 0))  # changes no text
    assert desk.reviews()[desk.entries[0].key].decision is Decision.REJECTED


def test_after_a_change_by_others_the_page_shows_both_texts_and_the_next_action_replaces(client, door, run, store):
    Desk(run, store, "bob", 50).act(0, "save", Written("what bob says", "", 0))
    answer = post(client, door, action="save", explanation="what ada says", bullet="")
    assert answer.status_code == 422
    assert "bob changed this pair meanwhile" in answer.text
    assert "what bob says" in answer.text
    assert "what ada says" in answer.text
    seen = answer.text.split('name="seen" value="')[1].split('"')[0]
    assert seen == "1"
    again = post(client, door, action="save", explanation="what ada says", bullet="", seen=seen)
    assert again.status_code == 303
    assert [event.author for event in store.stored] == ["bob", "ada", "ada"]


def test_actions_at_once_are_taken_one_after_the_other(run, store):
    """A store that takes its time would let all of them see the pair untouched."""

    class Slow(MemoryEvents):
        def review_events(self, run=None):
            found = super().review_events(run)
            time.sleep(0.02)
            return found

    slow = Slow()
    desk = Desk(run, slow, "ada", 50)
    refused = []

    def act(number):
        try:
            desk.act(0, "save", Written(f"window {number}", "", 0))
        except RefusedActionError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=act, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(slow.stored), len(refused)) == (1, 7)


def test_control_characters_do_not_get_into_the_store(client, door, store):
    post(client, door, action="save", explanation="a\x00b\x1b[31m\tc\u2028\nd\x85", bullet="x\x00y\x7f")
    assert [event.text for event in store.stored] == ["ab[31m\tc\u2028\nd", "xy"]


def test_a_store_that_fails_is_told_and_nothing_is_lost_in_silence(run, door, tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path / 'l.db'}", patience_s=0.1)
    client = TestClient(build_app(Desk(run, ledger, "ada", 5), door), base_url=BASE)
    client.get(f"/?token={door.access_token}")
    ledger._database.write(lambda connection: connection.exec_driver_sql("DROP TABLE review_events").close())
    answer = post(client, door, action="reject")
    assert (answer.status_code, "nothing was stored" in answer.text) == (503, True)
    ledger.close()


# --- the queue ---


def test_filters_are_those_that_tell_pairs_apart(client):
    text = client.get("/").text
    assert 'name="direction"' in text
    assert 'name="split"' not in text  # all are of train
    shown = client.get("/", params={"direction": "too harsh", "nosuch": "x", "grade": "77"}).text
    assert 0 < shown.count('href="/pair/') < client.get("/").text.count('href="/pair/') == 12


def test_the_queue_is_the_same_every_time(run, store):
    first, second = (Desk(run, store, "ada", 5) for _ in range(2))
    assert [entry.key for entry in first.entries] == [entry.key for entry in second.entries]
    assert len(first.entries) == 5


def test_a_pair_that_was_reviewed_stays_in_a_shorter_queue(run, store, desk):
    last = desk.entries[-1]
    desk.act(last.number, "reject", Written("", "", 0))
    assert last.key in {entry.key for entry in Desk(run, store, "ada", 2).entries}


def test_suspected_labels_are_in_the_queue_and_say_why(tmp_path, store, door):
    pairs = make_pairs(4)
    right = judge_pairs(pairs, lambda _n, pair: int(pair.gold_rating))
    split = [replace(pairs[0], gold_ratings=(1.0, 4.0)), *pairs[1:]]
    desk = Desk(read_run(write_run(tmp_path / "run", split, right)), store, "ada", 50)
    (entry,) = desk.entries
    assert entry.doubts == ("raters disagree: 1, 4",)
    client = TestClient(build_app(desk, door), base_url=BASE)
    assert "raters disagree: 1, 4" in client.get(f"/pair/0?token={door.access_token}").text


def test_a_pair_that_is_labelled_twice_is_one_entry_with_both_labels(tmp_path, store, door):
    pairs = make_pairs(4)
    pairs.append(replace(pairs[0], gold_rating=5.0, explanations=("it is the answer",)))
    judgments = judge_pairs(pairs, lambda n, pair: 5 if n in (0, 4) else int(pair.gold_rating))
    desk = Desk(read_run(write_run(tmp_path / "run", pairs, judgments)), store, "ada", 50)
    (entry,) = desk.entries
    assert entry.labels == (pairs[0], pairs[4])  # the label that the judge is off
    assert entry.doubts == ("raters disagree: 1, 5",)
    client = TestClient(build_app(desk, door), base_url=BASE)
    shown = client.get(f"/pair/0?token={door.access_token}").text
    assert "it is the answer" in shown
    assert pairs[0].explanation in shown
    desk.act(0, "label_wrong", Written("", "", 0))
    assert len(Desk(desk.run, store, "ada", 50).entries) == 1


def test_models_beside_the_run_raise_doubts_as_well(tmp_path, store):
    pairs = make_pairs(3)
    run = read_run(write_run(tmp_path / "run", pairs))
    beside = judge_pairs(pairs, model="other")
    desk = Desk(run, store, "ada", 50, beside)
    assert any("2 models agree against it" in doubt for entry in desk.entries for doubt in entry.doubts)


def test_test_pairs_carry_a_warning(tmp_path, store, door):
    run = read_run(write_run(tmp_path / "run", make_pairs(3, split="test")), None, ("test",))
    client = TestClient(build_app(Desk(run, store, "ada", 5), door), base_url=BASE)
    assert "These are test pairs" in client.get(f"/?token={door.access_token}").text


def test_before_anything_was_reviewed_there_is_no_export(client, door):
    assert (client.get("/export.jsonl").status_code, "/export.jsonl" in client.get("/").text) == (404, False)
    post(client, door, explanation="why", action="save")
    assert (client.get("/export.jsonl").status_code, "/export.jsonl" in client.get("/").text) == (200, True)


def test_the_export_has_state_and_history(client, door, run):
    post(client, door, explanation="why", action="save")
    post(client, door, action="reject", explanation="why", bullet="why")
    answer = client.get("/export.jsonl")
    (line,) = map(json.loads, answer.text.splitlines())
    assert (line["decision"], line["explanation"], line["split"]) == ("rejected", "why", "train")
    assert [event["kind"] for event in line["events"]] == ["explained", "rejected"]
    assert PairKey(line["run"], line["query_id"], line["doc_id"]).run == str(run.path)
    assert "attachment" in answer.headers["content-disposition"]


def test_an_empty_queue_says_so(tmp_path, store, door):
    pairs = make_pairs(3)
    right = judge_pairs(pairs, lambda _n, pair: int(pair.gold_rating))
    desk = Desk(read_run(write_run(tmp_path / "run", pairs, right)), store, "ada", 5)
    client = TestClient(build_app(desk, door), base_url=BASE)
    assert "Nothing to review" in client.get(f"/?token={door.access_token}").text


def test_filters_that_leave_nothing_say_so(client):
    assert "No pair is like that" in client.get("/", params={"state": "accepted"}).text
