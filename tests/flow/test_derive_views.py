"""The views that others rely on: their columns, flat types, and copies collapsed."""

import pytest

from spine.store import Store
from tests.flow.happenings import Happening, records
from tests.flow.passage import process

_TOUCHES = [
    f"{which}_{field}"
    for which in ("first", "last")
    for field in ("channel_group", "source", "medium", "campaign")
]
CONTRACT = {
    "v_events": "site event_id name seen_browser seen_server occurred_at received_at anonymous_id"
    " user_id visitor_id session_id person_id transaction_id device browser browser_version os bot"
    " country region",
    "v_sessions": "site session_id visitor_id person_id started_at ended_at duration_s engaged"
    " events page_views purchases revenue currency channel_group source medium campaign"
    " landing_page device country region revenue_converted purchases_unconverted",
    "v_orders": "site transaction_id ordered_at currency gross refunded net tax shipping status"
    " verified seen_browser seen_server visitor_id person_id session_id amounts_disagree"
    " currencies_disagree over_refunded negative_amount reversal_unverified"
    " gross_converted refunded_converted net_converted converted_currency",
    "v_order_provenance": "site transaction_id field value channel event_id name occurred_at",
    "v_conversions": "site conversion_id kind occurred_at person_id visitor_id session_id value"
    f" currency verified {' '.join(_TOUCHES)}",
    "v_persons": "site identifier_type identifier person_id valid_from valid_to",
    "v_kpi_daily": "date site channel_group source medium campaign currency sessions"
    " engaged_sessions visitors orders gross refunded net verified_net new_customers leads cost"
    " clicks impressions cvr aov cpa roas cac cpl ctr cpc bounce_rate persons cvr_visitor"
    " cvr_person aov_net engagement_rate lead_to_order cancelled_orders unverified_net"
    " refunded_on_date gross_converted refunded_converted net_converted converted_currency"
    " orders_unconverted",
    "v_funnel_daily": "date site step step_order sessions share_of_previous abandonment persons"
    " person_share_of_previous person_abandonment abandonment_to_last"
    " person_abandonment_to_last",
    "v_data_quality_daily": "date site events duplicates duplicate_conflicts late clamped"
    " currency_filled consent_unreadable orders unverified orders_disagreeing"
    " orders_in_two_currencies orders_over_refunded orders_negative orders_reversed_unverified"
    " orders_awaiting_purchase sessions unstitched bots identifiers_blocked imported late_share"
    " unverified_share stitched_share",
    "v_coverage_daily": "date site events_decided events_consented events late sessions unstitched"
    " orders unverified bots consent_rate late_share stitched_share unverified_share",
    "v_consent_daily": "date site accepted stripped dropped refused consent_rate",
}


@pytest.mark.parametrize("view", CONTRACT)
async def test_a_view_has_the_columns_of_the_contract_and_is_flat(store: Store, view: str) -> None:
    described = await store.select(f"DESCRIBE TABLE {view}")
    assert [row[0] for row in described] == CONTRACT[view].split()
    nested = [row[:2] for row in described if any(t in row[1] for t in ("Array", "Map", "Tuple"))]
    assert nested == []


@pytest.mark.parametrize("view", CONTRACT)
async def test_ids_are_text(store: Store, view: str) -> None:
    for name, kind, *_ in await store.select(f"DESCRIBE TABLE {view}"):
        if name.endswith("_id"):
            bare = kind.replace("LowCardinality(", "").replace("Nullable(", "").rstrip(")")
            assert (name, bare) == (name, "String")


async def test_what_browser_and_server_tell_is_one_event(store: Store, site: str) -> None:
    seen = Happening(site, "sign_up", "e1", 1_711_800_000_000, anonymous_id="a")
    told = [
        seen._replace(channel="server", at_ms=seen.at_ms + 700, user_id="u", anonymous_id=None),
        seen,
        seen._replace(event_id="e2"),
        seen._replace(event_id="e3", channel="server"),
        seen._replace(name="login"),
    ]
    await process(store, f"log-{site}", records(told))
    assert await store.select(
        "SELECT event_id, name, seen_browser, seen_server, visitor_id,"
        " toUnixTimestamp64Milli(occurred_at) FROM v_events WHERE site = {site:String}"
        " ORDER BY event_id, name",
        {"site": site},
    ) == [
        ("e1", "login", 1, 0, seen.visitor, seen.at_ms),
        ("e1", "sign_up", 1, 1, seen.visitor, seen.at_ms),
        ("e2", "sign_up", 1, 0, seen.visitor, seen.at_ms),
        ("e3", "sign_up", 0, 1, seen.visitor, seen.at_ms),
    ]
