"""Tallies: what the collector refused or dropped, as numbers on the log.

An event that may not be kept leaves no payload, but it is counted, so that the consent rate and
refusals are numbers too. At most one flush interval of counts is lost when the process is killed.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Mapping

import structlog

from collector.admission import Outcome
from spine.errors import Unavailable
from spine.failpoint import reach
from spine.log import Appends, Entry
from spine.record import TallyRecord, TallyRow, control_identity, encode

FLUSH_EVERY_S = 10.0
_ROWS_PER_RECORD = 1_000
_logger = structlog.get_logger()
_Key = tuple[str, int, str, str, str]


class Tallies:
    """The counts of one collector since its last flush."""

    def __init__(self, collector: str) -> None:
        self._collector = collector
        self._boot = os.urandom(8).hex()
        self._sequence = 0
        self._counts: Counter[_Key] = Counter()
        self._unsent: list[TallyRecord] = []

    def count(self, site: str, received_on: int, outcomes: Mapping[Outcome, int]) -> None:
        """Count what was not accepted."""
        for outcome, count in outcomes.items():
            if outcome.status != "accepted":
                key = (site, received_on, outcome.status, outcome.code, outcome.name)
                self._counts[key] += count

    async def flush(self, log: Appends, now_ms: int) -> None:
        """Put the counts on the log. Raises: Unavailable; the same counts are then sent again
        under the same sequence number, so that they count once."""
        await self._send(log)  # first: while the log is away counts add up and take no more room
        self._cut(now_ms)
        await self._send(log)

    async def _send(self, log: Appends) -> None:
        while self._unsent:
            tally = self._unsent[0]
            key = control_identity(tally)
            reach("before the tally")
            await log.append([Entry(key, encode(tally))])
            reach("after the tally")
            del self._unsent[0]

    def _cut(self, now_ms: int) -> None:
        rows = [TallyRow(*key, count) for key, count in sorted(self._counts.items())]
        self._counts.clear()
        for start in range(0, len(rows), _ROWS_PER_RECORD):
            self._unsent.append(
                TallyRecord(
                    collector=self._collector,
                    boot=self._boot,
                    sequence=self._sequence,
                    received_ms=now_ms,
                    rows=tuple(rows[start : start + _ROWS_PER_RECORD]),
                )
            )
            self._sequence += 1


async def flush_for_ever(
    tallies: Tallies, log: Appends, now_ms: Callable[[], int], every_s: float = FLUSH_EVERY_S
) -> None:
    """Flush again and again, until cancelled."""
    while True:
        await asyncio.sleep(every_s)
        try:
            await tallies.flush(log, now_ms())
        except Unavailable as trouble:
            _logger.warning("tallies wait", why=trouble.what)
