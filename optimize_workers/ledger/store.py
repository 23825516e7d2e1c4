"""`Ledger`: the store that commands open; what it answers nobody asks a model again.

SQLite by default; `RELEVANCE_JUDGE_STORE` (an SQLAlchemy URL) moves it to PostgreSQL.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, insert, select

from judge_serve.judging.identity import ModelIdentity
from judge_serve.judging.judgment import Judgment
from judge_serve.judging.parsing import storable
from optimize_workers.evaluation.scopes import Meeting
from optimize_workers.ledger import upkeep
from optimize_workers.ledger.database import PATIENCE_S, Database
from optimize_workers.ledger.insertion import insert_new, storable_time
from optimize_workers.ledger.judgments import AddedJudgment, find_judgments, insert_judgments
from optimize_workers.ledger.meetings import find_last_met, find_meetings, insert_meeting
from optimize_workers.ledger.reflections import AddedReflection, find_reflection, insert_reflections
from optimize_workers.ledger.review_events import find_review_events, insert_review_events
from optimize_workers.ledger.schema import KEY_BYTES, MAX_RUN_CHARS, escaped, run_folders, split_openings
from optimize_workers.ledger.upgrade import open_store
from optimize_workers.ledger.writer import Writer
from optimize_workers.library.reviews import ReviewEvent
from optimize_workers.reflection import Reflection


class Ledger:
    """A store at an SQLAlchemy URL, created on first use; safe among threads and among processes.

    What is added is found at the latest after `flush`. Every method but `close` raises LedgerError where the store
    fails for longer than `patience_s`.

    Raises: RefusedInputError if the store cannot be opened.
    """

    def __init__(self, url: str, *, patience_s: float = PATIENCE_S) -> None:
        self._database = Database(url, patience_s)
        try:
            open_store(self._database)
        except BaseException:
            self._database.close()
            raise
        self._writer: Writer[AddedJudgment | AddedReflection] = Writer(self._store)

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Judgment]:
        """The stored judgments of these keys, with `cached` set; forgotten ones without their texts."""
        unique = _checked(list(dict.fromkeys(keys)))
        return self._database.read(lambda connection: find_judgments(connection, unique)) if unique else {}

    def add(self, judgments: Sequence[tuple[bytes, Judgment]], *, revision: str) -> None:
        """Store judgments of a model's revision, soon and in the background; the first one of a key stays.

        Raises: LedgerError if something added before could not be stored.
        """
        _checked([key for key, _ in judgments])
        now = datetime.now(UTC)
        self._writer.put([AddedJudgment(key, judgment, revision, now) for key, judgment in judgments])

    def find_reflection(self, key: bytes) -> Reflection | None:
        """The stored reflection of this key."""
        _checked([key])
        return self._database.read(lambda connection: find_reflection(connection, key))

    def add_reflection(
        self, key: bytes, reflection: Reflection, *, model: str, revision: str, doc_ids: Sequence[str]
    ) -> None:
        """Store a reflection as `add` does; `doc_ids` are the documents whose text the model was shown."""
        _checked([key])
        self._writer.put([AddedReflection(key, reflection, model, revision, tuple(doc_ids), datetime.now(UTC))])

    def flush(self) -> None:
        """Wait until everything added is committed."""
        self._writer.flush()

    def add_meeting(self, meeting: Meeting) -> None:
        """Note that a model was met, and what it answered to the canaries."""
        self._database.write(lambda connection: insert_meeting(connection, meeting))

    def meetings(self, model: ModelIdentity) -> list[Meeting]:
        """When this model was met, in all of its scopes, oldest first."""
        return self._database.read(lambda connection: find_meetings(connection, model))

    def last_met(self, address: str, name: str) -> ModelIdentity | None:
        """What answered last at an address to the name of a model."""
        return self._database.read(lambda connection: find_last_met(connection, address, name))

    def record_test_opening(self, fingerprint: str, command: str, run: str) -> None:
        """Note that somebody looked at a test split."""
        row = {"fingerprint": fingerprint, "opened_at": datetime.now(UTC), "command": command}
        row["run"] = storable(run[:MAX_RUN_CHARS])
        self._database.write(lambda connection: connection.execute(insert(split_openings), row).close())

    def count_test_openings(self, *fingerprints: str) -> int:
        """How often a test split known by one of these was opened, this store's whole life."""
        query = select(func.count()).select_from(split_openings).where(split_openings.c.fingerprint.in_(fingerprints))
        return self._database.read(lambda connection: int(connection.execute(query).scalar_one()))

    def fingerprint_opened_by(self, run: str) -> str | None:
        """The test split that a run opened last; None if it opened none, or did so before its path was recorded."""
        opened = select(split_openings.c.fingerprint).where(split_openings.c.run == storable(run[:MAX_RUN_CHARS]))
        query = opened.order_by(split_openings.c.opened_at.desc()).limit(1)
        return self._database.read(lambda connection: connection.execute(query).scalar_one_or_none())

    def record_run(self, path: str, command: str) -> None:
        """Note the folder of a run once, so that `forget` finds its files."""
        absolute = str(Path(path).absolute())
        digest = hashlib.sha256(absolute.encode("utf-8", "surrogatepass")).digest()
        now = datetime.now(UTC)

        def insert_once(connection: Connection) -> None:
            row = (digest, escaped(absolute), escaped(command), storable_time(connection, now))
            insert_new(connection, run_folders, [row])

        self._database.write(insert_once)

    def run_paths(self) -> list[str]:
        """Folders of all recorded runs, oldest first; some may be gone."""
        query = select(run_folders.c.path).order_by(run_folders.c.id)
        return self._database.read(lambda connection: list(connection.execute(query).scalars()))

    def add_review_events(self, events: Sequence[ReviewEvent]) -> list[int]:
        """Store all of these events at once, or none; returns the numbers that they were given, rising."""
        return self._database.write(lambda connection: insert_review_events(connection, events))

    def review_events(self, run: str | None = None) -> list[ReviewEvent]:
        """The events of a run's folder, or of all runs and imports, in the order of their numbers."""
        return self._database.read(lambda connection: find_review_events(connection, run))

    def stats(self) -> dict[str, Any]:
        """What is stored, as JSON: counts, tokens in total and by model and mode, first and last time, size."""
        self.flush()
        return upkeep.stats(self._database)

    def prune(self, *, before: datetime, model: str | None = None) -> int:
        """Delete judgments and reflections stored before a time, of one model or of all; returns how many."""
        if before.tzinfo is None:
            raise ValueError(f"time {before} has no time zone; give one, such as datetime.now(UTC)")
        self.flush()
        return upkeep.prune(self._database, before, model)

    def export(self, path: Path) -> int:
        """Write all judgments to a Parquet file, which appears whole or not at all; returns how many."""
        self.flush()
        return upkeep.export(self._database, path)

    def forget(self, doc_id: str) -> upkeep.Forgotten:
        """Empty the texts of a document's judgments and review events; delete reflections that were shown it."""
        self.flush()
        return upkeep.forget(self._database, doc_id)

    def close(self) -> None:
        """Flush, stop the writer, release connections."""
        try:
            self._writer.close()
        finally:
            self._database.close()

    def _store(self, entries: Sequence[AddedJudgment | AddedReflection]) -> None:
        judgments = [entry for entry in entries if isinstance(entry, AddedJudgment)]
        reflections = [entry for entry in entries if isinstance(entry, AddedReflection)]

        def insert_all(connection: Connection) -> None:
            insert_judgments(connection, judgments)
            insert_reflections(connection, reflections)

        self._database.write(insert_all)


def _checked(keys: list[bytes]) -> list[bytes]:
    wrong = next((key for key in keys if len(key) != KEY_BYTES), None)
    if wrong is not None:
        raise ValueError(f"a key of {len(wrong)} bytes; expected {KEY_BYTES}, the SHA-256 of what was judged")
    return keys
