"""The file of the embedded log: its tables, and what a connection can say of it."""

import contextlib
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from spine.digest import blanked
from spine.errors import Misconfigured, Unavailable
from spine.log import Bounds

_SCHEMA_VERSION = 2
_RECORDS = """
CREATE TABLE records (
    id INTEGER PRIMARY KEY AUTOINCREMENT, value BLOB NOT NULL, appended_ms INTEGER NOT NULL
);
CREATE TABLE about (log_id TEXT NOT NULL, committed INTEGER NOT NULL);
"""
# The control log. A value that replaces another one gets a higher id than all before.
_CONTROL = """
CREATE TABLE control (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL UNIQUE, value BLOB NOT NULL
);
"""
_STAMPED = f"PRAGMA user_version = {_SCHEMA_VERSION};"


def connect(path: Path) -> sqlite3.Connection:
    """Open a connection that waits for a writer."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    connection.execute("PRAGMA journal_mode = WAL")
    # What is deleted is overwritten: else a page that nothing uses any more keeps what it held.
    connection.execute("PRAGMA secure_delete = ON")
    return connection


def blank(path: Path, offsets: Sequence[int]) -> bool:
    """Overwrite these records with their digests, and say whether their bytes are gone from the
    file and from what SQLite keeps beside it; if not, do it again later. Raises: Unavailable.

    They stay positions of the log: whoever reads them finds them erased."""
    try:
        with contextlib.closing(connect(path)) as connection, connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            for offset in offsets:
                row = connection.execute("SELECT value FROM records WHERE id = ?", (offset + 1,))
                for (value,) in row.fetchall():
                    connection.execute(
                        "UPDATE records SET value = ? WHERE id = ?", (blanked(value), offset + 1)
                    )
            connection.execute("COMMIT")
            ((busy, _, _),) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return not busy
    except sqlite3.Error as error:
        raise Unavailable(f"the embedded log cannot be written: {error}", 5) from error


def prepare(path: Path) -> str:
    """Make the file if there is none; give its log id. Raises: Misconfigured, sqlite3.Error."""
    with contextlib.closing(connect(path)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            connection.executescript(f"BEGIN; {_RECORDS} {_CONTROL} {_STAMPED}")
            connection.execute("INSERT INTO about VALUES (?, 0)", (os.urandom(8).hex(),))
            connection.execute("COMMIT")
        elif version == 1:
            connection.executescript(f"BEGIN; {_CONTROL} {_STAMPED} COMMIT;")
        elif version > _SCHEMA_VERSION:
            raise Misconfigured(
                "data_dir", f"the log {path} was made by a newer version; run that version"
            )
        (log_id,) = connection.execute("SELECT log_id FROM about").fetchone()
    return str(log_id)


def bounds(connection: sqlite3.Connection) -> Bounds:
    """Give the first offset kept and the next one to come, both of one moment: of an empty log what
    comes between two questions would stand before its beginning, and be booked as lost."""
    ((first, last, appended),) = connection.execute(
        "SELECT (SELECT min(id) FROM records), (SELECT max(id) FROM records),"
        " (SELECT seq FROM sqlite_sequence WHERE name = 'records')"
    ).fetchall()
    if last is None:
        return Bounds(appended or 0, appended or 0)
    return Bounds(first - 1, last)


def fullness(connection: sqlite3.Connection, max_bytes: int) -> str | None:
    """Say why nothing more may be appended, or nothing."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    if (pages - free) * size < max_bytes:
        return None
    return f"the embedded log has reached log.max_bytes ({max_bytes})"
