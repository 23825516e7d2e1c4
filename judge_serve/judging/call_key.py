"""The content key of a judge call: calls with one key send the same request about the same example.

A key covers model and revision, sampling, answer mode, schema, rendered prompt, example and occurrence. The part
that all calls of a judge share is digested once, see `judge_key`.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict

from judge_serve.judging.content_key import canonical_json
from judge_serve.judging.judge import Judge, build_request
from judge_serve.judging.rendering import render_item
from judge_serve.judging.task import Item

READING = 1  # raise when replies are read differently: what was recorded before is then asked again
_ANY_ITEM = Item(query="q", document="d", query_id="q", doc_id="d")


def judge_key(judge: Judge) -> bytes:
    """Digest (32 bytes) of all that the calls of a judge share."""
    request = asdict(build_request(judge, _ANY_ITEM))
    request["messages"] = request["messages"][:-1]  # the last one is the item's
    shared = [READING, judge.model.model_dump(mode="json"), str(judge.mode), request]
    return hashlib.sha256(canonical_json(shared).encode("utf-8", "surrogatepass")).digest()


def call_key(shared: bytes, item: Item, occurrence: int) -> bytes:
    """Digest (32 bytes) of one judge call; `shared` is the judge's `judge_key`."""
    text = render_item(item.query, item.document)
    lengths = f"{len(item.query_id)}:{len(item.doc_id)}:{occurrence}:"  # so that no two splits of a text are equal
    content = f"{lengths}{item.query_id}{item.doc_id}{text}"
    return hashlib.sha256(shared + content.encode("utf-8", "surrogatepass")).digest()
