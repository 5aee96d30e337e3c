"""Two sites with the same ids, but another currency, another midnight, and another rule by which
sessions are cut."""

from typing import NamedTuple

from tests.flow.houses import BROWSER_KEY, ORIGIN, SERVER_KEY
from tests.flow.session_model import GA4, Rule


class Site(NamedTuple):
    """A site as its clients know it."""

    name: str
    currency: str
    timezone: str
    origin: str
    browser_key: str
    server_key: str
    rule: Rule = GA4


SHOP = Site("shop", "EUR", "Europe/Berlin", ORIGIN, BROWSER_KEY, SERVER_KEY)
OUTLET = Site(
    "outlet",
    "USD",
    "America/St_Johns",  # three and a half hours behind UTC
    "https://outlet.example",
    "bk_outlet_12345678",
    "sk_outlet_12345678",
    Rule(3_600_000, 5_000, "America/St_Johns"),
)
SITES = (SHOP, OUTLET)
SETTINGS = f"""
collector.withdrawals_max_age_s = 3600
sites.outlet.currency = "{OUTLET.currency}"
sites.outlet.timezone = "{OUTLET.timezone}"
sites.outlet.session_rule = "matomo"
sites.outlet.session_timeout_s = {OUTLET.rule.timeout_ms // 1000}
sites.outlet.engaged_after_s = {OUTLET.rule.engaged_after_ms // 1000}
sites.outlet.origins = ["{OUTLET.origin}"]
sites.outlet.browser_keys = ["{OUTLET.browser_key}"]
sites.outlet.server_keys = ["{OUTLET.server_key}"]
"""
"""What a house needs to know of the second site; the first one it has. Its collectors use their
spill longer than they know what has been withdrawn meanwhile."""
