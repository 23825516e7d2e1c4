"""The ledger: the durable record of every judgment and reflection, keyed by content; the only door to the database.

`store` is what others use. Under it: `schema` (tables), `upgrade` (bringing a store to this version's tables),
`database` (connections, transactions, retries), `writer` (the thread that stores), `judgments`, `reflections`,
`review_events` and `meetings` (rows and back), `upkeep` (figures, pruning, export, forgetting).
"""

from optimize_workers.ledger.database import place_of
from optimize_workers.ledger.failures import LedgerError
from optimize_workers.ledger.store import Ledger

__all__ = ["Ledger", "LedgerError", "place_of"]
