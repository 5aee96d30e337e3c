"""After a power cut derived rows of the last hour may be gone: they are derived again."""

import signal
import sqlite3
from contextlib import closing
from pathlib import Path

from beleg.boot import last_hour
from processors.logs import register
from spine.log import Range
from spine.store import Store
from tests.flow.houses import House, embedded_house
from tests.flow.test_adopt import counted_once, tell
from tests.flow.test_derive_ledger import append, opened, read_all, told
from tests.flow.test_rebuild import _in_the_store

_HOUR_MS = 3_600_000


async def test_what_is_read_again_is_an_hour_by_the_logs_own_time(
    store: Store, site: str, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    async with opened(path, site) as log:
        log_id = await register(store, log, log.log_id)
        assert await last_hour(store, log, log_id) == Range(0, 0, 0)
        await append(log, told(site, 20))
        await read_all(store, log, log_id)
        await append(log, told(site, 3, first=20))  # pending: read anyway
        with closing(sqlite3.connect(path)) as file, file:  # a clock of 1970
            file.execute("UPDATE records SET appended_ms = id * ?", (_HOUR_MS // 10,))
        assert await last_hour(store, log, log_id) == Range(0, 12, 20)
        with closing(sqlite3.connect(path)) as file, file:
            file.execute("DELETE FROM records WHERE id <= 15")
        assert await last_hour(store, log, log_id) == Range(0, 15, 20)


def reads_again(house: House) -> bool:
    return any('"reading again"' in line for line in house.running["run"].lines)


def test_rows_that_a_power_cut_took_are_there_again(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with embedded_house(tmp_path) as house:
        tell(house, *range(20))
        counted_once(house, *range(20))
        sessions = house.ask("SELECT * FROM v_sessions ORDER BY ALL")
        assert sessions
        assert not reads_again(house)
        house.running["run"].end(signal.SIGKILL)
        for table in ("visitor_days", "orders", "persons"):
            _in_the_store(data, f"TRUNCATE TABLE {table}")
        mark = data / "boot.json"
        assert '"synced":false' in mark.read_text()
        mark.write_text('{"boot_id":"another","synced":false}')
        house.start("run")
        counted_once(house, *range(20))
        house.wait_until("SELECT count() FROM v_sessions", len(sessions))
        house.ledger_at_rest()
        assert house.ask("SELECT * FROM v_sessions ORDER BY ALL") == sessions
        assert reads_again(house)
        assert house.ledger()["holds"] is True
