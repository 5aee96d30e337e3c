"""`Rulebook`: the consent rules of a site, as its files have them, for what is judged again."""

import time

import structlog

from consent_rules.regions import Regimes, load_all
from processors.replay import Regime
from spine.errors import Misconfigured
from spine.settings import SiteSettings

_LOOKS_AGAIN_AFTER_S = 10.0
_logger = structlog.get_logger()


class Rulebook:
    """The rules of one site, read when they are asked for: few events are judged again."""

    def __init__(self, site: str, settings: SiteSettings) -> None:
        self._site = site
        self._settings = settings
        self._regimes: Regimes | None = None
        self._looked_at = -float("inf")

    def of(self, version: str) -> Regime | None:
        """Give the rules for events stamped with this version; nothing where they are not here or
        make no sense, and then nothing else may be guessed."""
        known = self._regimes
        if known is None or version not in known.versions.values():
            self._look()
        if self._regimes is None:
            return None
        return Regime(self._regimes, self._settings.currency)

    def _look(self) -> None:
        if time.monotonic() - self._looked_at < _LOOKS_AGAIN_AFTER_S:
            return
        self._looked_at = time.monotonic()
        settings = self._settings
        try:
            self._regimes = load_all(self._site, settings.consent, settings.regions)
        except Misconfigured as trouble:
            _logger.warning("no rules to judge again by", site=self._site, why=f"{trouble}")
