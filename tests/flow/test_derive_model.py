"""Whatever the order, the cuts and the crashes: the views say what the plain model says."""

import asyncio
import random
from typing import Any
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spine.store import Store
from tests.flow.funnel_model import FUNNEL
from tests.flow.happenings import DAY_MS, HOUR_MS, Happening, Order, records
from tests.flow.order_model import NAMES
from tests.flow.passage import rough_passage
from tests.flow.report_model import report
from tests.flow.session_model import GA4, Rule
from tests.flow.test_session_rules import set_rule
from tests.flow.views import shown_report

START_MS = 1_711_756_800_000  # 2024-03-30 00:00 UTC, the day before clocks change in Berlin
_PROVE = settings(
    max_examples=10,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

gaps_ms = st.sampled_from(
    [0, 1, 9_999, 10_001, 600_000, 1_799_999, 1_800_000, 1_800_001, 5 * HOUR_MS, DAY_MS - 1, DAY_MS]
)
displaced_ms = st.sampled_from([0, 0, 0, -60 * HOUR_MS, -26 * HOUR_MS, -900_000, 60 * HOUR_MS])
campaigns = st.sampled_from([None, None, ("google", "cpc"), ("facebook", "paid_social", "launch")])
values = st.sampled_from([None, "10", "0.0001", "19.99"])
order_told = st.builds(
    Order,
    transaction_id=st.sampled_from(["t1", "t2"]),
    value=values,
    currency=st.sampled_from(["EUR", "EUR", "USD"]),
    prices=st.sampled_from([(), (), ("3.5", "1"), ("2", None)]),
    tax=values,
    shipping=values,
)
event_told = st.tuples(
    st.sampled_from(
        ["page_view", "page_view", *NAMES, "purchase", "refund", "generate_lead", *FUNNEL[:4]]
    ),
    gaps_ms,
    displaced_ms,
    st.sampled_from(["browser", "browser", "server"]),
    st.sampled_from([None, "a1", "a1", "a2"]),
    st.sampled_from([None, None, "u1", "u2"]),
    st.sampled_from([None, "/", "/p"]),
    campaigns,
    order_told,
    st.integers(0, 9),
)


def _told_of(order: Order, name: str) -> Order | None:
    if name == "generate_lead":
        return order._replace(transaction_id=None) if order.tax else None
    return order if name in NAMES else None


@st.composite
def stories(draw: st.DrawFn) -> list[Happening]:
    """A few visitors over some days; ids repeat, so that copies and conflicts occur."""
    told: list[Happening] = []
    at_ms = START_MS
    for name, gap, displaced, channel, anonymous, user, path, campaign, order, number in draw(
        st.lists(event_told, min_size=1, max_size=24)
    ):
        at_ms += gap
        happening = Happening(
            "",
            name,
            f"e{number if number < 3 else len(told) + 100}",
            at_ms + displaced,
            channel,
            anonymous,
            user,
            path,
            campaign if path else None,
            _told_of(order, name),
        )
        told.append(happening)
        if number == 9:
            told.append(happening)
        if number == 8:
            dearer = happening.order and happening.order._replace(value="7")
            copy = happening._replace(channel="server", at_ms=happening.at_ms + 2_000)
            told.append(copy._replace(order=dearer))
    return told


# Two other rules, one as it is set and one as the model knows it; nothing is the usual one.
RULES: list[tuple[dict[str, Any], Rule]] = [
    ({}, GA4),
    ({"session_rule": "matomo"}, Rule(timezone="Europe/Berlin")),
    (
        {"session_rule": "universal", "session_timeout_s": 28_500, "engaged_after_s": 1},
        Rule(28_500_000, 1_000, "Europe/Berlin"),
    ),
]


async def _shown(store: Store, told: list[Happening], seed: int, nth: int) -> tuple[object, object]:
    settings, rule = RULES[nth]
    site = f"s{uuid4().hex[:12]}"
    here = [happening._replace(site=site) for happening in told]
    await set_rule(store, site, **settings)
    await rough_passage(store, f"log-{site}", records(here), random.Random(seed))
    return await shown_report(store, site), report(here, "EUR", "Europe/Berlin", rule)


@_PROVE
@given(told=stories(), seed=st.integers(0, 2**32), nth=st.integers(0, len(RULES) - 1))
def test_the_views_equal_the_model_after_any_passage(
    store: Store, told: list[Happening], seed: int, nth: int
) -> None:
    shown, expected = asyncio.run(_shown(store, told, seed, nth))
    assert shown == expected
