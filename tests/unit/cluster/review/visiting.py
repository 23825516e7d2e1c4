"""A store, a clock and a form for a review page in this process."""

from dataclasses import replace
from datetime import UTC, datetime

BASE = "http://127.0.0.1:8000"
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
RULE = "A page that only mentions the subject is no answer."


class MemoryEvents:
    """Store of events in a list; see `EventStore`."""

    def __init__(self):
        self.stored = []

    def add_review_events(self, events):
        start = len(self.stored) + 1
        self.stored += [replace(event, number=start + n) for n, event in enumerate(events)]
        return list(range(start, len(self.stored) + 1))

    def review_events(self, run=None):
        return [event for event in self.stored if run in (None, event.run)]


class Clock:
    """Seconds that a test moves."""

    def __init__(self):
        self.now_s = 1_000.0

    def __call__(self):
        return self.now_s


def post(client, door, path="/pair/0", headers=None, **fields):
    form = {"form_token": door.form_token, **fields}
    return client.post(path, data=form, headers=headers or {}, follow_redirects=False)
