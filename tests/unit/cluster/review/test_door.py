"""The review page's door without a browser: who may come in, what is refused, what every answer says."""

import json
import time
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from cluster.review.app import build_app
from cluster.review.desk import Desk, Written
from cluster.review.door import MAX_FORM_BYTES, PASS_LIFE_S, Door
from cluster.runs.recorded import read_run
from tests.recorded_runs import judge_pairs, make_pairs, write_run
from tests.unit.cluster.review.visiting import BASE, post


@pytest.mark.parametrize(
    "path", ["/", "/pair/0", "/bias", "/export.jsonl", "/static/review.js", "/?token=wrong", "/nosuch"]
)
def test_without_the_access_token_there_is_nothing_to_see(stranger, path):
    answer = stranger.get(path)
    assert answer.status_code == 403
    assert "parental" not in answer.text


def test_the_token_stays_in_a_cookie_that_other_sites_cannot_send(stranger, door):
    answer = stranger.get(f"/pair/1?token={door.access_token}&state=open", follow_redirects=False)
    assert answer.headers["location"] == "/pair/1?state=open"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "0.0.0.0", "", "[::1"],
)
def test_a_foreign_host_name_is_refused(client, host):
    assert client.get("/", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:9000", "[::1]:8000"])
def test_names_of_loopback_are_known(client, host):
    cookie = f"review-8000={client.cookies['review-8000']}"
    assert client.get("/", headers={"Host": host, "Cookie": cookie}).status_code == 200


def visitor(desk, door):
    """A browser that has not been here."""
    return TestClient(build_app(desk, door), base_url=BASE)


def test_a_pass_opens_the_page_once(desk, door):
    given = door.new_pass()
    first, second = visitor(desk, door), visitor(desk, door)
    assert first.get(f"/?token={given}").status_code == 200
    assert first.get("/pair/1").status_code == 200
    refused = second.get(f"/?token={given}")
    assert (refused.status_code, "used already" in refused.text) == (403, True)
    assert "set-cookie" not in refused.headers
    assert second.get("/").status_code == 403
    assert first.get(f"/?token={given}").status_code == 200  # who is in may load the address again


def test_a_pass_is_used_up_by_who_is_in_already(client, desk, door):
    given = door.new_pass()
    assert client.get(f"/?token={given}").status_code == 200
    assert visitor(desk, door).get(f"/?token={given}").status_code == 403


def test_a_pass_is_good_for_a_minute(desk, door, clock):
    in_time, too_late = door.new_pass(), door.new_pass()
    clock.now_s += PASS_LIFE_S - 1
    assert visitor(desk, door).get(f"/?token={in_time}").status_code == 200
    clock.now_s += 1
    assert visitor(desk, door).get(f"/?token={too_late}").status_code == 403


def test_looking_at_the_head_does_not_use_a_pass_up(desk, door):
    given = door.new_pass()
    assert visitor(desk, door).head(f"/?token={given}").status_code == 403
    assert visitor(desk, door).get(f"/?token={given}").status_code == 200


def test_the_printed_address_opens_the_page_again_and_again(desk, door, clock):
    for _ in range(2):
        assert visitor(desk, door).get(f"/?token={door.access_token}").status_code == 200
        clock.now_s += 10 * PASS_LIFE_S


def test_no_secret_serves_in_place_of_another(client, desk, door):
    session = client.cookies["review-8000"]
    secrets = {session, door.access_token, door.form_token, door.new_pass()}
    assert len(secrets) == 4
    for wrong in secrets - {session}:
        answer = visitor(desk, door).get("/", headers={"Cookie": f"review-8000={wrong}"})
        assert answer.status_code == 403
    for wrong in (session, door.form_token):
        assert visitor(desk, door).get(f"/?token={wrong}").status_code == 403
    assert client.post("/undo", data={"form_token": session}).status_code == 403


def test_on_another_address_any_name_needs_the_token(desk):
    door = Door("0.0.0.0", 8000)
    client = TestClient(build_app(desk, door), base_url="http://judge.example:8000")
    assert client.get("/").status_code == 403
    assert client.get(f"/?token={door.access_token}").status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "https://127.0.0.1:8000"])
def test_an_action_from_another_origin_is_refused(client, door, store, origin):
    assert post(client, door, action="reject", headers={"Origin": origin}).status_code == 403
    assert store.stored == []


def test_an_action_from_the_own_origin_passes(client, door, store):
    assert post(client, door, action="reject", headers={"Origin": BASE}).status_code == 303
    assert len(store.stored) == 1


@pytest.mark.parametrize("token", ["", "wrong", "\u00e9"])
def test_an_action_without_the_form_token_is_refused(client, store, token):
    assert client.post("/pair/0", data={"form_token": token, "action": "reject"}).status_code == 403
    assert client.post("/undo", data={"form_token": token}).status_code == 403
    assert store.stored == []


def test_a_form_that_is_too_large_or_no_text_is_refused(client, door):
    assert post(client, door, explanation="x" * MAX_FORM_BYTES).status_code == 422
    assert client.post("/pair/0", content=b"a=%ff").status_code == 422


@pytest.mark.parametrize("body", [b"&" * 199_000, b"a=1&" * 49_000, b"%" * 199_000, b"=", b""])
def test_a_form_of_rubbish_is_refused_in_no_time(client, store, body):
    started = time.process_time()
    assert client.post("/pair/0", content=body).status_code == 403
    assert time.process_time() - started < 5.0
    assert store.stored == []


def test_every_answer_forbids_scripts_of_others_and_storing(client):
    for path in ("/", "/static/review.js", "/nosuch"):
        headers = client.get(path).headers
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


def test_no_page_holds_a_script_or_style_of_its_own(client):
    for path in ("/", "/pair/0", "/bias"):
        text = client.get(path).text
        assert text.count("<script") == text.count('<script src="/static/review.js" defer></script>') == 1
        assert not [word for word in ("<style", "style=", "onclick", "javascript:") if word in text]


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/redoc", "/static/../app.py", "/pair/99", "/pair/-1"])
def test_there_is_nothing_else(client, path):
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("number", ["12", "-1", "9" * 30])
def test_an_action_on_no_pair_is_told_and_stores_nothing(client, door, store, number):
    answer = post(client, door, f"/pair/{number}", action="reject")
    assert (answer.status_code, answer.text) == (404, f"no pair {number} in this queue of 12")
    assert store.stored == []


def test_texts_of_every_kind_are_escaped(tmp_path, store, door):
    bad = "</textarea></script><script>alert(1)</script>\"'><b onclick=x>\u202e\x00\x1b"
    pairs = make_pairs(6)
    item = replace(pairs[0].item, query=bad, document=bad, query_id=bad, doc_id=bad)
    pairs[0] = replace(pairs[0], item=item, explanations=(bad, bad), gold_ratings=(1.0, 5.0))
    pairs += [replace(pair, item=replace(pair.item, query=f"{bad} {pair.item.query}")) for pair in make_pairs(6, "val")]
    judgments = [replace(judgment, explanation=bad, model=bad) for judgment in judge_pairs(pairs)]
    desk = Desk(read_run(write_run(tmp_path / "run", pairs, judgments)), store, bad, 50)
    number = next(entry.number for entry in desk.entries if entry.key.doc_id == bad)
    desk.act(number, "save", Written(bad, bad, 0))
    client = TestClient(build_app(desk, door), base_url=BASE)
    client.get(f"/?token={door.access_token}")
    for path in ("/", f"/pair/{number}", f"/pair/{number}?whole=1", "/bias"):
        text = client.get(path).text
        assert text.count("<script") == 1
        assert "<b onclick" not in text
        assert "&lt;script&gt;alert" in text or path == "/bias"
    (line,) = client.get("/export.jsonl").text.split("\n")[:-1]
    assert json.loads(line)["query_id"] == bad


def test_what_takes_long_can_be_computed_before_it_is_asked_for(desk):
    desk.prepare()
    assert "guard" in vars(desk.run)
    assert "bias" in vars(desk)


def test_a_number_that_is_none_is_no_pair(client):
    assert client.get("/pair/x").status_code == 422
