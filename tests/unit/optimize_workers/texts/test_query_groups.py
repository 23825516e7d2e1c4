"""Which queries are one: by id, and by text but for case, white space and punctuation."""

import random

import pytest

from judge_serve.judging import Item
from optimize_workers.texts.query_groups import QueryGrouping, normalised_query, query_groups


def items(*pairs):
    return [Item(query, "d", query_id, "d") for query_id, query in pairs]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Reset my VPN", "reset my vpn"),
        ("reset my vpn", "  reset\tmy\n vpn "),
        ("reset my vpn", "Reset my VPN?!"),
        ("don't reset", "dont reset"),
        ("don\u2019t reset", "don't reset"),
        ("vpn, mac", "vpn mac"),
        ("\u201cvpn\u201d \u2013 mac", "vpn mac"),
        ("vpn\u00a0mac", "vpn mac"),
        ("\uff36\uff30\uff2e", "vpn"),
        ("caf\u00e9", "cafe\u0301"),
        ("Stra\u00dfe", "STRASSE"),
        ("vpn\u200b mac", "vpn mac"),
        ("\u00bfqu\u00e9 es?", "qu\u00e9 es"),
    ],
)
def test_queries_that_differ_in_spelling_alone_are_one(one, other):
    assert normalised_query(one) == normalised_query(other)
    assert query_groups(items(("a", one), ("b", other))) == ["a", "a"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("reset my vpn", "reset the vpn"),
        ("version 1.0", "version 10"),
        ("c++", "c"),
        ("cafe", "caf\u00e9"),
        ("$5", "5"),
        ("???", "!!!"),
        ("\u0938\u0940", "\u0938\u093e"),
    ],
)
def test_queries_that_say_something_else_are_two(one, other):
    assert query_groups(items(("a", one), ("b", other))) == ["a", "b"]


def test_an_id_joins_its_texts_and_a_text_its_ids():
    rows = items(("a", "one"), ("b", "ONE"), ("b", "two"), ("c", "two!"), ("d", "three"))
    assert query_groups(rows) == ["a", "a", "a", "a", "d"]


def test_a_later_row_joins_two_groups_under_the_earlier_name():
    rows = items(("a", "one"), ("b", "two"), ("c", "two"), ("a", "two"))
    assert query_groups(rows) == ["a"] * 4
    grouping = QueryGrouping()
    added = [grouping.add(row) for row in rows]
    assert [joined for _, joined in added[:3]] == [None] * 3
    assert added[3][1].name == "b"


def test_ordinary_data_keep_their_ids():
    rows = items(*((f"q{n % 7}", f"query {n % 7}") for n in range(30)))
    assert query_groups(rows) == [row.query_id for row in rows]


def slow_groups(rows):
    """Connected rows by brute force, as sets of row numbers."""
    groups = [{number} for number in range(len(rows))]
    for a, one in enumerate(rows):
        for b, other in enumerate(rows):
            if one.query_id == other.query_id or normalised_query(one.query) == normalised_query(other.query):
                first, second = (next(g for g in groups if n in g) for n in (a, b))
                if first is not second:
                    groups.remove(second)
                    first |= second
    return {frozenset(group) for group in groups}


@pytest.mark.parametrize("seed", range(20))
def test_groups_are_what_is_connected_and_named_by_their_first_row(seed):
    draw = random.Random(seed)
    rows = items(*((f"q{draw.randrange(12)}", f"query {draw.randrange(12)}") for _ in range(draw.randrange(1, 15))))
    names = query_groups(rows)
    found = {frozenset(n for n, name in enumerate(names) if name == one) for one in set(names)}
    assert found == slow_groups(rows)
    assert all(rows[min(group)].query_id == names[min(group)] for group in found)
