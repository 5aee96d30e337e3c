"""Where an address is, by a file: unknown when in doubt, followed, never in full remembered."""

import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from collector.places import Places
from spine.errors import Misconfigured
from spine.metrics import Metrics

GEO = {
    "81.2.69.0/24": {"country": {"iso_code": "GB"}},
    "203.0.113.0/25": {"country": {"iso_code": "FR"}},
    "203.0.113.128/25": {"country": {"iso_code": "DE"}},
    "198.51.100.0/24": {"country": "US"},
    "192.0.2.0/24": {"country_code": "ES"},
    "100.64.0.0/24": {"registered_country": {"iso_code": "IT"}},
    "100.64.1.0/24": {"country": {"iso_code": "it"}},
    "100.64.2.0/24": {"country": {"iso_code": "ITALY"}},
    "2a01:e0a::/32": {"country": {"iso_code": "FR"}},
    "100.65.0.0/24": {"country": {"iso_code": "GB"}, "subdivisions": [{"iso_code": "ENG"}, {}]},
    "100.65.1.0/24": {"country_code": "US", "region": "California", "region_code": "CA"},
    "100.65.2.0/24": {
        "country": {"iso_code": "DE"},
        "subdivisions": [{"names": {"en": "Bavaria"}}],
    },
    "100.65.3.0/24": {"country": {"iso_code": "DE"}, "subdivisions": [{"iso_code": "Bayern"}]},
    "100.65.4.0/24": {"country": {"iso_code": "DE"}, "subdivisions": ["BY"], "region_code": 9},
    "100.65.5.0/24": {"subdivisions": [{"iso_code": "BY"}]},
}


def written(path: Path, networks: Mapping[str, Any], ip_version: int = 6) -> Path:
    writer = MMDBWriter(ip_version, ipv4_compatible=ip_version == 6)
    for network, record in networks.items():
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(path))
    return path


def places(path: Path) -> tuple[Places, Metrics]:
    metrics = Metrics("test")
    return Places(str(path), metrics), metrics


def stale(metrics: Metrics) -> bool:
    return b"beleg_country_file_stale 1.0" in metrics.exposition()


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("81.2.69.160", "GB"),
        ("::ffff:81.2.69.160", "GB"),
        ("2002:5102:45a0::1", "GB"),
        ("203.0.113.7", "FR"),
        ("203.0.113.200", "DE"),
        ("198.51.100.1", "US"),
        ("192.0.2.1", "ES"),
        ("100.64.0.1", ""),
        ("100.64.1.1", ""),
        ("100.64.2.1", ""),
        ("2a01:e0a::1%eth0", "FR"),
        ("2a02::1", ""),
        ("100.65.0.1", "GB-ENG"),
        ("100.65.1.1", "US-CA"),
        ("100.65.2.1", "DE"),
        ("100.65.3.1", "DE"),
        ("100.65.4.1", "DE"),
        ("100.65.5.1", ""),
        ("127.0.0.1", ""),
        ("unknown", ""),
        ("", ""),
    ],
)
def test_an_address_has_a_place_or_none(tmp_path: Path, address: str, place: str) -> None:
    found, _ = places(written(tmp_path / "geo.mmdb", GEO))
    for _ in range(2):  # the second time it may be remembered
        assert found.of(address) == place


def test_only_networks_are_remembered_and_only_those_in_one_country(tmp_path: Path) -> None:
    found, _ = places(written(tmp_path / "geo.mmdb", GEO))
    for address in ("81.2.69.160", "203.0.113.7", "203.0.113.200", "2a01:e0a::1", "9.9.9.9"):
        found.of(address)
    assert found._by_network["81.2.69.0"] == "GB"
    assert "203.0.113.0" not in found._by_network
    assert not found._by_network.keys() & {"81.2.69.160", "2a01:e0a::1", "9.9.9.9"}


def test_a_file_of_ipv4_alone_knows_no_others(tmp_path: Path) -> None:
    only = {"81.2.69.0/24": {"country": {"iso_code": "GB"}}}
    found, _ = places(written(tmp_path / "geo.mmdb", only, 4))
    assert (found.of("81.2.69.1"), found.of("2a01::1")) == ("GB", "")


def test_without_a_file_nothing_is_known() -> None:
    found = Places("", Metrics("test"))
    assert found.of("81.2.69.160") == ""


@pytest.mark.parametrize("content", [None, b"", b"no database", "cut"])
def test_a_broken_file_is_refused_at_the_start(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "geo.mmdb"
    if content == "cut":
        whole = written(path, GEO).read_bytes()
        path.write_bytes(whole[: len(whole) // 3])
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(Misconfigured, match="country_file"):
        places(path)


async def test_a_changed_file_is_taken_and_a_broken_one_is_not(tmp_path: Path) -> None:
    path = written(tmp_path / "geo.mmdb", GEO)
    found, metrics = places(path)
    assert found.of("81.2.69.160") == "GB"
    other = written(tmp_path / "other", {"81.2.69.0/24": {"country": {"iso_code": "FR"}}})
    other.replace(path)
    await found.look()
    assert found.of("81.2.69.160") == "GB"  # it may still be written to
    await found.look()
    assert found.of("81.2.69.160") == "FR"
    path.write_bytes(path.read_bytes()[:100])  # over it, where it lies
    for _ in range(3):
        await found.look()
    assert (found.of("81.2.69.160"), stale(metrics)) == ("FR", True)
    path.unlink()
    for _ in range(3):
        await found.look()
    assert (found.of("81.2.69.160"), stale(metrics)) == ("FR", True)
    written(path, GEO)
    for _ in range(3):
        await found.look()
    assert (found.of("81.2.69.160"), stale(metrics)) == ("GB", False)


@settings(max_examples=150)
@given(st.data())
def test_of_a_damaged_file_there_is_an_answer_or_it_is_refused(data: st.DataObject) -> None:
    with TemporaryDirectory() as directory:
        path = written(Path(directory) / "geo.mmdb", GEO)
        whole = bytearray(path.read_bytes())
        for at in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=8)):
            whole[at] = data.draw(st.integers(0, 255))
        path.write_bytes(whole)
        try:
            found, _ = places(path)
        except Misconfigured:
            return
    for address in ("81.2.69.160", "203.0.113.7", "2a01:e0a::1", "100.65.0.1", "9.9.9.9"):
        assert re.fullmatch("([A-Z]{2}(-[A-Z0-9]{1,3})?)?", found.of(address))
