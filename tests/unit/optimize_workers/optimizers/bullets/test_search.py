"""The choice of bullets: what helps is found, what hurts is named, the rest of the prompt stays as it is."""

import random
import re
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from judge_serve.judging import EngineReply, Program, Sampling
from judge_serve.judging.errors import OutageError
from judge_serve.judging.rendering import render_system
from optimize_workers.dataset.splits import OptimizationData
from optimize_workers.evaluation.budgeted import Budgeted
from optimize_workers.evaluation.recorded import Recorded
from optimize_workers.evidence.diff_budget import changed_outside_bullets
from optimize_workers.library.bullets import Bullet
from optimize_workers.library.selection import Change, Ground
from optimize_workers.optimizers.bullets.judging import SelectionJudging
from optimize_workers.optimizers.bullets.search import BulletOptimizer
from tests.builders import JUDGE, make_examples
from tests.fakes import InProcessPool, MemoryStore, ScriptedEngine, json_reply
from tests.unit.optimize_workers.optimizers.searches import fails_after, gold_of, make_study, rate_well

DATA = OptimizationData(train=make_examples(60), val=make_examples(60, "val"))
FIRST, SECOND, LEFT, RIGHT, BAD = "Look twice.", "Mind the age.", "Take the left.", "Take the right.", "Be hasty."
IDLE = [f"Stay calm, {name}." for name in ("please", "always", "too", "today", "again", "still", "there")]
LIBRARY = [Bullet(text=text) for text in (FIRST, *IDLE[:4], LEFT, BAD, *IDLE[4:], RIGHT, SECOND)]
_NUMBER = re.compile(r"document (\d+) of")


def bullets_of(request):
    block = request.messages[0]["content"].partition("Guidelines:\n")[2].partition("\n\n")[0]
    return {line.removeprefix("- ") for line in block.splitlines()}


def kind_of(request):
    return int(_NUMBER.search(request.messages[-1]["content"])[1]) // 5 % 4


def rate(request):
    """Off by two on four kinds of examples, each of which the first, the second or both of a pair set right."""
    held = bullets_of(request)
    is_right = (FIRST in held, SECOND in held, {LEFT, RIGHT} <= held, BAD not in held)
    gold = gold_of(request)
    gap = 0 if is_right[kind_of(request)] else 2
    return json_reply(gold + gap if gold <= 3 else gold - gap)


def study_of(script=rate, *, budget=20_000, seed=0, bullets=LIBRARY, judge=JUDGE, data=DATA):
    study = make_study(script, budget=budget, seed=seed, judge=judge, data=data)
    study.bullets = bullets
    return study


def choose(study, **options):
    return BulletOptimizer(**options).run(study)


def texts(found):
    return set(found.winner.bullets)


@pytest.mark.parametrize("seed", range(3))
def test_what_helps_is_found_with_the_pair_and_what_hurts_is_named(seed):
    found = choose(study_of(seed=seed))
    assert texts(found) == {FIRST, SECOND, LEFT, RIGHT}
    assert [one.text for one in found.selection.harmful] == [BAD]
    assert found.selection.harmful[0].shrunk_added_nmse > 3 * found.selection.harmful[0].error > 0


def test_nothing_but_the_bullets_changes_byte_for_byte():
    found = choose(study_of())
    baseline = JUDGE.program
    assert found.winner.sections == baseline.sections and list(found.winner.sections) == list(baseline.sections)
    assert found.winner.demonstrations == baseline.demonstrations
    block = "\n\n" + "\n".join(["Guidelines:", *(f"- {text}" for text in found.winner.bullets)])
    rendered = render_system(JUDGE.task, found.winner, JUDGE.mode)
    assert rendered.count(block) == 1
    assert rendered.replace(block, "").encode() == render_system(JUDGE.task, baseline, JUDGE.mode).encode()


@pytest.mark.parametrize("seed", range(3))
def test_every_step_lowers_the_error_on_validation_or_takes_out_what_is_not_needed(seed):
    steps = choose(study_of(seed=seed)).selection.steps
    assert [step.change for step in steps[:2]] == [Change.BASELINE, Change.ADDED]
    assert steps[-1].nmse == 0.0
    for before, step in pairwise(steps):
        if step.ground is Ground.BETTER:
            assert step.nmse < before.nmse
        else:
            assert (step.ground, step.change, step.nmse <= before.nmse) == (Ground.NOT_NEEDED, Change.REMOVED, True)
        assert step.p_value <= 0.05 and step.calls > before.calls
        assert step.delta_nmse == pytest.approx(step.nmse - before.nmse)
        assert step.ci95[0] <= step.nmse <= step.ci95[1]


def overtaken(request):
    """What the first bullet sets right, both of the pair set right as well: one half of the examples."""
    held = bullets_of(request)
    gold = gold_of(request)
    is_right = kind_of(request) % 2 or FIRST in held or {LEFT, RIGHT} <= held
    is_wrong = kind_of(request) == 1 and not {LEFT, RIGHT} <= held
    gap = 0 if is_right and not is_wrong else 2
    return json_reply(gold + gap if gold <= 3 else gold - gap)


def test_a_bullet_that_later_ones_make_superfluous_is_removed_as_not_needed():
    found = choose(study_of(overtaken))
    assert texts(found) == {LEFT, RIGHT}
    steps = found.selection.steps
    assert (Change.ADDED, (FIRST,)) in [(step.change, step.bullets) for step in steps]
    removed = [step for step in steps if step.change is Change.REMOVED]
    assert [(step.bullets, step.ground, step.delta_nmse) for step in removed] == [((FIRST,), Ground.NOT_NEEDED, 0.0)]


def test_a_step_adds_one_bullet_or_one_pair():
    steps = choose(study_of()).selection.steps
    added = [set(step.bullets) for step in steps if step.change is Change.ADDED]
    assert max(map(len, added)) <= 2
    assert any({LEFT, RIGHT} & one for one in added)


def test_at_most_so_many_bullets_are_chosen():
    found = choose(study_of(), max_bullets=1)
    assert len(found.winner.bullets) == 1 and texts(found) < {FIRST, SECOND}


@pytest.mark.parametrize("max_bullets", [1, 2])
def test_few_bullets_are_screened_in_packs_as_large_as_many_are(max_bullets):
    more = [Bullet(text=f"Mind line {number}.") for number in range(12)]
    study = study_of(bullets=[*LIBRARY, *more], budget=4_000)
    found = choose(study, max_bullets=max_bullets)
    packs = [trial.program.bullets for trial in found.trials if trial.origin["stage"] == "screening"]
    assert max(map(len, packs)) == 8
    has_searched_pairs = any(trial.origin["stage"] == "pairs" for trial in found.trials)
    assert has_searched_pairs == (max_bullets >= 2)


def test_the_baseline_stays_where_nothing_helps():
    found = choose(study_of(rate_well))
    assert found.winner == JUDGE.program
    assert [step.change for step in found.selection.steps] == [Change.BASELINE]


@pytest.mark.parametrize("budget", [24, 60, 300, 1_000])
def test_a_small_budget_is_kept_and_the_result_is_never_worse_on_validation(budget):
    study = study_of(budget=budget)
    found = choose(study)
    assert study.budget.used <= budget
    full = {trial.program.digest: trial for trial in found.trials if trial.is_full and trial.split == "val"}
    assert full[found.winner.digest].score >= full[JUDGE.program.digest].score


OWN = (BAD, FIRST)
HELD = JUDGE.model_copy(update={"program": Program(sections=JUDGE.program.sections, bullets=OWN)})


@pytest.mark.parametrize("seed", range(3))
def test_the_baselines_own_bullets_stay_first_in_their_order_and_are_not_added_twice(seed):
    """One of them hurts on a quarter of the examples: what it is better without is still part of the baseline."""
    found = choose(study_of(judge=HELD, seed=seed))
    assert found.winner.bullets[:2] == OWN and len(found.winner.bullets) == 5
    assert texts(found) == {*OWN, SECOND, LEFT, RIGHT}
    assert all(trial.program.bullets[:2] == OWN for trial in found.trials)
    assert changed_outside_bullets(HELD, HELD.model_copy(update={"program": found.winner})) is None
    before, after = (render_system(JUDGE.task, program, JUDGE.mode) for program in (HELD.program, found.winner))
    more = "".join(f"\n- {text}" for text in found.winner.bullets[2:])
    assert after.count(more) == 1 and after.replace(more, "").encode() == before.encode()


@pytest.mark.parametrize("max_bullets", [1, 3])
def test_the_baselines_own_bullets_do_not_count_among_those_chosen(max_bullets):
    found = choose(study_of(judge=HELD), max_bullets=max_bullets)
    assert found.winner.bullets[:2] == OWN and len(found.winner.bullets) == 2 + max_bullets


@pytest.mark.parametrize(("num_unreadable", "is_added"), [(3, True), (4, False)])
def test_a_bullet_that_helps_but_makes_replies_unreadable_is_not_added(num_unreadable, is_added):
    """It sets all others right: the mean loss falls either way, and validity stays over the floor of 0.9."""

    def script(request):
        number = int(_NUMBER.search(request.messages[-1]["content"])[1])
        gap = 0 if FIRST in bullets_of(request) else 2
        if gap == 0 and number < num_unreadable:
            return "I cannot say."
        gold = gold_of(request)
        return json_reply(gold + gap if gold <= 3 else gold - gap)

    found = choose(study_of(script, bullets=[Bullet(text=FIRST)]))
    assert texts(found) == ({FIRST} if is_added else set())
    raced = [trial for trial in found.trials if trial.origin["stage"] == "added" and trial.is_full]
    refused = {trial.origin.get("refused") for trial in raced} - {None}
    assert raced and refused == (set() if is_added else {"validity falls against the step before (p 0.062)"})


def test_a_bullet_that_breaks_a_guardrail_is_refused_and_never_judged():
    refused = Bullet(text="Rate every pair from 1 to 10.")
    asked = []

    def script(request):
        asked.append(refused.text in request.messages[0]["content"])
        return rate(request)

    noted = []
    study = study_of(script, bullets=[refused, *LIBRARY])
    study.on_refusal = noted.append
    found = choose(study)
    assert found.refusals == {"scale_change": 1}
    assert noted[0]["origin"]["bullet"] == refused.id
    assert not any(asked)


def test_a_bullet_that_helps_at_the_cost_of_one_grade_is_not_added():
    """It sets three kinds right, and every five becomes a four."""

    def script(request):
        if FIRST in bullets_of(request):
            return json_reply(min(gold_of(request), 4) if gold_of(request) == 5 else gold_of(request))
        return json_reply(gold_of(request) if gold_of(request) == 5 else 3)

    found = choose(study_of(script, bullets=[Bullet(text=FIRST)]))
    assert found.winner == JUDGE.program
    assert any("grade 5" in str(trial.origin.get("refused")) for trial in found.trials)
    found = choose(study_of(script, bullets=[Bullet(text=FIRST)]), grade_margin=10.0)
    assert texts(found) == {FIRST}


def test_trials_name_the_bullets_and_the_change():
    found = choose(study_of())
    stages = Counter(trial.origin["stage"] for trial in found.trials)
    assert set(stages) >= {"baseline", "screening", "pairs", "added", "removed", "reordered"}
    ids = {bullet.id for bullet in LIBRARY}
    for trial in found.trials:
        assert trial.origin["optimizer"] == "bullets"
        assert set(trial.origin["bullets"]) <= ids
        assert len(trial.program.bullets) == len(trial.origin["bullets"])


def test_no_pair_of_program_and_example_is_judged_twice():
    seen = Counter()

    def script(request):
        seen[tuple(message["content"] for message in request.messages)] += 1
        return rate(request)

    choose(study_of(script))
    assert max(seen.values()) == 1


def with_store(study, script, store):
    study.judging = Budgeted(Recorded(InProcessPool(ScriptedEngine(script)), store), study.budget)
    return study


def lines_of(found):
    return [trial.as_dict() for trial in found.trials]


@pytest.mark.parametrize("num_calls", [1, 700, 2_000, 3_500])
def test_a_killed_search_resumes_to_the_same_result_and_pays_only_for_what_is_missing(num_calls):
    whole = choose(study_of())
    store = MemoryStore()
    broken = fails_after(num_calls, rate, OutageError("down"))
    with pytest.raises(OutageError):
        choose(with_store(study_of(), broken, store))
    for thread in threading.enumerate():
        if thread.name.startswith("bullets"):
            thread.join()  # waves that were under way are recorded too
    recorded = len(store.judgments)
    engine = ScriptedEngine(rate)
    study = study_of()
    study.judging = Budgeted(Recorded(InProcessPool(engine), store), study.budget)
    resumed = choose(study)
    assert lines_of(resumed) == lines_of(whole)
    assert resumed.winner == whole.winner and resumed.selection == whole.selection
    assert engine.calls == len(store.judgments) - recorded


@pytest.mark.parametrize("max_calls", [10, 100, 1_500])
def test_a_search_ends_with_what_it_has_when_tokens_run_out(max_calls):
    """A call takes 11 tokens."""
    study = study_of()
    study.budget.max_tokens = 11 * max_calls
    found = choose(study)
    assert study.budget.used_tokens <= 11 * max_calls
    full = {trial.program.digest: trial.score for trial in found.trials if trial.is_full}
    assert not full or full[found.winner.digest] >= full[JUDGE.program.digest]


def limited(max_tokens, delays=None):
    """A study whose judge takes a token for four letters, and its own time for each answer."""
    rng = random.Random(delays)

    def script(request):
        if delays is not None:
            time.sleep(rng.random() / 2_000)
        num_chars = sum(len(turn["content"]) for turn in request.messages)
        return EngineReply(rate(request), "stop", prompt_tokens=num_chars // 4, completion_tokens=8)

    brief = JUDGE.model_copy(update={"sampling": Sampling(max_tokens=8)})  # what a call can cost is near what it does
    study = study_of(script, judge=brief)
    study.budget.max_tokens = max_tokens
    return study


def spend(max_tokens, *, delays=None):
    study = limited(max_tokens, delays)
    return choose(study), study.budget


@pytest.fixture(scope="module")
def unlimited():
    return spend(10**9)


def test_under_a_limit_of_tokens_the_order_of_completion_changes_nothing(unlimited):
    limit = unlimited[1].used_tokens * 2 // 3
    first, other = (spend(limit, delays=seed) for seed in range(2))
    assert lines_of(first[0]) == lines_of(other[0]) and first[0].selection == other[0].selection
    assert first[1].used_tokens == other[1].used_tokens <= limit


def test_a_generous_limit_of_tokens_changes_nothing_that_is_found(unlimited):
    whole, budget = unlimited
    found, _ = spend(budget.used_tokens * 14 // 10)
    assert texts(found) == texts(whole) == {FIRST, SECOND, LEFT, RIGHT}
    assert found.selection.harmful[0].text == whole.selection.harmful[0].text == BAD


def test_what_was_refused_is_not_counted_as_spent_and_less_may_still_be_judged():
    study = limited(6_000)  # 30 calls
    with ThreadPoolExecutor(4) as threads:
        judging = SelectionJudging(study, [FIRST, SECOND], threads)
        assert judging.judge_wave([((), DATA.train[:10]), ((0,), DATA.train[:40])]) is None
        assert study.budget.used == 10
        assert 5 <= judging.left <= 30
        assert judging.judge([(1,)], DATA.train[:5]) is not None
        assert study.budget.used == 15
