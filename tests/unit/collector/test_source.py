"""From a key to its rights."""

from hashlib import sha256

import pytest

from collector.source import Sources
from spine.errors import Misconfigured
from spine.settings import Secret, SiteSettings

HASHED = Secret("sha256:" + sha256(b"sk_hashed_key").hexdigest())
SITES = {
    "shop": SiteSettings(
        currency="USD",
        timezone="America/New_York",
        origins=("https://Shop.example", "http://localhost:3000"),
        browser_keys=("bk_browser",),
        server_keys=(Secret("sk_plain_key"), HASHED),
    )
}


def test_a_key_has_the_rights_of_its_kind_at_its_site() -> None:
    sources = Sources(SITES)
    browser, server = sources.find("bk_browser"), sources.find("sk_plain_key")
    assert browser is not None
    assert server is not None
    assert (browser.site, browser.channel, browser.currency) == ("shop", "browser", "USD")
    assert server.channel == "server"
    assert browser.origins == {"https://shop.example", "http://localhost:3000"}
    assert str(browser.zone) == "America/New_York"


def test_a_key_kept_as_its_digest_is_found_by_itself_alone() -> None:
    sources = Sources(SITES)
    assert sources.find("sk_hashed_key") is not None
    assert sources.find(HASHED) is None
    assert sources.find(HASHED.removeprefix("sha256:")) is None


@pytest.mark.parametrize("key", ["", "sk_", "BK_BROWSER", "bk_browser ", "\udcff", "x" * 100_000])
def test_anything_else_is_no_key(key: str) -> None:
    assert Sources(SITES).find(key) is None


def test_an_origin_of_any_site_may_ask_first() -> None:
    sources = Sources(SITES)
    assert sources.any_allows("https://shop.EXAMPLE")
    assert not sources.any_allows("https://evil.example")
    assert not sources.any_allows("null")


def test_unknown_rules_are_refused_at_start() -> None:
    with pytest.raises(Misconfigured, match="nowhere"):
        Sources({"shop": SiteSettings(consent="nowhere")})
