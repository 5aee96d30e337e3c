"""An order is a function of the set of its reports, in whatever order they come."""

import asyncio
import random
from uuid import uuid4

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from spine.store import Store
from tests.flow.derive_model import outcome
from tests.flow.happenings import DAY_MS, HOUR_MS, Happening, Order, records
from tests.flow.order_model import NAMES
from tests.flow.passage import enter_site, rough_passage
from tests.flow.views import found

NOON_MS = 1_711_800_000_000
_PROVE = settings(
    max_examples=8,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to make one smaller takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

amounts = st.sampled_from([None, None, "10", "10", "4", "6", "0", "-3", "99999999999999.9999"])
orders = st.tuples(
    st.sampled_from(["t", "t", "t", "other"]),
    amounts,
    st.sampled_from(["EUR", "EUR", "EUR", "USD"]),
    st.sampled_from([(), (), ("3.5", "1"), ("2", None)]),
    amounts,
    amounts,
).map(Order._make)
reports = st.builds(
    lambda name, event_id, later_ms, channel, visitor, order: Happening(
        "", name, event_id, NOON_MS + later_ms, channel, visitor, None, None, None, order
    ),
    st.sampled_from(["purchase", *NAMES]),
    st.sampled_from(["e1", "e2", "e3", "e4", "e5"]),
    st.sampled_from([0, 0, 1, HOUR_MS, DAY_MS, 3 * DAY_MS]),
    st.sampled_from(["browser", "server"]),
    st.sampled_from([None, "a", "b"]),
    orders,
)


@_PROVE
@given(
    told=st.lists(reports, min_size=1, max_size=9),
    again=st.lists(st.integers(0, 8), max_size=4),
    seed=st.integers(0, 2**32),
)
def test_the_state_of_an_order_is_what_the_model_says_of_its_reports(
    store: Store, told: list[Happening], again: list[int], seed: int
) -> None:
    """Also when they come in another order, some twice, and processors die between."""
    chance = random.Random(seed)
    asyncio.run(_proved(store, told, [told[number % len(told)] for number in again], chance))


async def _proved(
    store: Store, told: list[Happening], again: list[Happening], chance: random.Random
) -> None:
    # The first of an identity is what counts: others, with another body, come after it.
    firsts = list({one.identity: one for one in reversed(told)}.values())
    arrivals = chance.sample(firsts, len(firsts)) + chance.sample(again, len(again))
    for order in (firsts, arrivals):
        site = f"s{uuid4().hex[:12]}"
        await enter_site(store, site)
        here = [one._replace(site=site) for one in order]
        await rough_passage(store, f"log-{site}", records(here), chance)
        assert (await found(store, site)).orders == outcome(here).orders
