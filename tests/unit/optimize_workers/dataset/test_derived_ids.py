"""Derived ids: they are found by all that they were made of."""

from optimize_workers.dataset.derived_ids import derived_id, is_derived_from


def test_derived_ids_are_found_by_all_that_they_were_made_of():
    padded = derived_id("a", "padded", "b:c")
    assert is_derived_from(padded, "a") and is_derived_from(padded, "b:c")
    assert not is_derived_from(padded, "b") and not is_derived_from(padded, "padded")
    assert not is_derived_from("a", "a") and not is_derived_from("ab", "a")
