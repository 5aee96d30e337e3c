"""Of who was erased nothing from before is admitted."""

from hashlib import sha256

import pytest

from collector.admit import admit
from collector.known import Further, Known
from spine.record import Channel
from tests.unit.collector.given import ANALYTICS, NOW_MS, RECEIPT, claims, source


@pytest.mark.parametrize("channel", ["browser", "server"])
def test_what_is_not_later_than_an_erasure_is_dropped_whatever_it_says(channel: Channel) -> None:
    """Also what a backfill brings long after: the earlier of event and receipt counts."""
    hers = {"name": "page_view", "anonymous_id": "d1", "user_id": "anna", "consent": ANALYTICS}
    sent = claims(
        hers | {"event_id": "old", "occurred_at": "2026-11-22T09:00:00Z"},
        hers | {"event_id": "tie", "occurred_at": "2026-11-22T09:30:00Z"},
        hers | {"event_id": "new", "occurred_at": "2026-11-22T09:30:00.001Z"},
        hers | {"event_id": "none", "occurred_at": "2026-11-22T09:00:00Z", "user_id": "ben"},
    )

    def until_ms(site: str, anonymous_id: str | None, user_id: str | None, further: Further) -> int:
        assert (site, anonymous_id, further) == ("shop", "d1", ())
        return NOW_MS - 1_800_000 if user_id == "anna" else -1

    admission = admit(sent, RECEIPT, source(channel), known=Known(erased_until=until_ms))
    assert [(one.status, one.code) for one in admission.results] == [
        ("dropped", "erased"),
        ("dropped", "erased"),
        ("accepted", None),
        ("accepted", None),
    ]
    assert len(admission.admitted) == 2


def test_who_is_told_by_an_address_only_was_erased_like_everybody_else() -> None:
    told = {
        "name": "purchase",
        "event_id": "e1",
        "occurred_at": "2026-11-22T09:00:00Z",
        "identifiers": {"email": " Anna@Shop.Example"},
        "consent": ANALYTICS,
    }
    erased = ("email_sha256", sha256(b"anna@shop.example").hexdigest())

    def until_ms(_site: str, _device: str | None, _user: str | None, further: Further) -> int:
        return NOW_MS if erased in further else -1

    admission = admit(claims(told), RECEIPT, source("server"), known=Known(erased_until=until_ms))
    assert [(one.status, one.code) for one in admission.results] == [("dropped", "erased")]
    assert admission.admitted == []
