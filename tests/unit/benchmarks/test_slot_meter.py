"""The slot meter: integrals worked by hand."""

import pytest

from benchmarks.slot_meter import SlotMeter


def metered(changes, until, start=100.0):
    """A meter after (time, slots) changes, read at `until`."""
    now = [start]
    meter = SlotMeter(lambda: now[0])
    for now[0], slots in changes:
        meter.change(slots)
    now[0] = until
    return meter


def test_slots_busy_for_parts_of_seconds_are_averaged():
    meter = metered([(100.5, +2), (101.25, -1), (102.0, -1)], until=103.0)
    # 100: 2 x 0.5; 101: 2 x 0.25 + 1 x 0.75; 102: nothing
    assert [tuple(second) for second in meter.per_second()] == [(100, 1.0), (101, 1.25), (102, 0.0)]
    assert meter.busy_slot_s() == 2.25


def test_the_second_that_runs_is_left_out_of_the_means_but_not_of_the_sum():
    meter = metered([(100.0, +4)], until=101.5)
    assert [tuple(second) for second in meter.per_second()] == [(100, 4.0)]
    assert meter.busy_slot_s() == 6.0


def test_nothing_is_measured_before_a_whole_second_is_over():
    assert metered([(100.0, +1)], until=100.9).per_second() == []


def test_reading_changes_nothing():
    meter = metered([(100.0, +1)], until=102.5)
    assert meter.per_second() == meter.per_second()
    assert (meter.busy_slot_s(), meter.busy) == (2.5, 1)


def test_a_clock_that_is_set_back_takes_nothing_away():
    assert metered([(100.0, +1), (105.0, +1), (101.0, -1)], until=102.0).busy_slot_s() == pytest.approx(6.0)
