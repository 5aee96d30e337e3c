"""The spill: what is acknowledged from it comes back out, whatever happens to its files."""

import os
import random
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from spine.errors import Misconfigured, Unavailable
from spine.log import Entry
from spine.record import DAMAGED, Unreadable, decode
from spine.spill import Spill
from spine.spill_frame import Cut, Frame, frames_of, parts_of
from tests.small_disk import small_disk

LOG = "kafka:collected"
SEGMENT = 1 << 20


def opened(directory: Path, max_bytes: int = 1 << 30) -> Spill:
    spill = Spill.open(directory / "spill", LOG, max_bytes)
    spill.meet(LOG)
    return spill


def entries(count: int, size: int = 100, start: int = 0) -> list[Entry]:
    return [
        Entry(number.to_bytes(16, "big"), b"%d" % number + b"x" * size)
        for number in range(start, start + count)
    ]


def taken(spill: Spill) -> list[Entry]:
    found: list[Entry] = []
    while part := spill.oldest():
        found += part
        spill.drop()
    return found


def segments(directory: Path) -> list[Path]:
    return [p for p in sorted((directory / "spill").glob("*.spill")) if p.stat().st_size]


def test_what_goes_in_comes_out_in_order_and_is_gone_then(tmp_path: Path) -> None:
    spill = opened(tmp_path)
    told = entries(3000, size=1000)
    for start in range(0, 3000, 50):
        spill.append(told[start : start + 50])
    assert spill.waiting().records == 3000
    assert len(segments(tmp_path)) == 3
    assert taken(spill) == told
    assert (spill.waiting().records, spill.waiting().size_bytes) == (0, 0)
    assert segments(tmp_path) == []


def test_what_was_read_and_not_dropped_is_read_again_after_a_start(tmp_path: Path) -> None:
    spill = opened(tmp_path)
    spill.append(entries(5))
    assert spill.oldest() == entries(5)
    spill.close()
    again = opened(tmp_path)
    assert again.waiting()._replace(size_bytes=0) == spill.waiting()._replace(size_bytes=0)
    again.append(entries(2, start=5))
    assert taken(again) == entries(7)


def test_numbers_go_on_after_everything_left_and_a_start(tmp_path: Path) -> None:
    spill = opened(tmp_path)
    spill.append(entries(5))
    taken(spill)
    before = spill.waiting()
    spill.close()
    assert (before.number, before.records) == (5, 0)
    again = opened(tmp_path)
    assert again.waiting() == before
    again.append(entries(1))
    assert again.waiting().number == 5


def test_the_bound_is_kept_and_there_is_room_again_after_a_drop(tmp_path: Path) -> None:
    spill = opened(tmp_path, max_bytes=1 << 20)
    with pytest.raises(Unavailable, match=r"log\.spill_max_bytes"):
        for number in range(1000):
            spill.append(entries(10, size=1000, start=10 * number))
    kept = spill.waiting()
    assert (1 << 20) - 20_000 < kept.size_bytes <= 1 << 20
    assert sum(p.stat().st_size for p in segments(tmp_path)) == kept.size_bytes
    with pytest.raises(Unavailable):
        spill.room()
    assert len(taken(spill)) == kept.records
    spill.room()
    spill.append(entries(1))


@pytest.mark.parametrize("cut", [1, 19, 20, 21, 60, 500])
def test_a_torn_tail_is_cut_told_and_takes_nothing_before_it(tmp_path: Path, cut: int) -> None:
    spill = opened(tmp_path)
    spill.append(entries(10))
    spill.close()
    (path,) = segments(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    again = opened(tmp_path)
    frame_bytes = len(whole) // 10
    kept, torn_bytes = divmod(len(whole) - cut, frame_bytes)
    with capture_logs() as lines:
        assert taken(again) == entries(kept)
    assert [line["cut_bytes"] for line in lines] == ([torn_bytes] if torn_bytes else [])
    again.append(entries(1, start=99))
    assert taken(again) == entries(1, start=99)


def test_a_flipped_bit_costs_one_value_whose_bytes_go_on_marked(tmp_path: Path) -> None:
    """Wherever the bit is: in the frame's head, its key, its value."""
    chance = random.Random(7)
    frame_bytes = len(next(iter(frames_of(0, entries(1)))))
    for turn in range(60):
        directory = tmp_path / str(turn)
        spill = opened(directory)
        spill.append(entries(10))
        spill.append(entries(1, start=10))
        (path,) = segments(directory)
        content = bytearray(path.read_bytes())
        at = chance.randrange(10 * frame_bytes)
        content[at] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
        hit = at // frame_bytes
        with capture_logs() as lines:
            found = taken(opened(directory) if turn % 2 else spill)
        assert [(line["cut_bytes"], line["acknowledged"]) for line in lines] == [(frame_bytes, 1)]
        lost = content[hit * frame_bytes : (hit + 1) * frame_bytes]
        assert [e for e in found if not e.value.startswith(DAMAGED)] == [
            e for number, e in enumerate(entries(11)) if number != hit
        ]
        assert [e.value for e in found if e.value.startswith(DAMAGED)] == [DAMAGED + lost]
        assert decode(DAMAGED + lost) == Unreadable(
            "damaged_record", f"{frame_bytes} bytes of a spill"
        )


def test_the_last_value_of_a_segment_is_known_to_be_lost_by_the_next_segment(
    tmp_path: Path,
) -> None:
    spill = opened(tmp_path)
    spill.append(entries(1100, size=1000))
    spill.append(entries(1, start=1100))
    first, second = segments(tmp_path)
    first.write_bytes(first.read_bytes()[:-5])
    found = taken(opened(tmp_path))
    assert len(found) == 1101
    assert [number for number, e in enumerate(found) if e.value.startswith(DAMAGED)] == [1099]
    assert second.exists() is False


def test_a_segment_without_anything_to_hand_over_holds_nothing_up(tmp_path: Path) -> None:
    spill = opened(tmp_path)
    spill.append(entries(2, start=0))
    spill.close()
    (tmp_path / "spill" / f"{0:019}0.spill").rename(tmp_path / "spill" / f"{1:020}.spill")
    for name in (0, 2):
        (tmp_path / "spill" / f"{name:020}.spill").write_bytes(b"torn")
    assert taken(opened(tmp_path))[-2:] == entries(2)


def test_a_spill_that_is_full_of_noise_opens_and_goes_on(tmp_path: Path) -> None:
    directory = tmp_path / "spill"
    directory.mkdir()
    (directory / f"{7:020}.spill").write_bytes(random.Random(1).randbytes(300_000))
    spill = opened(tmp_path)
    assert spill.oldest() == []
    assert spill.waiting().number == 7
    spill.append(entries(3))
    assert taken(spill) == entries(3)


@given(st.binary(max_size=400), st.lists(st.binary(max_size=40), max_size=5), st.data())
def test_frames_are_found_between_any_bytes(
    noise: bytes, values: Sequence[bytes], data: st.DataObject
) -> None:
    told = [Entry(bytes(16), value) for value in values]
    frames = list(frames_of(3, told))
    at = data.draw(st.integers(0, len(frames)))
    content = b"".join(frames[:at]) + noise + b"".join(frames[at:])
    parts = list(parts_of(content))
    assert [part for part in parts if isinstance(part, Frame)] == [
        Frame(3 + number, entry) for number, entry in enumerate(told)
    ]
    assert b"".join(part.content for part in parts if isinstance(part, Cut)) == noise


def test_a_write_that_fails_in_the_middle_leaves_what_was_acknowledged(tmp_path: Path) -> None:
    spill = opened(tmp_path)
    spill.append(entries(5))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    (path,) = segments(tmp_path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 150, hard))
    try:
        with pytest.raises(Unavailable, match="cannot be written"):
            spill.append(entries(5, start=5))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert spill.waiting().records == 5
    spill.append(entries(3, start=5))
    spill.close()
    with capture_logs() as lines:
        assert taken(opened(tmp_path)) == entries(8)
    assert lines == []


def test_a_full_disk_is_told_and_costs_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 2) as disk:
        spill = opened(disk.path)
        spill.append(entries(5))
        disk.fill()
        with pytest.raises(Unavailable, match="full"):
            spill.append(entries(5, start=5))
        with pytest.raises(Unavailable, match="full"):
            spill.room()
        assert spill.oldest() == entries(5)
        disk.free()
        spill.room()
        spill.append(entries(3, start=5))
        assert taken(spill) == entries(8)


def test_nothing_is_taken_for_another_log(tmp_path: Path) -> None:
    spill = opened(tmp_path)
    spill.append(entries(2))
    spill.close()
    with pytest.raises(Misconfigured, match=r"2 records .* wait for kafka:collected"):
        Spill.open(tmp_path / "spill", "kafka:other", 1 << 30)
    taken(opened(tmp_path))
    other = Spill.open(tmp_path / "spill", "kafka:other", 1 << 30)
    assert other.spill_id is None


_DIES = """
import sys
from pathlib import Path
from tests.unit.spine.test_spill import entries, opened
spill = opened(Path(sys.argv[1]))
for number in range(20):
    spill.append(entries(10, start=10 * number))
    print(10 * number + 10, flush=True)
"""


@pytest.mark.parametrize("point", ["before", "inside", "after"])
@pytest.mark.parametrize("nth", [1, 5])
def test_killed_in_a_write_every_acknowledged_value_is_there(
    tmp_path: Path, point: str, nth: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _DIES, str(tmp_path)],
        env={**os.environ, "BELEG_FAILPOINT": f"{point} the spill's write:{nth}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -9, done.stderr
    acknowledged = max([int(line) for line in done.stdout.split()], default=0)
    spill = opened(tmp_path)
    spill.append(entries(1, start=999))
    found = taken(spill)
    assert found[:acknowledged] == entries(acknowledged)
    assert not any(e.value.startswith(DAMAGED) for e in found)
    extra = 10 if point == "after" else len(found) - acknowledged - 1
    assert found == [*entries(acknowledged + extra), *entries(1, start=999)]
