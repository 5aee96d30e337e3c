"""Where is my event? The whole path of one id, from stored data alone."""

from processors.trace import rejected, trace
from spine.log import Record
from spine.store import Store
from tests.flow.happenings import Happening, Order, record, records
from tests.flow.passage import process

NOON_MS = 1_711_800_000_000


async def test_the_path_of_an_order_leads_from_the_log_to_session_order_and_person(
    store: Store, site: str
) -> None:
    told = Happening(
        site, "purchase", f"{site}-e1", NOON_MS, anonymous_id="a", user_id="u",
        order=Order("t1", "10"),
    )  # fmt: skip
    await process(store, site, records([told, told]))
    (path,) = await trace(store, told.event_id)
    assert [(copy["offset"], copy["fate"], copy["code"]) for copy in path["copies"]] == [
        (0, "stored", ""),
        (1, "duplicate", "duplicate_copy"),
    ]
    assert {copy["appended_at"] for copy in path["copies"]} == {"2024-03-30 12:00:00.000"}
    assert path["rows"] == ["events", "visitor_facts", "order_facts", "identity_evidence"]
    (session,), (order,) = path["sessions"], path["orders"]
    assert session["started_at"] == "2024-03-30 12:00:00.000"
    assert (order["status"], order["session_id"]) == ("purchased", path["session_id"])
    assert path["person_id"] == order["person_id"]
    assert [(one["field"], one["value"]) for one in path["order_fields"]] == [
        ("currency", "EUR"),
        ("gross", "10"),
        ("ordered_at", "2024-03-30 12:00:00.000"),
        ("visitor", told.visitor),
    ]
    assert {(one["event_id"], one["channel"]) for one in path["order_fields"]} == {
        (told.event_id, "browser")
    }
    assert path["consent_rule"] == "eu"


async def test_a_record_that_could_not_be_read_is_found_by_the_id_in_it(
    store: Store, site: str
) -> None:
    told = record(Happening(site, "page_view", f"{site}-e2", NOON_MS))
    await process(store, site, [Record(0, 0, b"?" + told.event_id.encode(), NOON_MS)])
    assert await trace(store, told.event_id) == []
    (found,) = await rejected(store, told.event_id)
    assert (found["code"], found["log_id"], found["offset"]) == ("unreadable_record", site, 0)
