"""Follow the rules files of the sites: who changes one need not restart anything.

Invariants:

1. A set of rules that makes no sense is never taken: the last good one decides on, and the metric
   `consent_rules_stale` and a log line say so until the files are mended.
2. A site's files are taken together, and only when they have been the same for two looks: not in
   the middle of being written.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import structlog

from collector.source import Sources
from consent_rules.regions import Regimes, load_all
from consent_rules.rules import is_path
from spine.errors import Misconfigured
from spine.metrics import Metrics
from spine.settings import SiteSettings

_EVERY_S = 1.0
_logger = structlog.get_logger()

Mark = tuple[tuple[int, int, int] | None, ...]
"""What is seen of files without reading them: time, size and inode of each, or that it is gone."""


class Reloading:
    """The rules files of all sites as they were last looked at, read and found good."""

    def __init__(
        self, sources: Sources, sites: Mapping[str, SiteSettings], metrics: Metrics
    ) -> None:
        self._sources = sources
        self._sites = {name: site for name, site in sites.items() if _paths(site)}
        self._metrics = metrics
        self._seen: dict[str, Mark] = {}
        # Nothing counts as read: files may have changed since the sources read them.
        self._read: dict[str, Mark] = {}
        for name in self._sites:
            metrics.consent_rules_stale.labels(name).set(0)

    async def for_ever(self) -> None:
        """Look every second, until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Take what has changed and has come to rest since."""
        for name, found in (await asyncio.to_thread(self._changed)).items():
            stale = isinstance(found, Misconfigured)
            self._metrics.consent_rules_stale.labels(name).set(int(stale))
            if isinstance(found, Misconfigured):
                _logger.error(
                    "rules are broken, the last good ones decide", site=name, why=f"{found}"
                )
            elif self._sources.take(name, found):
                _logger.info("rules taken", site=name, versions=found.versions)

    def _changed(self) -> dict[str, Regimes | Misconfigured]:
        found: dict[str, Regimes | Misconfigured] = {}
        for name, site in self._sites.items():
            mark = tuple([_mark(Path(path)) for path in _paths(site)])
            at_rest = self._seen.get(name) == mark
            self._seen[name] = mark
            if not at_rest or self._read.get(name) == mark:
                continue
            self._read[name] = mark
            try:
                found[name] = load_all(name, site.consent, site.regions)
            except Misconfigured as trouble:
                found[name] = trouble
        return found


def _paths(site: SiteSettings) -> list[str]:
    return [name for name in (site.consent, *site.regions.values()) if is_path(name)]


def _mark(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
