"""`beleg run` on a disk that fills up: a clear answer, nothing acknowledged that is not stored."""

from pathlib import Path

from tests.faults.full_disk import FullDisk
from tests.faults.machine import Machine
from tests.faults.sites import SETTINGS
from tests.flow.houses import embedded_house
from tests.small_disk import small_disk


async def test_a_full_disk_turns_events_away_and_loses_none(tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "data", 128) as disk,
        embedded_house(tmp_path, SETTINGS) as house,
    ):
        full = FullDisk(house, disk, 1.0, print)
        await Machine("embedded", house, 3, print).endure(full.happen)
