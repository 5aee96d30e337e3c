"""What a process knows of the control log: every withdrawal, by the digest of its subject.

Ten million of them must fit beside the work: the values lie in a temporary SQLite file of this
process, and before it stands a filter in memory that says "surely not".
"""

import sqlite3
import threading

from spine.surely_not import SurelyNot
from spine.withdrawal import Withdrawal, decode_withdrawal, encode_withdrawal

# 2^27 bits are 16 MiB, taken as they are used: with 10 million subjects 1 in 200 strangers is
# looked up in vain.
_BITS = 27


class Withdrawals:
    """All withdrawals that were learnt; may be asked from any thread."""

    def __init__(self) -> None:
        # An empty name is a file of its own that SQLite unlinks at once: the control log has it.
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute(
            "CREATE TABLE known (subject BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"
        )
        self._asking = threading.Lock()
        self._strangers = SurelyNot(_BITS)
        self.count = 0

    def learn(self, told: Withdrawal) -> Withdrawal:
        """Take a withdrawal in; give what is known of its subject now."""
        subject = bytes.fromhex(told.subject)
        before = self.find(subject)
        known = told if before is None else before.join(told)
        if known != before:
            with self._asking:
                self._db.execute(
                    "INSERT OR REPLACE INTO known VALUES (?, ?)",
                    (subject, encode_withdrawal(known)),
                )
        if before is None:
            self._strangers.add(subject)
            self.count += 1  # last: who sees a count finds the filter filled
        return known

    def find(self, subject: bytes) -> Withdrawal | None:
        """Give what a subject has withdrawn, or nothing where it never did.

        Shape: `subject` is a digest of 16 bytes, whose bits are as good as random."""
        if not self.count or not self._strangers.may_hold(subject):
            return None
        with self._asking:
            row = self._db.execute(
                "SELECT value FROM known WHERE subject = ?", (subject,)
            ).fetchone()
        return decode_withdrawal(row[0]) if row else None

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()
