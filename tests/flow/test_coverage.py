"""What the numbers of a day stand on, and the one question that prints a month with it."""

import re
from datetime import date
from pathlib import Path

from spine.log import Record
from spine.record import TallyRecord, TallyRow, encode
from spine.store import Store
from tests.flow.happenings import DAY_MS, HOUR_MS, Happening, Order, records
from tests.flow.passage import enter_site, process

ROOT = Path(__file__).parents[2]
NOON_MS = 1_714_651_200_000  # 2024-05-02
ON = 19_845  # the same day
DAY = date(2024, 5, 2)


async def test_a_month_is_read_with_its_coverage_by_the_question_of_the_page(
    store: Store, site: str
) -> None:
    await enter_site(store, site)
    seen = Happening(site, "page_view", "e1", NOON_MS, anonymous_id="a", received_on=ON)
    bought = seen._replace(name="purchase", event_id="p", order=Order("t", "10"))
    told = [
        seen._replace(user_id="u"),
        seen._replace(event_id="e2", anonymous_id="b", late_ms=DAY_MS + 1),
        bought,
        bought._replace(channel="server", order=Order("t", "9")),
        bought._replace(event_id="q", anonymous_id="b", order=Order("s", "5", "CLF")),
        seen._replace(event_id="e3", at_ms=NOON_MS + 40 * DAY_MS),
        bought._replace(event_id="r", name="refund", at_ms=NOON_MS + HOUR_MS, stripped=True,
                        anonymous_id=None, path=None, order=Order("t", "1")),
    ]  # fmt: skip
    tally = TallyRecord(
        collector="c", boot=site, sequence=0, received_ms=0,
        rows=(TallyRow(site, ON, "dropped", "no_consent", "page_view", 4),),
    )  # fmt: skip
    await process(store, f"log-{site}", [*records(told), Record(0, 50, encode(tally), 0)])
    page = (ROOT / "docs/tables.md").read_text("utf-8")
    (question,) = re.findall(r"^```sql\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    asked = question.replace("'shop'", f"'{site}'").replace("2026-11-01", "2024-05-01")
    rows = await store.select(asked.replace("2026-12-01", "2024-06-01"))
    consented, decided = 6, 11  # six kept whole, one stripped, four dropped
    assert rows == [
        (DAY, 2, 2, 1.0, 8, 2, 1, consented / decided, 0.5, 1 / 6, 0.5, 0)
    ]  # fmt: skip
    assert len(
        await store.select(
            "SELECT 1 FROM v_coverage_daily WHERE site = {site:String} AND date = '2024-05-02'",
            {"site": site},
        )
    ) == 1  # fmt: skip
