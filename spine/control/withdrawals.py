"""What a process knows of the control log: every withdrawal, by the digest of its subject.

Ten million of them must fit beside the work: the values lie in an SQLite file, and before it stands
a filter in memory that says "surely not".

Invariants of a file that is kept:

1. It never says that more was read than it holds: values and position are in one transaction.
2. What is in it stays known, also when the control log turns out to be another one.
3. While the filter is being made from it, the file itself is asked.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from spine.control.mark import Mark, decode_mark, encode_told
from spine.control.withdrawal import Withdrawal, decode_withdrawal, encode_withdrawal
from spine.errors import Unavailable
from spine.surely_not import SurelyNot

# 2^27 bits are 16 MiB, taken as they are used: with 10 million subjects 1 in 200 strangers is
# looked up in vain.
_BITS = 27
_VERSION = 1
_SLICE = 500
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS known (subject BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS marks (mark BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reached (
    position INTEGER NOT NULL, last BLOB NOT NULL, at_ms INTEGER NOT NULL, subjects INTEGER NOT NULL
);
PRAGMA user_version = {_VERSION};
"""


class Reached(NamedTuple):
    """How far the control log was read.

    Shape: `last` is the digest of the value before `position`, empty where there is none. Units:
    `at_ms` is when its end was reached last, by the wall clock, milliseconds since 1970."""

    position: int = 0
    last: bytes = b""
    at_ms: int = 0


class Withdrawals:
    """All withdrawals that were learnt; may be asked from any thread."""

    def __init__(self, path: Path | None = None) -> None:
        """Open a file that is kept, or without a path one that SQLite unlinks at once."""
        self._db = _temporary() if path is None else _kept(path)
        row = self._db.execute("SELECT position, last, at_ms, subjects FROM reached").fetchone()
        self.reached = Reached(*row[:3]) if row else Reached()
        (holds_some,) = self._db.execute("SELECT EXISTS (SELECT 1 FROM known)").fetchone()
        self._asking = threading.Lock()
        self._is_kept = path is not None
        self._strangers = SurelyNot(_BITS)
        self._sifted = not holds_some
        # A number to show, but for zero: it may miss what was learnt last before a kill.
        self.count = max(int(row[3]) if row else 0, int(holds_some))
        self._sifting = threading.Thread(target=self._sift, name="withdrawals", daemon=True)
        self._sifting.start()

    def learn(self, told: Withdrawal) -> Withdrawal:
        """Take a withdrawal in; give what is known of its subject now. Raises: Unavailable."""
        subject = bytes.fromhex(told.subject)
        before = self.find(subject)
        known = told if before is None else before.join(told)
        if known != before:
            with self._asking, _translated():
                self._db.execute(
                    "INSERT OR REPLACE INTO known VALUES (?, ?)",
                    (subject, encode_withdrawal(known)),
                )
        if before is None:
            with self._asking:  # or the thread that makes the filter would lose its bits
                self._strangers.add(subject)
            self.count += 1  # last: who sees a count finds the filter filled
        return known

    def keep(self, mark: Mark) -> None:
        """Let the mark of an erasure, too, be there at the next start. Raises: Unavailable."""
        if self._is_kept:
            with self._asking, _translated():
                self._db.execute(
                    "INSERT OR REPLACE INTO marks VALUES (?, ?)",
                    (mark.control_key, encode_told(mark)),
                )

    def marks(self) -> Iterator[Mark]:
        """Give the marks that were kept, some at a time: there may be a million."""
        after = b""
        while True:
            with self._asking:
                rows = self._db.execute(
                    "SELECT mark, value FROM marks WHERE mark > ? ORDER BY mark LIMIT ?",
                    (after, _SLICE),
                ).fetchall()
            if not rows:
                return
            for after, value in rows:  # noqa: B007 - the last one is where the next begin
                yield decode_mark(value)

    @contextlib.contextmanager
    def page(self) -> Iterator[None]:
        """Let what is learnt meanwhile, and how far that is, be kept together or not at all.

        Raises: Unavailable."""
        if not self._is_kept:
            yield
            return
        before = self.reached
        try:
            with self._asking, _translated():
                self._db.execute("BEGIN")
            yield
            with self._asking, _translated():
                self._db.execute("COMMIT")
        except BaseException:
            self.reached = before
            with self._asking:
                if self._db.in_transaction:  # not, where SQLite has taken it back by itself
                    self._db.execute("ROLLBACK")
            raise

    def reach(self, reached: Reached) -> None:
        """Note how far the control log was read. Raises: Unavailable."""
        if self._is_kept and reached != self.reached:
            with self._asking, _translated():
                self._db.execute(
                    "INSERT OR REPLACE INTO reached (rowid, position, last, at_ms, subjects)"
                    " VALUES (1, ?, ?, ?, ?)",
                    (*reached, self.count),
                )
        self.reached = reached

    def find(self, subject: bytes) -> Withdrawal | None:
        """Give what a subject has withdrawn, or nothing where it never did.

        Shape: `subject` is a digest of 16 bytes, whose bits are as good as random."""
        if not self.count or (self._sifted and not self._strangers.may_hold(subject)):
            return None
        with self._asking:
            row = self._db.execute(
                "SELECT value FROM known WHERE subject = ?", (subject,)
            ).fetchone()
        return decode_withdrawal(row[0]) if row else None

    def close(self) -> None:
        """Let go of the file."""
        with self._asking:
            self._sifted = True
        self._sifting.join()
        self._db.close()

    def _sift(self) -> None:
        """Make the filter of a file that was kept: for millions of subjects that takes seconds."""
        after = b""
        while True:
            with self._asking:
                if self._sifted:
                    return
                try:
                    rows = self._db.execute(
                        "SELECT subject FROM known WHERE subject > ? ORDER BY subject LIMIT ?",
                        (after, _SLICE),
                    ).fetchall()
                except sqlite3.OperationalError:  # then the file is asked for ever
                    return
                for (subject,) in rows:
                    self._strangers.add(subject)
                self._sifted = not rows
            after = rows[-1][0] if rows else after


def _temporary() -> sqlite3.Connection:
    db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode = OFF")
    db.executescript(_SCHEMA)
    return db


def _kept(path: Path) -> sqlite3.Connection:
    """Open a file, or another one in its place where it is damaged or of another version: the
    control log has everything."""
    with contextlib.suppress(sqlite3.DatabaseError):
        db = _opened(path)
        if db is not None:
            return db
    for file in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
        file.unlink(missing_ok=True)
    db = _opened(path)
    if db is None:
        raise Unavailable(f"{path} cannot be made anew")
    return db


def _opened(path: Path) -> sqlite3.Connection | None:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        # After a power cut the last seconds may be missing, values and position together.
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version not in (0, _VERSION):
            db.close()
            return None
        db.executescript(_SCHEMA)
        for table in ("known", "marks", "reached"):
            db.execute(f"SELECT * FROM {table} LIMIT 1").fetchone()
    except sqlite3.DatabaseError:
        db.close()
        raise
    return db


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:  # as of a full disk
        raise Unavailable(f"withdrawals cannot be kept: {error}") from error
