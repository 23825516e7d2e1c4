"""Arms: what a run says of itself, and the time that its order of waits takes at least."""

import pytest

from benchmarks.arms import ArmResult, Job, Progress, Recorder, replay


def judging(start, end, *latencies):
    return Job(start, end, latencies, in_slots=True)


def reflecting(start, end, *latencies):
    return Job(start, end, latencies, in_slots=False)


def result(progress, **changes):
    fields = {
        "arm": "a",
        "seed": 0,
        "judge_calls": 2_200,
        "reflections": 1,
        "wall_s": 11.0,
        "ceiling_s": 10.0,
        "progress": tuple(Progress(*point) for point in progress),
        "baseline_val_nmse": 20.0,
        "baseline_test_nmse": 20.0,
        "test_nmse": 10.0,
        "rules": (),
        "library_calls": 2_200,
    }
    return ArmResult(**fields | changes)


# --- replay ---


def test_jobs_one_after_the_other_add_up():
    assert replay([judging(0, 1, 1.0, 3.0), reflecting(1, 2, 0.5), judging(2, 3, 2.0)], slots=64) == 5.5


def test_requests_of_a_job_wait_for_slots():
    assert replay([judging(0, 1, 1.0, 1.0, 1.0)], slots=2) == 2.0


def test_reflections_take_no_slots():
    assert replay([reflecting(0, 1, 1.0, 1.0, 1.0)], slots=1) == 1.0


def test_time_between_jobs_does_not_count():
    assert replay([judging(0, 5, 1.0), judging(90, 99, 1.0)], slots=1) == 2.0


def test_jobs_that_were_under_way_together_overlap():
    assert replay([reflecting(0, 4, 3.0), judging(0, 2, 2.0), judging(2, 5, 2.0)], slots=1) == 4.0


def test_jobs_under_way_together_share_the_slots_in_turns():
    jobs = [judging(0.0, 9, 1.0, 1.0, 1.0), judging(0.1, 4, 1.0), judging(5, 10, 1.0)]  # the third waits for the second
    assert replay(jobs, slots=1) == 5.0
    assert replay(jobs, slots=2) == 3.0


def test_a_job_waits_for_all_that_had_ended_before_it_started():
    jobs = [reflecting(0, 3, 3.0), reflecting(0, 2, 7.0), judging(3, 4, 1.0)]
    assert replay(jobs, slots=1) == 8.0


def test_no_jobs_take_no_time():
    assert replay([], slots=1) == 0.0


# --- recorder ---


def test_a_change_between_judging_and_reflecting_is_a_boundary():
    recorder = Recorder()
    for latency in (1.0, 2.0):
        recorder.judged(latency)
    recorder.reflected(0.5)
    recorder.judged(3.0)
    assert [tuple(job.latencies_s) for job in recorder.jobs(reflects_at_once=True)] == [(1.0, 2.0), (0.5,), (3.0,)]
    assert (recorder.judge_calls, recorder.reflections) == (3, 1)


def test_batches_end_where_told():
    recorder = Recorder()
    recorder.judged(1.0)
    recorder.end_batch()
    recorder.end_batch()
    recorder.judged(2.0)
    assert replay(recorder.jobs(reflects_at_once=True), slots=64) == 3.0


def test_reflections_one_after_the_other_are_taken_apart():
    recorder = Recorder()
    recorder.reflected(1.0)
    recorder.reflected(2.0)
    recorder.judged(1.0)
    assert replay(recorder.jobs(reflects_at_once=True), slots=64) == 3.0
    assert replay(recorder.jobs(reflects_at_once=False), slots=64) == 4.0


# --- results ---


def test_calls_to_a_target_are_those_of_the_first_candidate_that_reached_it():
    run = result([(100, 20.0), (300, 15.0), (500, 17.0), (900, 9.0)])
    assert run.calls_to(17.0, 2_000) == 300
    assert run.calls_to(10.0, 2_000) == 900


def test_calls_to_a_target_are_censored_at_the_budget():
    run = result([(100, 20.0), (2_100, 9.0)])
    assert run.calls_to(10.0, 2_000) == run.calls_to(1.0, 2_000) == 2_000


def test_wall_clock_is_taken_per_budget():
    assert result([(100, 20.0)]).wall_s_for(2_000) == pytest.approx(10.0)


def test_gain_is_the_fall_to_the_best_candidate():
    assert result([(100, 20.0), (300, 12.0), (500, 16.0)]).gain == 8.0
