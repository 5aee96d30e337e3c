"""What only the control log in the embedded log's file does."""

import sqlite3
from pathlib import Path

from spine.control.log import Page
from spine.embedded.control import EmbeddedControl
from spine.embedded.file import prepare
from tests.contract.test_control_log import following, withdraw


async def test_an_embedded_value_replaces_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    prepare(path)
    async with following(EmbeddedControl(path)) as control:
        for at_ms in range(1, 30):
            await withdraw(control, "d1", at_ms)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(), max(id) FROM control").fetchall() == [(1, 29)]
    connection.close()


class Watched(EmbeddedControl):
    """Tells from where it was read."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.read_from: list[int] = []

    async def read(self, position: int, wait_s: float) -> Page:
        self.read_from.append(position)
        return await super().read(position, wait_s)


async def test_the_next_start_reads_on_where_the_last_one_was(tmp_path: Path) -> None:
    path, kept = tmp_path / "log.sqlite", tmp_path / "kept.sqlite"
    prepare(path)
    async with following(EmbeddedControl(path), kept=kept) as control:
        for number in range(450):  # more than two pages
            await withdraw(control, f"d{number}", 5)
        await withdraw(control, "d449", 9)  # the last value stands elsewhere now
        await control.current()
    log = Watched(path)
    async with following(log, kept=kept) as control:
        await control.current()
        assert min(log.read_from) == 450
        assert control.of("shop", "d0", None).denies("analytics")


def test_a_file_of_the_version_before_gets_its_table(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    log_id = prepare(path)
    with sqlite3.connect(path) as connection:
        connection.executescript("DROP TABLE control; PRAGMA user_version = 1;")
    connection.close()
    assert prepare(path) == log_id
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count() FROM control").fetchone() == (0,)
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    connection.close()
