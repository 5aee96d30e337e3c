"""What `beleg ledger` prints: short where all is well, and where exactly something is not."""

from datetime import date

from beleg.ledger import Books, show
from processors.balance import FATES, Balance, LogBalance
from processors.site_days import SiteDay
from processors.spills import SpillWaiting


def balance(stored: int, lost: int = 0, pending: int = 0) -> Balance:
    fates = {**dict.fromkeys(FATES, 0), "stored": stored}
    end = stored + lost
    pending_range = (end, end + pending) if pending else None
    return Balance(0, end + pending, fates, lost, pending, pending_range, None)


def site_day(day: int, stored: int, events: int, missing: int = 0) -> SiteDay:
    return SiteDay("shop", date(2026, 1, day), {"stored": stored}, events, missing, 0)


def books(**differing: object) -> Books:
    told = {
        "log_id": "now",
        "partitions": [balance(5)],
        "replaced": [],
        "days": [site_day(1, 2, 2), site_day(2, 3, 3)],
        "spills": (),
        "stranger": None,
    }
    return Books(**{**told, **differing})  # type: ignore[arg-type]


def printed(told: Books, *, days: bool = False) -> list[str]:
    lines: list[str] = []
    show(told, lines.append, days=days)
    return lines


def test_a_site_has_one_line_and_on_demand_one_for_each_day() -> None:
    assert [line.split() for line in printed(books()) if line.startswith("shop")] == [
        ["shop", "5", "0", "0", "0", "0", "5"]
    ]
    assert [line.split()[:3] for line in printed(books(), days=True) if "shop" in line] == [
        ["shop", "2026-01-01", "2"],
        ["shop", "2026-01-02", "3"],
    ]
    assert printed(books())[-1] == "the ledger holds"


def test_what_is_pending_is_named_by_its_offsets() -> None:
    assert "partition 0: offsets 5 to 8 are pending" in printed(
        books(partitions=[balance(5, pending=4)])
    )


def test_the_first_day_that_does_not_hold_is_named() -> None:
    lines = printed(books(days=[site_day(1, 2, 2), site_day(2, 4, 3, 1), site_day(3, 4, 2, 2)]))
    assert "site shop, 2026-01-02: 1 stored without an event, 0 events without a fate" in lines
    assert lines[-1] == "THE LEDGER DOES NOT HOLD"


def test_what_waits_in_a_spill_is_told_and_breaks_nothing() -> None:
    waiting = SpillWaiting("web-1", 1_234, "2026-11-24 10:00:00.000")
    lines = printed(books(spills=[waiting]))
    assert (
        "collector web-1: 1,234 records waited in its spill at 2026-11-24 10:00:00.000,"
        " not on the log yet"
    ) in lines
    assert lines[-1] == "the ledger holds"


def test_a_loss_on_a_replaced_log_does_not_vanish() -> None:
    told = books(replaced=[LogBalance("before", [balance(3, lost=2)])])
    assert not told.hold
    lines = printed(told)
    assert "log before  replaced; nobody knows what was pending on it" in lines
    assert "partition 0: the log dropped 2 unread records" in lines


def test_another_log_than_the_one_that_was_read_does_not_hold() -> None:
    told = books(stranger="partition 0 ends at 3, the store has read it to 5")
    assert not told.hold
    assert any("`beleg log adopt`" in line for line in printed(told))
