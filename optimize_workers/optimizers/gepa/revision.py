"""One reflection: from judgments of a minibatch to new texts of sections, or to the refusal of them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from judge_serve.judging.program import Program
from optimize_workers.feedback import reflection_data, reflection_prompt
from optimize_workers.guardrails import Refusal
from optimize_workers.study import Judged, Study

# a fence may be named ("```text"), or hold its text on the same line
_FENCE = re.compile(r"(?P<marks>`{3,}|~{3,})(?P<line>[ \t]*(?P<name>[\w+-]{0,12})[ \t]*(?:\n|\Z))?")
_HEADING = re.compile(r"^\[([^\[\]\n]+)\][ \t]*$", re.MULTILINE)


def propose_program(study: Study, judged: Judged, section: str, number: int) -> Program | Refusal:
    """The program with sections rewritten, or the reason why the proposal is refused.

    Args:
        study: whose reflection model is asked, and whose guard may refuse the answer.
        judged: the program on examples of the training split.
        section: name of the section to look at first; it takes a reply that names no section.
        number: of the proposal; stands in the prompt, so that no two are the same.
    """
    task, program = study.judge.task, judged.program
    prompt = reflection_prompt(
        section,
        render_sections(program.sections),
        reflection_data(judged.judgments, judged.examples, task.scale),
        task,
        bullets=program.bullets,
        number=number,
    )
    reply = study.reflect(prompt)
    text = reply if isinstance(reply, Refusal) else extract_text(reply)
    if isinstance(text, Refusal):
        return text
    sections = read_sections(text, program.sections, section)
    if sections is None:
        return Refusal("sections", "unknown, doubled or empty sections, or text before the first")
    instruction = "\n\n".join(sections.values()) if text else ""
    return study.guard.explain(instruction, program.instruction) or program.with_sections(sections)


def render_sections(sections: Mapping[str, str]) -> str:
    """Sections as one text, each under its name in brackets."""
    return "\n\n".join(f"[{name}]\n{text.strip()}" for name, text in sections.items())


def read_sections(text: str, current: Mapping[str, str], section: str) -> dict[str, str] | None:
    """The sections of a text as `render_sections` writes it; those left out stay as they are.

    A text without any name of a section is the new text of `section`. None if there are unknown names, a name twice,
    an empty section, or text before the first name.
    """
    parts = _HEADING.split(text)
    if len(parts) == 1:
        return {name: (text if name == section else old).strip() for name, old in current.items()}
    names, texts = parts[1::2], [part.strip() for part in parts[2::2]]
    if parts[0].strip() or len(set(names)) != len(names) or not set(names) <= current.keys() or not all(texts):
        return None
    written = dict(zip(names, texts, strict=True))
    return {name: written.get(name, old.strip()) for name, old in current.items()}


def extract_text(reply: str) -> str | Refusal:
    """What a reply marks as its text: the longest fenced block, one with names of sections before all others.

    Without a fence the reply is the text. Nobody guesses then where talk ends and the text begins: the guard refuses
    the whole if any sentence speaks to whoever asked (`chatter`). A fence without an end holds what may be cut off.
    """
    blocks, is_open = _fenced(reply)
    named = [block for block in blocks if _HEADING.search(block)]
    if named:
        return max(named, key=len).strip()
    if is_open:
        return Refusal("truncated", "the fence around the text has no end")
    return (max(blocks, key=len) if blocks and not _HEADING.search(reply) else reply).strip()


def _fenced(reply: str) -> tuple[list[str], bool]:
    """The fenced blocks of a reply, inner ones within their outer one, and whether the last one has no end."""
    blocks: list[str] = []
    opened: re.Match[str] | None = None
    depth = 0
    for mark in _FENCE.finditer(reply):
        if opened is None:
            opened, depth = mark, 1
        elif mark["marks"][0] == opened["marks"][0] and len(mark["marks"]) >= len(opened["marks"]):
            depth += 1 if mark["name"] else -1
            if not depth:
                blocks.append(reply[opened.end() : mark.start()])
                opened = None
    if opened is not None and not reply[opened.end() :].strip():  # nothing follows: an empty block
        return [*blocks, ""], False
    return blocks, opened is not None
