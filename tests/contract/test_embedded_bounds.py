"""Where the embedded log begins and ends, told of one moment."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from spine.embedded.file import bounds, prepare
from spine.log import Bounds


@pytest.mark.parametrize("gone", [0, 3])
def test_the_bounds_of_an_empty_log_leave_out_nothing_that_comes_meanwhile(
    tmp_path: Path, gone: int
) -> None:
    """Whoever reads on where it begins would book that as lost."""
    path = tmp_path / "log.sqlite"
    prepare(path)
    statements: list[str] = []

    def append() -> None:
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("INSERT INTO records (value, appended_ms) VALUES ('{}', 0)")

    def beginning(statement: str) -> None:
        if statements:  # something comes between what was asked first and this
            append()
        statements.append(statement)

    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for _ in range(gone):
            append()
        connection.execute("DELETE FROM records")
        connection.set_trace_callback(beginning)
        assert bounds(connection) == Bounds(gone, gone)
        assert bounds(connection) == Bounds(gone, gone + 1)
