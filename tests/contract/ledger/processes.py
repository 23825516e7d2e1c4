"""What other processes do to a store in the tests of the ledger; run in processes of their own."""

import sys

from optimize_workers.ledger import Ledger
from tests.builders import make_judgment
from tests.contract.ledger.keys import key_of


def add_range(url, start, stop, revision):
    """Open the store, add judgments of numbered keys a few at a time, close it."""
    ledger = Ledger(url)
    for first in range(start, stop, 10):
        numbers = range(first, min(first + 10, stop))
        ledger.add([(key_of(n), make_judgment(raw_reply=revision)) for n in numbers], revision=revision)
    ledger.close()


def add_until_killed(url):
    """Add 500 judgments, say so once they are committed, then go on for ever."""
    ledger = Ledger(url)
    ledger.add([(key_of(n), make_judgment()) for n in range(500)], revision="r")
    ledger.flush()
    print("flushed", flush=True)
    number = 500
    while True:
        ledger.add([(key_of(number), make_judgment())], revision="r")
        number += 1


if __name__ == "__main__":
    add_until_killed(sys.argv[1])
