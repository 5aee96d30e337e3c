"""The salts of visitor ids that last a day: one for a site's day, the same in every collector.

Invariants:

1. Of several salts of a day the first one on the log is the one. A salt is used only after the log
   was read from its beginning to behind where it stands, so that everybody uses the same.
2. Without a salt there is no id; never one of another day's salt.
3. Who has one lets go of it an hour after its day. The log does so by itself: a topic by its
   retention, within 30 hours after the day; a file when it is opened, which is done then.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import structlog

from spine.control.log import ControlLog
from spine.erasure_key import ErasureKey
from spine.errors import Unavailable
from spine.salts.salt import Salt, decode_salt, encode_salt

_AHEAD_MS = 600_000
_LOOKS_EVERY_S = 1.0
_READ_WITHIN_S = 10.0
_logger = structlog.get_logger()

_Day = tuple[str, int]

Zones = Callable[[], Mapping[str, ZoneInfo]]
"""Gives the sites that want such ids now, each with its time zone."""


class Salts:
    """What one collector knows of salts; `follow` keeps it up to date.

    Nothing is opened while no site wants any, nor while all that are wanted are known."""

    def __init__(
        self,
        opens: Callable[[], ControlLog],
        key: ErasureKey,
        zones: Zones,
        now_ms: Callable[[], int],
    ) -> None:
        self._opens = opens
        self._key = key
        self._zones = zones
        self._now_ms = now_ms
        self._known: dict[_Day, tuple[Salt, bytes | None]] = {}
        self._looked = asyncio.Event()

    def of(self, site: str, day: int) -> bytes | None:
        """Give the salt of a site's day, where there is one."""
        found = self._known.get((site, day))
        return found and found[1]

    async def begin(self, within_s: float) -> None:
        """Return when everything that is wanted now is known, or after so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._looked.wait()

    async def follow(self) -> None:
        """See to it for ever that today's salt is known, and none of before."""
        waits = False
        while True:
            try:
                await self.look()
                waits = False
            except Unavailable as trouble:
                if not waits:
                    _logger.warning("no salts: visitors get no id of the day", why=trouble.what)
                waits = True
            await asyncio.sleep(_LOOKS_EVERY_S)

    async def look(self) -> None:
        """Learn or make the salts that are missing, and let go of those that are over.

        Raises: Unavailable."""
        wanted = self._wanted()
        over = [day for day, (salt, _) in self._known.items() if salt.is_over(self._now_ms())]
        for day in over:
            del self._known[day]
        if over or wanted.keys() - self._known.keys():
            try:
                async with asyncio.timeout(_READ_WITHIN_S):
                    await self._read_and_make(wanted)
            except TimeoutError as error:
                raise Unavailable("the log of salts does not answer in time") from error
        self._looked.set()

    def _wanted(self) -> dict[_Day, int]:
        """Give the days of which a salt is wanted, and when each ends: today, and ahead of
        midnight tomorrow, so that nobody waits for it then."""
        now_ms = self._now_ms()
        wanted: dict[_Day, int] = {}
        for site, zone in self._zones().items():
            for at_ms in (now_ms, now_ms + _AHEAD_MS):
                day, ends_ms = _day_and_end(at_ms, zone)
                wanted[site, day] = ends_ms
        return wanted

    async def _read_and_make(self, wanted: Mapping[_Day, int]) -> None:
        log = self._opens()
        try:
            await log.open()
            await self._read(log)
            missing = {day: at for day, at in wanted.items() if day not in self._known}
            for (site, day), ends_ms in missing.items():
                made = Salt(site, day, ends_ms, self._key.name, os.urandom(32).hex())
                await log.append(made.control_key, encode_salt(made))
            if missing:  # perhaps somebody else was faster
                await self._read(log)
        finally:
            await log.close()

    async def _read(self, log: ControlLog) -> None:
        end, position = await log.end(), 0
        while position < end:
            page = await log.read(position, 1.0)
            for value in page.values:
                self._learn(decode_salt(value))
            position = page.position

    def _learn(self, told: Salt | None) -> None:
        if told is None or told.is_over(self._now_ms()):
            return
        if (told.site, told.day) in self._known:
            return
        whole = None
        if told.key == self._key.name:
            whole = self._key.salt(bytes.fromhex(told.half))
        else:  # an id of ours would be another one than that of the others
            _logger.error("a salt is of another key: no visitor ids of this day", site=told.site)
        self._known[told.site, told.day] = told, whole


def _day_and_end(at_ms: int, zone: ZoneInfo) -> tuple[int, int]:
    """Give the day of an instant, in days since 1970, and when it ends."""
    on = datetime.fromtimestamp(at_ms / 1000, zone).date()
    following = on + timedelta(days=1)
    ends = datetime(following.year, following.month, following.day, tzinfo=zone)
    return (on - datetime(1970, 1, 1, tzinfo=UTC).date()).days, int(ends.timestamp() * 1000)
