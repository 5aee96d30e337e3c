"""Workers that share a directory: every spill in it has one owner, whatever their number."""

from pathlib import Path

import pytest

from beleg.seat import Seat, spill_directories, until_let_go
from spine.errors import Misconfigured
from spine.runtime import locked


@pytest.mark.parametrize("workers", [1, 2, 3, 12])
def test_every_spill_has_one_owner(tmp_path: Path, workers: int) -> None:
    there = {"spill", *(f"spill-{number}" for number in range(1, 11))}
    for name in there:
        (tmp_path / name).mkdir()
    owned = [
        path.name
        for number in range(workers)
        for path in spill_directories(tmp_path, Seat(number, workers))
    ]
    assert len(owned) == len(set(owned))
    assert set(owned) == there | {f"spill-{number}" for number in range(1, workers)}


def test_the_own_spill_is_the_first_and_other_names_are_nobodys(tmp_path: Path) -> None:
    for name in ("spill-10", "spill-9", "spill-old", "spill-1.tar"):
        (tmp_path / name).mkdir()
    assert [path.name for path in spill_directories(tmp_path, Seat())] == [
        "spill",
        "spill-9",
        "spill-10",
    ]
    assert spill_directories(tmp_path, Seat(9, 10)) == [tmp_path / "spill-9"]


async def test_a_directory_that_a_worker_still_uses_is_refused_in_time(tmp_path: Path) -> None:
    with (
        locked(tmp_path, Seat(1, 2).lock),
        pytest.raises(Misconfigured, match="workers of a killed"),
    ):
        await until_let_go(tmp_path, 0.2)
    await until_let_go(tmp_path, 0.2)
