import tomllib
from importlib import resources
from typing import Any

import pytest

from processors.enrichment.channel_group import channel_group
from processors.enrichment.referrer_host import origin

FILE: dict[str, Any] = tomllib.loads(
    resources.files("processors.enrichment").joinpath("referrer_hosts.toml").read_text("utf-8")
)
LISTED = [
    (host, source, media)
    for media in FILE["media"]
    for source, hosts in media["hosts"].items()
    for host in hosts
]


def seen(entry: str) -> list[str]:
    """Hosts that an entry of the file stands for."""
    bare = entry.removeprefix(".")
    below = [bare, f"a.b.{bare}"] if entry.startswith(".") else [bare]
    endings = ["com", "de", "co.uk", "com.br"] if bare.endswith(".*") else [""]
    return [host.removesuffix("*") + ending for host in below for ending in endings]


@pytest.mark.parametrize(("entry", "source", "media"), LISTED, ids=lambda value: str(value)[:30])
def test_every_listed_host_gets_its_source_and_its_group(
    entry: str, source: str, media: dict[str, str]
) -> None:
    for host in seen(entry):
        found = origin(host)
        assert found == (source, media["medium"], media.get("campaign", ""))
        assert channel_group(*found) == media["channel_group"]


@pytest.mark.parametrize("entry", FILE["ignored"])
def test_every_ignored_host_is_no_touch(entry: str) -> None:
    assert [origin(host) for host in seen(entry)] == [None] * len(seen(entry))


def test_no_host_is_listed_twice_or_written_so_that_it_can_never_match() -> None:
    entries = [host for host, _, _ in LISTED] + FILE["ignored"]
    assert len(entries) == len(set(entries))
    for entry in entries:
        assert entry == entry.lower().strip()
        assert not entry.removeprefix(".").startswith("www.")
        assert "*" not in entry.removesuffix(".*")


def test_a_host_of_many_labels_is_still_a_host() -> None:
    assert origin("a." * 90 + "facebook.com") == ("facebook", "referral", "")
