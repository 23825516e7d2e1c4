"""Meetings with models as rows and back; they are only ever added."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import ValidationError
from sqlalchemy import Connection, insert, select

from judge_serve.judging.canaries import CanaryAnswers
from judge_serve.judging.identity import ModelIdentity
from optimize_workers.evaluation.scopes import Meeting
from optimize_workers.ledger.failures import LedgerError
from optimize_workers.ledger.schema import model_meetings


def insert_meeting(connection: Connection, meeting: Meeting) -> None:
    """Store one."""
    row = {
        "identity": _key_of(meeting.model),
        "model": meeting.model.in_scope(0).model_dump_json(),
        "scope": meeting.model.scope,
        "address": meeting.address,
        "version": meeting.version,
        "fingerprint": meeting.fingerprint,
        "canaries": meeting.canaries.model_dump_json(),
        "met_at": datetime.now(UTC),
    }
    connection.execute(insert(model_meetings), row).close()


def find_meetings(connection: Connection, model: ModelIdentity) -> list[Meeting]:
    """Those with a model in all of its scopes, oldest first."""
    columns = model_meetings.c
    query = select(columns.scope, columns.address, columns.version, columns.fingerprint, columns.canaries).where(
        columns.identity == _key_of(model)
    )
    rows = connection.execute(query.order_by(columns.id)).all()
    try:
        return [
            Meeting(model.in_scope(scope), address, version, fingerprint, CanaryAnswers.model_validate_json(canaries))
            for scope, address, version, fingerprint, canaries in rows
        ]
    except ValidationError as error:
        raise LedgerError(f"the ledger holds canaries that cannot be read ({error.errors()[0]['msg']})") from error


def find_last_met(connection: Connection, address: str, name: str) -> ModelIdentity | None:
    """The model that answered last at an address when it was asked for by a name."""
    columns = model_meetings.c
    query = select(columns.model).where(columns.address == address).order_by(columns.id.desc())
    for (text,) in connection.execute(query):
        model = ModelIdentity.model_validate_json(text)
        if model.name == name:
            return model
    return None


def _key_of(model: ModelIdentity) -> bytes:
    return bytes.fromhex(model.in_scope(0).digest)
