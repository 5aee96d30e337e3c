"""Who may send: from a key to its `Source`. Keys are compared by digest, never logged.

The time a look-up takes tells nothing of a key: what is compared is a SHA-256, of which a guesser
can choose no byte, so nearly right is as wrong as anything.
"""

import time
from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple
from zoneinfo import ZoneInfo

from collector.quota import Bucket
from consent_rules.regions import Regimes, load_all
from spine.record import Channel
from spine.settings import SiteSettings, key_digest

_BURST_S = 2.0


class Source(NamedTuple):
    """A key's site and rights.

    Shape: a `browser` key is public, bound to `origins`, and has no say over address, user agent
    or far-past times; a `server` key is secret and has. `quota` is one of all keys of the site."""

    site: str
    channel: Channel
    currency: str
    zone: ZoneInfo
    origins: frozenset[str]
    regimes: Regimes
    quota: Bucket | None = None


class Sources:
    """All keys of all sites."""

    def __init__(self, sites: Mapping[str, SiteSettings]) -> None:
        self._by_digest: dict[bytes, Source] = {}
        self._met: dict[str, Source] = {}
        self._origins: set[str] = set()
        for name, site in sites.items():
            regimes = load_all(name, site.consent, site.regions)
            origins = frozenset(origin.lower() for origin in site.origins)
            self._origins |= origins
            rate = site.events_per_second
            quota = Bucket(rate, _BURST_S, time.monotonic()) if rate else None
            for channel, keys in (("browser", site.browser_keys), ("server", site.server_keys)):
                for key in keys:
                    self._by_digest[key_digest(key)] = Source(
                        name,
                        "browser" if channel == "browser" else "server",
                        site.currency,
                        ZoneInfo(site.timezone),
                        origins,
                        regimes,
                        quota,
                    )

    def find(self, key: str) -> Source | None:
        """Give the source of a key, or nothing."""
        source = self._met.get(key)
        if source is None:
            digest = sha256(key.encode("utf-8", "surrogateescape")).digest()
            source = self._by_digest.get(digest)
            if source is not None:  # only what is known is kept: there are as many as keys
                self._met[key] = source
        return source

    def take(self, site: str, regimes: Regimes) -> bool:
        """Let other rules decide about a site from now on; give whether they are others at all."""
        changed = False
        for digest, source in self._by_digest.items():
            if source.site == site and source.regimes.versions != regimes.versions:
                self._by_digest[digest] = source._replace(regimes=regimes)
                changed = True
        self._met.clear()
        return changed

    def by_day(self) -> Mapping[str, ZoneInfo]:
        """Give the sites whose rules give visitors an id of the day, with their time zones."""
        sources = self._by_digest.values()
        return {source.site: source.zone for source in sources if source.regimes.uses_salts}

    def any_allows(self, origin: str) -> bool:
        """Say whether some site has this origin: all a preflight without a key can be asked."""
        return origin.lower() in self._origins
