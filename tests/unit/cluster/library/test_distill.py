"""Distilling a run whose data label one pair twice."""

import json
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

from click.testing import CliRunner

from cluster.commands import app
from optimize_workers.ledger import Ledger
from optimize_workers.library.reviews import EventKind, ReviewEvent
from tests.recorded_runs import make_pairs, write_run


def test_an_explanation_of_a_pair_with_two_labels_counts_once(tmp_path, home):
    pairs = make_pairs(3)
    run = write_run(tmp_path / "run", [*pairs, replace(pairs[0], gold_rating=5.0)])
    item, text = pairs[0].item, "A page that is out of date misleads."
    explained = ReviewEvent(
        str(run), item.query_id, item.doc_id, "train", EventKind.EXPLAINED, {"text": text}, "ada", datetime.now(UTC)
    )
    with closing(Ledger(f"sqlite:///{home / 'ledger.db'}")) as ledger:
        ledger.add_review_events([explained])
    done = CliRunner().invoke(app, ["bullets", "distill", str(run), "--json"], catch_exceptions=False)
    result = json.loads(done.stdout)
    assert result["explanations"] == 1
    assert [(bullet["text"], len(bullet["sources"])) for bullet in result["bullets"]] == [(text, 1)]
