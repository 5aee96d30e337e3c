"""Addresses: whose they are, and that nobody's is kept whole."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.observe import client_address, country_of, truncated

PROXIES = [ip_network(network) for network in ("10.0.0.0/8", "2001:db8:ff::/48")]


@pytest.mark.parametrize(
    ("ip", "kept"),
    [
        ("203.0.113.255", "203.0.113.0"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("::ffff:203.0.113.77", "203.0.113.0"),
        ("2002:cb00:714d::1", "203.0.113.0"),  # 6to4 of 203.0.113.77
        ("fe80::1%eth0", "fe80::"),
        (" 203.0.113.77 ", "203.0.113.0"),
        ("203.0.113.77:8080", ""),
        ("203.0.113", ""),
        ("unknown", ""),
        ("", ""),
    ],
)
def test_an_address_is_cut_to_its_network(ip: str, kept: str) -> None:
    assert truncated(ip) == kept


@given(st.ip_addresses() | st.ip_addresses(v=6, network="2002::/16"))
def test_many_addresses_share_what_is_kept(ip: object) -> None:
    kept = truncated(str(ip))
    assert truncated(kept) == kept
    assert kept.endswith((".0", "::"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.1", "", "203.0.113.1"),
        ("203.0.113.1", "198.51.100.7", "203.0.113.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "198.51.100.7, 10.2.3.4", "198.51.100.7"),
        ("10.0.0.1", "10.9.9.9, 10.2.3.4", "10.9.9.9"),
        ("10.0.0.1", "198.51.100.7, garbage", "garbage"),
        ("10.0.0.1", ",, ,", "10.0.0.1"),
        ("::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("2001:db8:ff::1", "2001:db8:1::9", "2001:db8:1::9"),
        ("", "198.51.100.7", ""),
    ],
)
def test_only_what_a_trusted_proxy_appended_is_believed(
    peer: str, forwarded: str, client: str
) -> None:
    assert client_address(peer, forwarded, PROXIES) == client


@pytest.mark.parametrize(
    ("peer", "told", "country"),
    [
        ("10.0.0.1", ["FR"], "FR"),
        ("::ffff:10.0.0.1", [" fr "], "FR"),
        ("203.0.113.1", ["FR"], ""),
        ("", ["FR"], ""),
        ("10.0.0.1", [], ""),
        ("10.0.0.1", ["FR", "FR"], ""),
        ("10.0.0.1", ["FR, DE"], ""),
        ("10.0.0.1", ["T1"], ""),
        ("10.0.0.1", ["ſs"], ""),
        ("10.0.0.1", ["FRA"], ""),
        ("10.0.0.1", ["XX"], ""),
    ],
)
def test_a_country_is_believed_from_a_trusted_proxy(
    peer: str, told: list[str], country: str
) -> None:
    assert country_of(peer, told, PROXIES) == country
