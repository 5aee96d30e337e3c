"""Instants as numbers, and the days they are on. Pure."""

from datetime import UTC, date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from collector.source import Source

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_ON = date(1970, 1, 1)


def milliseconds(instant: datetime) -> int:
    """Give milliseconds since 1970 UTC."""
    since = instant - _EPOCH
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000


def day_of(received_ms: int, source: Source) -> int:
    """Give the day of an instant in the site's time zone, in days since 1970."""
    return _day_of_minute(received_ms // 60_000, source.zone)


@lru_cache(maxsize=64)
def _day_of_minute(minute: int, zone: ZoneInfo) -> int:  # no zone changes its day within a minute
    return (datetime.fromtimestamp(minute * 60, zone).date() - _EPOCH_ON).days
