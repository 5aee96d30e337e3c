"""The main job end to end: posted over HTTP by the sender, found once in every view, both modes."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.flow import ecom
from tests.flow.houses import SERVER_KEY, House, house_of


@pytest.fixture(params=["embedded", "kafka"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    with house_of(request.param, tmp_path, request, new=True) as opened:
        yield opened


def test_a_real_clickstream_is_counted_once_everywhere(house: House, tmp_path: Path) -> None:
    rows = ecom.rows()
    truth = ecom.figures(rows)
    lines = ecom.traffic(rows)
    file = tmp_path / "ecom.ndjson"
    file.write_bytes(b"".join(lines))
    sent = house.run("send", str(file), "--url", house.url, "--key", SERVER_KEY)
    assert f"{len(lines):,} accepted, 0 refused" in sent.stdout

    house.wait_until("SELECT count() FROM fates", len(lines), within_s=120)
    house.wait_until("SELECT count() FROM v_orders", truth.orders)
    ledger = house.ledger_at_rest()
    assert house.ask("SELECT count(), uniqExact(event_id) FROM v_events") == [
        (truth.events, truth.events)
    ]
    assert dict(house.ask("SELECT name, count() FROM v_events GROUP BY name")) == truth.by_name
    assert house.ask("SELECT sum(gross), sum(net), sum(verified) FROM v_orders") == [
        (truth.revenue, truth.revenue, truth.orders)
    ]
    house.wait_until("SELECT count() FROM v_sessions", truth.sessions)
    assert house.ask("SELECT sum(purchases), sum(revenue), sum(events) FROM v_sessions") == [
        (truth.orders, truth.revenue, truth.events)
    ]
    assert (
        dict(house.ask("SELECT channel_group, count() FROM v_sessions GROUP BY channel_group"))
        == truth.sessions_by_channel
    )
    assert house.ask("SELECT uniqExact(person_id) FROM v_persons") == [(truth.persons,)]
    assert house.ask("SELECT uniqExact(person_id), uniqExact(visitor_id) FROM v_sessions") == [
        (truth.persons, truth.visitors)
    ]
    assert house.ask("SELECT count() FROM v_conversions WHERE kind = 'order'") == [(truth.orders,)]
    kpi = house.ask("SELECT sum(sessions), sum(orders), sum(gross), sum(cost) FROM v_kpi_daily")
    assert kpi == [(truth.sessions, truth.orders, truth.revenue, None)]
    house.wait_until("SELECT count() FROM ledger WHERE lost", 0)

    assert ledger["holds"] is True
    fates = [one["fates"] for one in ledger["partitions"]]
    assert sum(one["stored"] for one in fates) == truth.events
    assert sum(one["duplicate"] for one in fates) == len(lines) - truth.events
    assert sum(one["appended"] for one in ledger["partitions"]) == len(lines)
    assert sum(one["pending"] for one in ledger["partitions"]) == 0
    for process in house.running.values():  # chDB brings it, and nobody here has a use for it
        assert "/pandas/" not in Path(f"/proc/{process.popen.pid}/maps").read_text()
    assert truth.revenue == Decimal("113232.45")
    assert (truth.events, truth.orders, truth.sessions, truth.persons) == (31_106, 470, 3_605, 600)
