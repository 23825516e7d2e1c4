"""One reflection: from judgments of a minibatch to new texts of sections, or to the reason why there are none."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from judge_serve.judging.judgment import Judgment
from judge_serve.judging.program import Program
from judge_serve.judging.task import Example
from optimize_workers.feedback import RULES, reflection_record
from optimize_workers.guardrails import Guardrails
from optimize_workers.metrics import example_score
from optimize_workers.study import Study

_BLOCK = re.compile(r"```[a-z]*\n?(.*?)```", re.DOTALL)
_HEADING = re.compile(r"^\[([^\[\]\n]+)\][ \t]*$", re.MULTILINE)
REFLECTION_PROMPT = """\
You improve the instruction of a relevance judge. The judge reads a search query and a document and rates how \
relevant the document is, on a fixed scale that you must not change.

The instruction has these sections, each under its name in brackets:
```
{sections}
```

Here is what the judge answered with it, and how that compares with people:
```
{records}
```

Find what the mistakes have in common: is the judge too generous or too harsh, and for which kind of document? \
Are replies unreadable? Then improve the instruction where that is to be mended, for instance in [{section}]; leave \
alone what works. {rules}

Answer with all sections, each under its name in brackets, inside one pair of ``` fences and nothing else. \
(Proposal {number}.)"""


def propose_program(
    study: Study,
    guard: Guardrails,
    program: Program,
    section: str,
    judgments: Sequence[Judgment],
    examples: Sequence[Example],
    number: int,
) -> Program | str:
    """The program with sections rewritten, or the reason why the proposal is refused.

    Args:
        study: whose reflection model is asked.
        guard: refuses texts.
        program: what was judged with.
        section: name of the section to look at first; it takes a reply that names no section.
        judgments: of the program on the examples.
        examples: of the training split.
        number: of the proposal; stands in the prompt, so that no two are the same.
    """
    scale = study.judge.task.scale
    pairs = sorted(zip(judgments, examples, strict=True), key=lambda pair: example_score(pair[0], pair[1], scale))
    records = [reflection_record(judgment, example, scale) for judgment, example in pairs]
    prompt = REFLECTION_PROMPT.format(
        section=section,
        sections=render_sections(program.sections),
        records=json.dumps(records, indent=1, ensure_ascii=False),
        rules=RULES,
        number=number,
    )
    text = extract_text(study.reflect(prompt))
    if not text:
        return "empty"
    sections = read_sections(text, program.sections, section)
    if sections is None:
        return "sections"
    refusal = guard.refusal("\n\n".join(sections.values()))
    if refusal is not None:
        return refusal
    if sections == {name: text.strip() for name, text in program.sections.items()}:
        return "unchanged"
    return program.with_sections(sections)


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


def extract_text(reply: str) -> str:
    """The fenced text of a reply, or the whole reply where there is no fence."""
    blocks = _BLOCK.findall(reply)
    return str(max(blocks, key=len) if blocks else reply).strip()
