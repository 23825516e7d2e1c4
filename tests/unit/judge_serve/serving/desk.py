"""A judge ingress over a fake model, and a caller of its routes without Serve."""

import asyncio
import json

import httpx
from fastapi import FastAPI
from fastapi.routing import APIRoute

from judge_serve.judging import AnswerMode, Judge, ModelIdentity, Program, Release
from judge_serve.serving.http_api import new_api
from judge_serve.serving.ingress import JudgeIngress, api
from tests.fakes import FakeHandle, json_reply

MODEL = "judge-model"
PAIR = {"query": "cat food", "document": "Dry food for cats."}


def release(instruction="Rate it.", model=MODEL, mode=AnswerMode.GENERATE):
    program = Program(sections={"task": instruction})
    return Release(judge=Judge(program=program, model=ModelIdentity(name=model), mode=mode))


def document(of):
    return json.loads(of.to_json())


def completion(text=json_reply(4, "on topic"), **choice):  # noqa: B008
    return {"choices": [{"message": {"content": text}, "finish_reason": "stop", **choice}]}


def failed(code, message="oops"):
    return {"error": {"code": code, "message": message}}


def dictated(body):
    """A model that rates by the number its document names."""
    user = body["messages"][-1]["content"]
    return completion(json_reply(int(user.split("rating ")[1][0])))


class Desk:
    """An ingress over a fake model, and a caller of its routes."""

    def __init__(self, script=lambda _body: completion(), model=MODEL):
        self.handle = FakeHandle(script)
        self.ingress = JudgeIngress(model_0=(model, self.handle))
        self.app = _app_of(self.ingress)

    def deploy(self, of=None):
        self.ingress.reconfigure({"champion": document(of or release())})
        return self

    def call(self, method, path, **options):
        async def send():
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://judge") as client:
                return await client.request(method, path, **options)

        return asyncio.run(send())

    def judge(self, **options):
        return self.call("POST", "/v1/judge", **({"json": PAIR} | options))

    def running(self):
        return self.call("GET", "/v1/release").json()


def _app_of(ingress) -> FastAPI:
    """The routes of the ingress, bound to one instance: what `serve.ingress` does inside a replica."""
    app = new_api()
    for route in api.routes:
        if isinstance(route, APIRoute):
            bound = getattr(ingress, route.endpoint.__name__)
            app.add_api_route(route.path, bound, methods=list(route.methods), response_model=route.response_model)
    return app


def assert_problem(response, status, words):
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert (body["status"], body["type"]) == (status, "about:blank")
    assert words in body["detail"]
    assert body["title"]
