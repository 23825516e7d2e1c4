"""The judge's HTTP side over its real routes, without Serve: answers, problem documents, releases."""

import os

import pytest
from ray.exceptions import RayActorError

from judge_serve.judging import AnswerMode, Release
from judge_serve.judging.errors import FatalError, TransientError
from judge_serve.serving.auth import VARIABLE
from tests.unit.judge_serve.serving.desk import (
    MODEL,
    PAIR,
    Desk,
    assert_problem,
    completion,
    dictated,
    document,
    failed,
    release,
)


@pytest.fixture(autouse=True)
def no_keys(monkeypatch):
    """Keys of the machine that runs the tests play no part."""
    if VARIABLE in os.environ:
        monkeypatch.delenv(VARIABLE)


# --- answers ---


def test_a_pair_is_judged_and_the_release_named():
    answer = Desk().deploy().judge().json()
    assert answer.pop("latency_ms") >= 0
    assert answer == {
        "rating": 4,
        "expected_rating": None,
        "explanation": "on topic",
        "invalid_reason": None,
        "release": release().id,
        "model": MODEL,
        "mode": "generate",
    }


def test_the_model_gets_the_prompt_of_the_release():
    desk = Desk().deploy(release("Be very strict."))
    desk.judge()
    assert "Be very strict." in desk.handle.bodies[0]["messages"][0]["content"]


def test_an_unreadable_reply_is_an_answer_without_rating():
    response = Desk(lambda _body: completion("dunno")).deploy().judge()
    assert response.status_code == 200
    assert (response.json()["rating"], response.json()["invalid_reason"]) == (None, "not_json")


def test_a_prompt_too_long_is_an_answer_without_rating():
    response = Desk(lambda _body: failed(400, "maximum context length is 4096")).deploy().judge()
    assert (response.status_code, response.json()["invalid_reason"]) == (200, "prompt_too_long")


def test_expected_mode_answers_a_fraction():
    alternatives = [{"token": "4", "logprob": -1.0}, {"token": "5", "logprob": -1.0}]
    script = lambda _body: completion("4", logprobs={"content": [{"top_logprobs": alternatives}]})  # noqa: E731
    answer = Desk(script).deploy(release(mode=AnswerMode.EXPECTED)).judge().json()
    assert (answer["expected_rating"], answer["rating"], answer["mode"]) == (4.5, 5, "expected")


def test_a_batch_keeps_the_order_of_its_items():
    items = [{"query": "q", "document": f"rating {rating}"} for rating in (5, 1, 3, 1)]
    answer = Desk(dictated).deploy().call("POST", "/v1/judge/batch", json={"items": items}).json()
    assert [item["rating"] for item in answer["items"]] == [5, 1, 3, 1]


def test_the_release_is_shown_whole():
    shown = Desk().deploy().running()
    assert (shown["release"], shown["config_error"]) == (release().id, None)
    assert Release.from_document(shown["document"]) == release()


def test_models_are_listed_in_openai_shape():
    listed = Desk().call("GET", "/v1/models").json()
    assert listed == {"object": "list", "data": [{"id": MODEL, "object": "model"}]}


def test_chat_completions_pass_through():
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
    desk = Desk()
    assert desk.call("POST", "/v1/chat/completions", json=body).json() == completion()
    assert desk.handle.bodies == [body]


def test_openapi_describes_the_judge_routes():
    paths = Desk().call("GET", "/openapi.json").json()["paths"]
    assert {"/v1/judge", "/v1/judge/batch", "/v1/release", "/healthz", "/readyz"} <= paths.keys()


# --- releases ---


def test_before_the_first_release_the_endpoint_is_alive_but_not_ready():
    desk = Desk()
    assert desk.call("GET", "/healthz").json() == {"status": "ok"}
    assert_problem(desk.call("GET", "/readyz"), 503, "no release is deployed yet")
    assert_problem(desk.judge(), 503, "relevance-judge deploy")
    assert desk.running() == {"release": None, "document": None, "config_error": None}


def test_with_a_release_the_endpoint_is_ready():
    assert Desk().deploy().call("GET", "/readyz").json() == {"status": "ready", "release": release().id}


def test_a_new_release_takes_over():
    desk = Desk().deploy().deploy(release("Other."))
    assert desk.judge().json()["release"] == release("Other.").id


def deep():
    nested = 1
    for _ in range(500):
        nested = [nested]
    return document(release()) | {"evidence": {"x": nested}}


BAD_CONFIGS = {
    "none": (None, "exactly 'champion'"),
    "empty": ({}, "exactly 'champion'"),
    "text": ("champion", "exactly 'champion'"),
    "extra": ({"champion": document(release()), "canary": 1}, "exactly 'champion'"),
    "no document": ({"champion": None}, "JSON object with a 'digest'"),
    "changed": ({"champion": document(release()) | {"name": "other"}}, "does not match its content"),
    "malformed": ({"champion": document(release()) | {"judge": 4}}, "user_config.champion: judge"),
    "unknown model": ({"champion": document(release(model="gpt"))}, "needs model 'gpt', this application serves"),
    "too deep": ({"champion": deep()}, "not a JSON release document"),
}


@pytest.mark.parametrize(("config", "words"), BAD_CONFIGS.values(), ids=BAD_CONFIGS)
def test_a_bad_configuration_keeps_the_last_good_release_and_says_why(config, words):
    desk = Desk().deploy()
    desk.ingress.reconfigure(config)
    shown = desk.running()
    assert shown["release"] == release().id
    assert words in shown["config_error"]
    assert desk.judge().json()["release"] == release().id


def test_a_good_configuration_clears_the_error():
    desk = Desk().deploy()
    desk.ingress.reconfigure({})
    assert desk.deploy().running()["config_error"] is None


def test_a_bad_first_configuration_leaves_the_endpoint_alive():
    desk = Desk()
    desk.ingress.reconfigure({})
    assert desk.call("GET", "/healthz").status_code == 200
    assert desk.call("GET", "/readyz").status_code == 503
    assert "exactly 'champion'" in desk.running()["config_error"]


def test_a_request_keeps_the_release_it_started_with():
    def replace_then_answer(_body):
        desk.deploy(release("Newer."))
        return completion()

    desk = Desk(replace_then_answer).deploy()
    assert desk.judge().json()["release"] == release().id
    assert desk.judge().json()["release"] == release("Newer.").id


# --- problems ---


@pytest.mark.parametrize(
    "pair",
    [
        {},
        [],
        None,
        {"query": "q"},
        {"query": "", "document": "d"},
        {"query": "q", "document": ""},
        {"query": "q", "document": 4},
        {"query": "q", "document": "d", "rating": 5},
        {"query": "q" * 10_001, "document": "d"},
        {"query": "q", "document": "d" * 1_000_001},
    ],
    ids=["empty", "list", "null", "one", "no query", "no document", "number", "extra", "long query", "long document"],
)
def test_a_pair_off_the_schema_is_a_problem(pair):
    desk = Desk().deploy()
    response = desk.judge(json=pair)
    assert_problem(response, 422, "")
    assert response.json()["errors"][0]["field"].startswith("body")
    assert desk.handle.bodies == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000], ids=["empty", "open", "binary", "deep"])
def test_a_body_that_is_not_json_is_a_problem(content):
    response = Desk().deploy().judge(json=None, content=content, headers={"content-type": "application/json"})
    assert response.status_code in (400, 422)
    assert response.headers["content-type"] == "application/problem+json"


def test_a_problem_does_not_repeat_the_document():
    response = Desk().deploy().judge(json={"query": "", "document": "very private"})
    assert "very private" not in response.text


@pytest.mark.parametrize("count", [0, 1_001])
def test_a_batch_holds_1_to_1000_items(count):
    response = Desk().deploy().call("POST", "/v1/judge/batch", json={"items": [PAIR] * count})
    assert_problem(response, 422, "List should have at")
    assert response.json()["errors"][0]["field"] == "body.items"


@pytest.mark.parametrize(("kind", "status"), [(TransientError, 503), (FatalError, 502)])
def test_an_engine_error_says_whether_to_come_back(kind, status):
    async def fail() -> None:
        raise kind("busy")

    desk = Desk()
    desk.app.add_api_route("/fail", fail)
    assert_problem(desk.call("GET", "/fail"), status, "busy")


def test_text_without_a_utf8_form_is_a_problem():
    content = b'{"query": "q", "document": "a\\ud800b"}'
    response = Desk().deploy().judge(json=None, content=content, headers={"content-type": "application/json"})
    assert_problem(response, 422, "unicode")


def test_an_engine_that_refuses_is_a_bad_gateway():
    assert_problem(Desk(lambda _body: failed(404, "no such model")).deploy().judge(), 502, "no such model")


def test_a_batch_with_a_failing_engine_is_one_problem():
    response = (
        Desk(lambda _body: failed(404, "gone")).deploy().call("POST", "/v1/judge/batch", json={"items": [PAIR] * 3})
    )
    assert_problem(response, 502, "gone")


@pytest.mark.parametrize("model", [None, 4, [], "other"])
def test_an_unknown_model_is_a_problem(model):
    assert_problem(Desk().call("POST", "/v1/chat/completions", json={"model": model}), 404, "is not served here")


def test_a_chat_error_of_the_model_keeps_its_status():
    response = Desk(lambda _body: failed(400, "bad messages")).call(
        "POST", "/v1/chat/completions", json={"model": MODEL}
    )
    assert_problem(response, 400, "bad messages")


def test_a_chat_completion_without_a_replica_is_a_problem():
    desk = Desk(lambda _body: RayActorError())
    assert_problem(desk.call("POST", "/v1/chat/completions", json={"model": MODEL}), 503, "failed (RayActorError)")


def test_an_unknown_path_is_a_problem():
    assert_problem(Desk().call("GET", "/v2/judge"), 404, "Not Found")


def test_a_wrong_method_is_a_problem_that_names_the_right_one():
    response = Desk().call("GET", "/v1/judge")
    assert_problem(response, 405, "Method Not Allowed")
    assert response.headers["allow"] == "POST"
