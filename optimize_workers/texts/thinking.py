"""Thinking: what a reasoning model wrote for itself before its answer, and the answer without it."""

from __future__ import annotations

import re

_NAMES = r"(?:think|thinking|thoughts?|reasoning|analysis|reflection|scratchpad|seed:think)"
_TAG = re.compile(
    rf"<\|?(?P<closed>/?)\s*{_NAMES}\s*\|?>"
    rf"|\[(?P<closed_bracket>/?){_NAMES}\]"
    rf"|\u25c1(?P<closed_triangle>/?){_NAMES}\u25b7"
    r"|<\|(?P<bounds>begin|end)_of_thought\|>",
    re.IGNORECASE,
)
_SOLUTION = re.compile(r"<\|(?:begin|end)_of_solution\|>")
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>")  # of gpt-oss
_CHANNEL_END = re.compile(r"<\|(?:end|return|start|call)\|>")
_BARE_CHANNEL = re.compile(r"\s*(?:analysis|commentary)(?=[A-Z\"'])")  # the same, its special tokens left out
_BARE_FINAL = "assistantfinal"


def without_thinking(reply: str) -> str | None:
    """The reply without blocks of thinking; None where thinking has no end, so that there is no answer.

    A block that ends without having begun was begun by the prompt: all before its end is thinking.
    """
    if _CHANNEL.search(reply):
        return _final_channel(reply)
    if _BARE_CHANNEL.match(reply):
        _, mark, answer = reply.rpartition(_BARE_FINAL)
        return answer if mark else None
    parts: list[str] = []
    depth, start = 0, 0
    for tag in _TAG.finditer(reply):
        if depth == 0:
            parts.append(reply[start : tag.start()])
        if _closes(tag):
            if depth == 0:
                parts.clear()
            depth = max(0, depth - 1)
        else:
            depth += 1
        start = tag.end()
    if depth:
        return None
    return _SOLUTION.sub("", "".join([*parts, reply[start:]]))


def _closes(tag: re.Match[str]) -> bool:
    found = tag.groupdict()
    return found["bounds"] == "end" or "/" in (found["closed"], found["closed_bracket"], found["closed_triangle"])


def _final_channel(reply: str) -> str | None:
    """What the last channel for the reader holds."""
    answers = [mark for mark in _CHANNEL.finditer(reply) if mark.group(1) == "final"]
    return _CHANNEL_END.split(reply[answers[-1].end() :])[0] if answers else None
