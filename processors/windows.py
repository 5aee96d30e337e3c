"""Which days of a visitor are read to rewrite some of them. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

LAST_DAY = 65_535
"""The last day there is, since 1970."""


class Window(NamedTuple):
    """The days of one visitor that are read to rewrite the touched ones: since <= day < until."""

    visitor: bytes
    since: int
    until: int
    days: frozenset[int]


def windows_of(visitor: bytes, days: Collection[int]) -> list[Window]:
    """Lay a window of one day to either side around each touched day; windows that meet are one."""
    if len(days) == 1:  # nearly always
        return [_window(visitor, *days)]
    return merged_windows([_window(visitor, day) for day in sorted(days)])


def _window(visitor: bytes, day: int) -> Window:
    return Window(visitor, max(day - 1, 0), min(day + 2, LAST_DAY), frozenset((day,)))


def grown(window: Window) -> Window:
    """Give a window with twice its length more to either side."""
    grow = 2 * (window.until - window.since)
    since, until = max(window.since - grow, 0), min(window.until + grow, LAST_DAY)
    return window._replace(since=since, until=until)


def merged_windows(windows: Iterable[Window]) -> list[Window]:
    """Give windows of which no two of a visitor meet."""
    merged: list[Window] = []
    for window in sorted(windows, key=lambda w: (w.visitor, w.since)):
        if merged and merged[-1].visitor == window.visitor and window.since <= merged[-1].until:
            last = merged[-1]
            merged[-1] = Window(
                last.visitor, last.since, max(last.until, window.until), last.days | window.days
            )
        else:
            merged.append(window)
    return merged


def groups_of(windows: Sequence[Window]) -> list[list[Window]]:
    """Put the windows of the commonest days in a statement of their own: a few late events must
    not make it read the days between."""
    if not windows:
        return []
    commonest, _ = Counter(window[1:] for window in windows).most_common(1)[0]
    main = [window for window in windows if window[1:] == commonest]
    rest = [window for window in windows if window[1:] != commonest]
    return [group for group in (main, rest) if group]
