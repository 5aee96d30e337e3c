"""The salts of visitor ids: one for a day, the same for everybody, and gone when it is over."""

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from spine.control.log import ControlLog, Page
from spine.erasure_key import ErasureKey
from spine.errors import Unavailable
from spine.salts.file import SaltFile
from spine.salts.salt import LINGERS_MS, Salt, decode_salt, encode_salt
from spine.salts.salts import Salts

KEY = ErasureKey(b"a secret of more than thirty-two characters")
BERLIN = ZoneInfo("Europe/Berlin")
HOUR_MS = 3_600_000
DAY = 20_779  # 2026-11-22
MIDNIGHT_MS = 1_795_302_000_000  # with which it began in Berlin


class Clock:
    def __init__(self, now_ms: int = MIDNIGHT_MS + 11 * HOUR_MS) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


class Shared:
    """A log that several processes open; what is awaited may take its time."""

    def __init__(self, seed: int = 0) -> None:
        self.values: list[bytes] = []
        self.opened = 0
        self.away = False
        self._chance = random.Random(seed)

    async def _pause(self) -> None:
        for _ in range(self._chance.randrange(4)):
            await asyncio.sleep(0)

    async def open(self) -> None:
        if self.away:
            raise Unavailable("away")
        self.opened += 1
        await self._pause()

    async def append(self, key: bytes, value: bytes) -> None:
        await self._pause()
        self.values.append(value)
        await self._pause()

    async def end(self) -> int:
        await self._pause()
        return len(self.values)

    async def read(self, position: int, wait_s: float) -> Page:
        await self._pause()
        found = self.values[position : position + 2]
        return Page(found, position + len(found))

    async def close(self) -> None:
        await self._pause()


def salts(
    log: ControlLog | Callable[[], ControlLog],
    clock: Clock,
    sites: Sequence[str] = ("shop",),
    key: ErasureKey = KEY,
) -> Salts:
    opens = log if callable(log) else lambda: log
    return Salts(opens, key, lambda: dict.fromkeys(sites, BERLIN), clock)


@pytest.mark.parametrize("seed", range(50))
async def test_who_starts_at_once_agrees_on_one_salt(seed: int) -> None:
    log, clock = Shared(seed), Clock()
    collectors = [salts(log, clock, ("shop", "blog")) for _ in range(4)]
    await asyncio.gather(*(one.look() for one in collectors))
    for site in ("shop", "blog"):
        (agreed,) = {one.of(site, DAY) for one in collectors}
        assert agreed is not None
        assert len(agreed) == 32
    late = salts(log, clock, ("shop", "blog"))
    await late.look()
    assert late.of("shop", DAY) == collectors[0].of("shop", DAY)
    assert late.of("shop", DAY) != late.of("blog", DAY)


async def test_some_of_them_made_one_at_the_same_moment() -> None:
    """Or the test above could not fail."""
    made = 0
    for seed in range(50):
        log = Shared(seed)
        await asyncio.gather(*(salts(log, Clock()).look() for _ in range(4)))
        made += len(log.values)
    assert made > 50


async def test_there_is_a_salt_of_the_next_day_before_it_begins_and_only_then() -> None:
    log, clock = Shared(), Clock()
    one = salts(log, clock)
    await one.look()
    assert (one.of("shop", DAY - 1), one.of("shop", DAY + 1)) == (None, None)
    today = one.of("shop", DAY)
    clock.now_ms = MIDNIGHT_MS + 24 * HOUR_MS - 600_000
    await one.look()
    assert one.of("shop", DAY) == today
    assert one.of("shop", DAY + 1) not in {None, today}


@pytest.mark.parametrize(("on", "hours"), [((2026, 3, 29), 23), ((2026, 10, 25), 25)])
async def test_a_day_ends_with_the_day_of_the_site(on: tuple[int, int, int], hours: int) -> None:
    begins_ms = int(datetime(*on, tzinfo=BERLIN).timestamp() * 1000)
    log = Shared()
    await salts(log, Clock(begins_ms)).look()
    salt = decode_salt(log.values[0])
    assert salt is not None
    assert salt.ends_ms - begins_ms == hours * HOUR_MS


async def test_nothing_is_opened_while_nobody_wants_one_or_all_are_known() -> None:
    log, clock = Shared(), Clock()
    one = salts(log, clock, ())
    await one.look()
    assert log.opened == 0
    one = salts(log, clock)
    for _ in range(3):
        await one.look()
    assert log.opened == 1


async def test_without_the_log_there_is_no_salt_and_then_the_one_of_the_others() -> None:
    log, clock = Shared(), Clock()
    other, one = salts(log, clock), salts(log, clock)
    await other.look()
    log.away = True
    with pytest.raises(Unavailable):
        await one.look()
    assert one.of("shop", DAY) is None
    log.away = False
    await one.look()
    assert one.of("shop", DAY) == other.of("shop", DAY)


async def test_who_has_another_key_has_no_salt_rather_than_another_one() -> None:
    log, clock = Shared(), Clock()
    await salts(log, clock).look()
    stranger = salts(log, clock, key=ErasureKey(b"another secret, as long as the other one"))
    await stranger.look()
    assert stranger.of("shop", DAY) is None
    assert len(log.values) == 1


async def test_what_is_on_the_log_is_no_salt_without_the_key() -> None:
    log, clock = Shared(), Clock()
    one = salts(log, clock)
    await one.look()
    whole = one.of("shop", DAY) or b""
    for part in (whole, whole.hex().encode()):
        assert part not in log.values[0]


async def test_a_value_that_cannot_be_read_is_passed_over() -> None:
    log, clock = Shared(), Clock()
    log.values = [b"", b"{}", b"\xff", b'{"schema":"salt.2"}']
    one = salts(log, clock)
    await one.look()
    assert one.of("shop", DAY) is not None


def everything_under(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.rglob("*") if file.is_file())


def spellings(salt: Salt) -> list[bytes]:
    half = bytes.fromhex(salt.half)
    whole = KEY.salt(half)
    return [form for one in (half, whole) for form in (one, one.hex().encode())]


async def test_after_the_day_no_byte_of_it_is_found(tmp_path: Path) -> None:
    clock = Clock()
    one = salts(lambda: SaltFile(tmp_path / "salts.ndjson", clock), clock)
    await one.look()
    salt = decode_salt(everything_under(tmp_path).strip())
    assert salt is not None
    assert salt.half.encode() in everything_under(tmp_path)
    clock.now_ms = salt.ends_ms + LINGERS_MS - 1  # for those whose clock is behind
    await one.look()
    assert one.of("shop", DAY) is not None
    clock.now_ms += 1
    await one.look()
    assert one.of("shop", DAY) is None
    assert one.of("shop", DAY + 1) is not None
    left = everything_under(tmp_path)
    assert not [form for form in spellings(salt) if form in left]
    assert not [value for value in vars(one).values() if salt.half in repr(value)]


async def test_a_file_lets_go_of_what_is_over_when_it_is_opened(tmp_path: Path) -> None:
    """Also of what was left by a process that died while it was writing."""
    path = tmp_path / "salts.ndjson"
    past, today = (
        encode_salt(Salt("shop", day, MIDNIGHT_MS + hours * HOUR_MS, KEY.name, half * 32))
        for day, hours, half in ((DAY - 1, 0, "ab"), (DAY, 24, "cd"))
    )
    path.write_bytes(past + b"\n" + today + b"\n")
    path.with_suffix(".new").write_bytes(past)
    await SaltFile(path, Clock()).open()
    assert everything_under(tmp_path) == today + b"\n"


async def test_a_restart_has_the_salt_of_before(tmp_path: Path) -> None:
    clock = Clock()
    found = set()
    for _ in range(2):
        one = salts(lambda: SaltFile(tmp_path / "salts.ndjson", clock), clock)
        await one.look()
        found.add(one.of("shop", DAY))
    assert len(found) == 1


async def test_a_disk_that_cannot_be_written_means_no_salt(tmp_path: Path) -> None:
    clock = Clock()
    one = salts(lambda: SaltFile(tmp_path / "none" / "salts.ndjson", clock), clock)
    with pytest.raises(Unavailable):
        await one.look()
    assert one.of("shop", DAY) is None
