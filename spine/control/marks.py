"""What a process knows of the control log about erasures: every mark, by its keyed hash.

As with withdrawals the values lie in a temporary SQLite file of this process, and before it stands
a filter in memory, so that a million of them take two megabytes.
"""

import sqlite3
import threading
from collections.abc import Sequence
from typing import NamedTuple

from spine.control.mark import Mark, decode_mark, encode_told
from spine.surely_not import SurelyNot

_BITS = 24  # 2 MiB: with a million marks 1 in 400 strangers is looked up in vain


class Learnt(NamedTuple):
    """Marks in the order they were learnt, and the number of the last one."""

    marks: Sequence[Mark]
    number: int


class Marks:
    """All marks that were learnt; may be asked from any thread."""

    def __init__(self) -> None:
        # An empty name is a file of its own that SQLite unlinks at once: the control log has it.
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute(
            "CREATE TABLE known (number INTEGER PRIMARY KEY AUTOINCREMENT,"
            " mark BLOB NOT NULL UNIQUE, value BLOB NOT NULL)"
        )
        self._asking = threading.Lock()
        self._strangers = SurelyNot(_BITS)
        self.learnt = 0

    def learn(self, told: Mark) -> Mark:
        """Take a mark in; give what is known of its identifier now."""
        before = self.find(told.control_key)
        known = told if before is None else before.join(told)
        if known != before:
            with self._asking:
                self._db.execute(
                    "INSERT OR REPLACE INTO known (mark, value) VALUES (?, ?)",
                    (told.control_key, encode_told(known)),
                )
            self._strangers.add(told.control_key)
            self.learnt += 1  # last: who sees a count finds the filter filled
        return known

    def find(self, mark: bytes) -> Mark | None:
        """Give what is known of a keyed hash, or nothing where there is no such mark."""
        if not self.learnt or not self._strangers.may_hold(mark):
            return None
        with self._asking:
            row = self._db.execute("SELECT value FROM known WHERE mark = ?", (mark,)).fetchone()
        return decode_mark(row[0]) if row else None

    def after(self, number: int, limit: int) -> Learnt:
        """Give some marks that were learnt after one of that number; 0 begins."""
        with self._asking:
            rows = self._db.execute(
                "SELECT number, value FROM known WHERE number > ? ORDER BY number LIMIT ?",
                (number, limit),
            ).fetchall()
        return Learnt([decode_mark(value) for _, value in rows], rows[-1][0] if rows else number)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()
