"""What is left of addresses, user agents and ids where a rule limits them."""

import base64
import hashlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_rules.decide import Kept
from consent_rules.faults import fault_of, keepable_paths
from consent_rules.reduce import (
    drop_click_ids,
    limited,
    limits_of,
    reduced_address,
    reduced_agent,
    strip,
)
from consent_rules.regime import ALL_IDS, Rule
from consent_rules.rules import load
from spine.bots import bot_of
from spine.click_ids import is_click_id, without_click_ids
from spine.digest import identifier_id, visitor_id
from spine.event import Commerce, Event, Identifiers, Item, Page
from tests.unit.consent_rules.canaries import AGENT, decided, event

EU = load("eu")


@pytest.mark.parametrize(
    ("address", "path", "origin"),
    [
        ("https://shop.example/a/b?q=1#c", "https://shop.example/a/b", "https://shop.example/"),
        ("https://shop.example?q=1", "https://shop.example/", "https://shop.example/"),
        (
            "HTTPS://Shop.Example:8443/A",
            "https://shop.example:8443/A",
            "https://shop.example:8443/",
        ),
        ("https://max:pw@shop.example/a", "https://shop.example/a", "https://shop.example/"),
        ("https://a@b@shop.example/a", "https://shop.example/a", "https://shop.example/"),
        (
            "https://shop.example/a;jsessionid=7/b",
            "https://shop.example/a",
            "https://shop.example/",
        ),
        ("https://shop.example/a%3Fq=1", "https://shop.example/a", "https://shop.example/"),
        ("https://shop.example/a%25253fq", "https://shop.example/a", "https://shop.example/"),
        ("https://shop.example/u=5/b", "https://shop.example/u", "https://shop.example/"),
        ("https://shop.example/max@x.example", "https://shop.example/max", "https://shop.example/"),
        ("https://[2001:db8::1]/a", "https://[2001:db8::1]/a", "https://[2001:db8::1]/"),
        (
            "android-app://com.example/x",
            "android-app://com.example/x",
            "android-app://com.example/",
        ),
        ("//shop.example/a", None, None),
        ("/a/b?q=1", None, None),
        ("javascript:alert(1)", None, None),
        ("data:text/html,max@shop.example", None, None),
        ("https:// shop.example/", None, None),
        ("", None, None),
    ],
)
def test_of_an_address_the_path_or_the_origin_stays(
    address: str, path: str | None, origin: str | None
) -> None:
    assert reduced_address(address, "whole") == address
    assert reduced_address(address, "path") == path
    assert reduced_address(address, "origin") == origin
    assert reduced_address(None, "path") is None


@pytest.mark.parametrize(
    ("agent", "family"),
    [
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"
            " Chrome/124.0.6367.91 Safari/537.36",
            "Chrome/124 (Linux)",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
            " Chrome/124.0.0.0 Safari/537.36 Edg/124.0.2478.51",
            "Edge/124 (Windows)",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15"
            " (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1",
            "Safari/17 (iOS)",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15"
            " (KHTML, like Gecko) Version/17.4 Safari/605.1.15",
            "Safari/17 (macOS)",
        ),
        (
            "Mozilla/5.0 (Android 14; Mobile; rv:125.0) Gecko/125.0 Firefox/125.0",
            "Firefox/125 (Android)",
        ),
        (
            "Mozilla/5.0 (X11; CrOS x86_64 14541) Chrome/124.0 Safari/537.36",
            "Chrome/124 (ChromeOS)",
        ),
        ("Lynx/2.9", "Other"),
        ("curl/8.5.0", "Bot"),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Bot"),
        (AGENT, "Other (Linux)"),
        ("", ""),
    ],
)
def test_of_a_user_agent_the_family_stays(agent: str, family: str) -> None:
    assert reduced_agent(agent, "whole") == agent
    assert reduced_agent(agent, "family") == family
    assert reduced_agent(family, "family") == family
    assert reduced_agent(agent, "drop") == ""


AGENTS = st.text(st.sampled_from("Chromei Safr/Vsn0124();Lux@."), max_size=60) | st.text()
ADDRESSES = st.text(st.sampled_from("htps:/?#@;&=%3fF2aA.xX\\é "), max_size=60) | st.text()


@given(AGENTS, ADDRESSES)
def test_to_reduce_twice_is_to_reduce_once(agent: str, address: str) -> None:
    family = reduced_agent(agent, "family")
    assert reduced_agent(family, "family") == family
    for extent in ("path", "origin"):
        once = reduced_address(address, extent)
        assert reduced_address(once, extent) == once
        assert once is None or not set("?#@;&=\\") & set(once)


def spellings(canary: str) -> Iterator[bytes]:
    """How an identifier may still be there: as it is, encoded, or as somebody's digest of it."""
    raw = canary.encode()
    yield from (raw, quote(canary, safe="").encode(), raw.hex().encode())
    for shift in range(3):  # wherever it begins in what was encoded
        encoded = base64.b64encode(b"x" * shift + raw)
        yield encoded[4 * (shift > 0) : -4]
    for name in ("md5", "sha1", "sha256", "blake2b"):
        yield hashlib.new(name, raw).hexdigest().encode()
        yield base64.b64encode(hashlib.new(name, raw).digest())
    yield from (
        identifier_id("shop", kind, canary).hex().encode() for kind in (*ALL_IDS, "visitor")
    )
    for anonymous, user in ((canary, None), (None, canary)):
        yield (visitor_id("shop", anonymous, user) or b"").hex().encode()


_LETTERS = st.sampled_from("abcdefghijklmnopqrstuvwxyz0123456789")
# None is part of another, or of what is written anyway as a row of zeros is, or a bot's name.
WORDS = (
    st.text(_LETTERS, min_size=14, max_size=14)
    .map("zq{}".format)
    .filter(lambda word: not bot_of(word))
)
LIMITS = {
    "ids": st.lists(st.sampled_from(ALL_IDS), unique=True).map(tuple),
    "url": st.sampled_from(["path", "origin"]),
    "referrer": st.sampled_from(["path", "origin"]),
    "ip": st.just("drop"),
    "user_agent": st.sampled_from(["family", "drop"]),
}


@given(st.fixed_dictionaries(LIMITS), st.lists(WORDS, min_size=6, max_size=6, unique=True))
def test_no_identifier_is_left_that_a_limit_takes_however_it_is_written(
    drawn: dict[str, object], words: list[str]
) -> None:
    anonymous, user, crm, url, referrer, agent = words
    rule = Rule(id="r", events=("*",), needs=(), action="keep", source="law", **drawn)  # type: ignore[arg-type]
    claimed = Event(
        name="page_view",
        anonymous_id=anonymous,
        user_id=user,
        identifiers=Identifiers(crm_id=crm),
        page=Page(
            f"https://{url}@shop.example/a?u={url}#{quote(url)}", f"https://x.example/?u={referrer}"
        ),
        ip="198.51.100.77",
        user_agent=f"Mozilla/5.0 ({agent}) {agent} Chrome/1.{agent}",
    )
    kept = limited(claimed, limits_of(rule))
    written = msgspec.json.encode(kept)
    kind = dict(zip(ALL_IDS, (anonymous, user, crm), strict=True))
    gone = [word for name, word in kind.items() if name not in rule.ids]
    for canary in (*gone, url, referrer, agent, "198.51.100.77"):
        for spelling in spellings(canary):
            assert spelling not in written
    for name in rule.ids:
        assert kind[name].encode() in written
    assert limited(kept, limits_of(rule)) == kept


@given(
    st.frozensets(st.sampled_from(sorted(keepable_paths()))), st.sampled_from(["path", "origin"])
)
def test_what_is_stripped_and_limited_twice_is_as_after_once(
    keep: frozenset[str], extent: str
) -> None:
    rule = Rule(
        id="r", events=("*",), needs=(), action="strip", source="law", keep=tuple(keep | {"name"}),
        url=extent, referrer=extent, user_agent="family",  # type: ignore[arg-type]
    )  # fmt: skip
    rules = msgspec.structs.replace(EU, rule=(rule,))
    once = decided(rules, event())
    assert isinstance(once, Kept)
    twice = decided(rules, once.event)
    assert isinstance(twice, Kept)
    assert twice.event == once.event
    assert strip(once.event, keep | {"name"}) == msgspec.structs.replace(
        once.event, user_agent=None
    )
    assert once.observed("198.51.100.0", AGENT) == ("", "Other (Linux)")
    assert fault_of(EU) is None


PIECES = st.sampled_from(
    ["gclid", "fb-clid", "awc", "=", ":", "%3D", "%253D", "&", "?", "https://", "http://", "x", " ",
     "Cj0K", "size", "a:b", "50%"]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=6).map("".join)


@given(TEXTS, TEXTS, TEXTS, TEXTS, st.dictionaries(TEXTS.filter(bool), TEXTS | st.integers()))
def test_of_an_event_goes_what_goes_of_each_of_its_texts(
    url: str, title: str, coupon: str, agent: str, properties: dict[str, Any]
) -> None:
    told = Event(
        name="gclid=1",
        page=Page(url, None, title),
        commerce=Commerce(coupon=coupon, items=(Item(item_name=title),)),
        properties=properties,
        user_agent=agent,
    )
    left = {
        name: without_click_ids(value) if isinstance(value, str) else value
        for name, value in properties.items()
        if not is_click_id(name)
    }
    assert drop_click_ids(told) == Event(
        name="gclid=1",
        page=Page(without_click_ids(url), None, without_click_ids(title)),
        commerce=Commerce(
            coupon=without_click_ids(coupon), items=(Item(item_name=without_click_ids(title)),)
        ),
        properties=left,
        user_agent=without_click_ids(agent),
    )
