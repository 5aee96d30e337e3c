"""Everything that was said about consent, weighed up: in doubt it is less."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from consent_rules.reading import Reading
from consent_rules.standing import NOTHING, Carried, Standing, standing

READING = Reading()
NOW_MS = 1_795_341_600_000  # 2026-11-22T10:00:00Z
DAY_MS = 86_400_000


def moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()


def stands(
    consent: Any = None,
    carried: Carried = NOTHING,
    reading: Reading = READING,
    at_ms: int = NOW_MS,
) -> Standing:
    text = b"" if consent is None else msgspec.json.encode(consent)
    return standing(text, carried, reading, at_ms)


def test_who_says_nothing_is_undecided() -> None:
    assert stands() == Standing(frozenset(), frozenset(), True, (), "")


def test_the_purposes_of_an_event_count_as_they_are_named() -> None:
    found = stands({"purposes": {"analytics": True, "mine": True, "ads_measurement": False}})
    assert found.granted == {"analytics", "mine"}
    assert found.denied == {"ads_measurement"}
    assert (found.readable, found.signals) == (True, ("event",))
    assert msgspec.json.decode(found.text)["purposes"]["mine"] is True


def test_a_claim_that_cannot_be_read_says_nothing_and_leaves_nothing() -> None:
    found = standing(b'{"purposes": {"analytics": 1}}', NOTHING, READING, NOW_MS)
    assert found == Standing(frozenset(), frozenset(), False, (), "")


@pytest.mark.parametrize(
    ("decided_ms", "counts"),
    [
        (NOW_MS + 300_001, False),  # given after the event happened: it lifts nothing
        (NOW_MS + 300_000, True),
        (NOW_MS - 365 * DAY_MS, True),
        (NOW_MS - 365 * DAY_MS - 1, False),
    ],
)
def test_a_grant_counts_from_when_it_was_given_until_it_is_too_old(
    decided_ms: int, counts: bool
) -> None:
    purposes = {"analytics": True, "ads_measurement": False}
    found = stands({"purposes": purposes, "decided_at": moment(decided_ms)})
    assert ("analytics" in found.granted) is counts
    assert found.denied == {"ads_measurement"}


def test_the_same_claim_is_weighed_anew_for_every_moment() -> None:
    consent = {"purposes": {"analytics": True}, "decided_at": moment(NOW_MS)}
    moments_ms = (NOW_MS - DAY_MS, NOW_MS, NOW_MS + 366 * DAY_MS, NOW_MS + DAY_MS)
    granted = [bool(stands(consent, at_ms=at_ms).granted) for at_ms in moments_ms]
    assert granted == [False, True, False, True]


def test_gpc_takes_away_and_gives_nothing() -> None:
    consent = {
        "purposes": {"analytics": True, "ads_measurement": True},
        "decided_at": moment(NOW_MS),
    }
    found = stands(consent, Carried(gpc=True))
    assert found.granted == {"analytics"}
    assert found.denied == set(READING.gpc)
    assert found.signals == ("event", "gpc")
    assert msgspec.json.decode(found.text) == {
        "event": msgspec.json.encode(consent).decode(),
        "gpc": "1",
    }
