"""Amounts in the site's currency: a function of orders and rates."""

import json
import urllib.error
import urllib.request
from contextlib import suppress
from datetime import date
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest

from beleg.rates import Rates, take_rates
from processors.rates import Rate, keep_rates, known_days
from spine.errors import Unavailable
from spine.store import Store
from tests.clickhouse_server import client_of, started
from tests.flow.happenings import DAY_MS, Happening, Order, records
from tests.flow.houses import SERVER_KEY, embedded_house
from tests.flow.passage import DyingStore, enter_site, process
from tests.migrated import copy_store
from tests.nursery import run

FRIDAY = date(2024, 3, 29)
FRIDAY_NOON_MS = 1_711_710_000_000  # 12:00 in Berlin
CHF, SEK = Decimal("0.9766"), Decimal("11.5250")


def bought(site: str, number: str, currency: str, days: int = 0, value: str = "10") -> Happening:
    at_ms = FRIDAY_NOON_MS + days * DAY_MS
    told = Happening(site, "purchase", f"p{number}", at_ms, "server", "a", path=None)
    return told._replace(order=Order(number, value, currency))


async def converted(store: Store, site: str) -> dict[str, tuple[object, ...]]:
    rows = await store.select(
        "SELECT transaction_id, gross_converted, refunded_converted, net_converted,"
        " converted_currency FROM v_orders WHERE site = {site:String}",
        {"site": site},
    )
    return {row[0]: row[1:] for row in rows}


def times(amount: str, to_rate: Decimal, from_rate: Decimal) -> Decimal:
    exact = (Decimal(amount) * to_rate / from_rate).quantize(Decimal("1e-12"), ROUND_DOWN)
    return exact.quantize(Decimal("0.0001"), ROUND_HALF_UP)


async def rates_of(store: Store, *told: tuple[date, str, Decimal]) -> None:
    await keep_rates(store, "EUR", [Rate(*one) for one in told])


async def test_an_order_is_converted_by_the_rate_of_its_day_or_the_last_before(
    store: Store, site: str
) -> None:
    await enter_site(store, site)
    await rates_of(store, (FRIDAY, "CHF", CHF))
    told = [
        bought(site, "own", "EUR"),
        bought(site, "day", "CHF"),
        bought(site, "week-end", "CHF", days=2),
        bought(site, "seventh", "CHF", days=7),
        bought(site, "eighth", "CHF", days=8),
        bought(site, "before", "CHF", days=-1),
        bought(site, "never", "XAF"),
        bought(site, "part", "CHF", value="33.3333"),
        bought(site, "part", "CHF", days=30)._replace(
            name="refund", event_id="r", order=Order("part", "3.01", "CHF")
        ),
    ]
    await process(store, f"log-{site}", records(told))
    ten, zero = times("10", Decimal(1), CHF), Decimal(0)
    whole, part = times("33.3333", Decimal(1), CHF), times("3.01", Decimal(1), CHF)
    assert ten == Decimal("10.2396")
    nothing = (None, None, None, "EUR")
    assert await converted(store, site) == {
        "own": (Decimal(10), zero, Decimal(10), "EUR"),
        "day": (ten, zero, ten, "EUR"),
        "week-end": (ten, zero, ten, "EUR"),
        "seventh": (ten, zero, ten, "EUR"),
        "eighth": nothing,
        "before": nothing,
        "never": nothing,
        "part": (whole, part, whole - part, "EUR"),
    }


async def test_a_site_may_have_another_currency_than_the_rates_are_measured_in(
    store: Store, site: str
) -> None:
    await enter_site(store, site, currency="SEK")
    await rates_of(store, (FRIDAY, "CHF", CHF), (FRIDAY, "SEK", SEK))
    told = [bought(site, "chf", "CHF", value="19.99"), bought(site, "eur", "EUR")]
    await process(store, f"log-{site}", records(told))
    shown = await converted(store, site)
    assert shown["chf"][0] == times("19.99", SEK, CHF)
    assert shown["eur"] == (Decimal("115.25"), Decimal(0), Decimal("115.25"), "SEK")


async def test_only_converted_amounts_add_up_over_currencies(store: Store, site: str) -> None:
    await enter_site(store, site)
    await rates_of(store, (FRIDAY, "CHF", CHF))
    told = [bought(site, "1", "EUR"), bought(site, "2", "CHF"), bought(site, "3", "XAF")]
    await process(store, f"log-{site}", records(told))
    rows = await store.select(
        "SELECT currency, gross, net_converted, converted_currency, orders, orders_unconverted"
        " FROM v_kpi_daily WHERE site = {site:String} ORDER BY currency",
        {"site": site},
    )
    ten = Decimal(10)
    assert rows == [
        ("CHF", ten, times("10", Decimal(1), CHF), "EUR", 1, 0),
        ("EUR", ten, ten, "EUR", 1, 0),
        ("XAF", ten, Decimal(0), "EUR", 1, 1),
    ]


async def test_a_session_has_the_revenue_of_all_its_orders(store: Store, site: str) -> None:
    await enter_site(store, site)
    await rates_of(store, (FRIDAY, "CHF", CHF))
    visit = Happening(site, "page_view", "v", FRIDAY_NOON_MS - 1000, anonymous_id="a")
    told = [bought(site, "1", "EUR"), bought(site, "2", "CHF"), bought(site, "3", "XAF")]
    refund = told[1]._replace(name="refund", event_id="r", order=Order("2", "4", "CHF"))
    await process(store, f"log-{site}", records([visit, *told, refund]))
    assert await store.select(
        "SELECT purchases, revenue, currency, revenue_converted, purchases_unconverted"
        " FROM v_sessions WHERE site = {site:String}",
        {"site": site},
    ) == [(3, Decimal(10), "EUR", 10 + times("10", Decimal(1), CHF), 1)]


@pytest.mark.parametrize("calls", range(4))
async def test_a_replacement_that_is_killed_mixes_no_rates_and_is_done_again(
    store: Store, site: str, calls: int
) -> None:
    await rates_of(store, (FRIDAY, "CHF", CHF), (date(2099, 1, 1), "CHF", CHF))
    _, old = await known_days(store)
    asked = Rates("date,currency,rate\n2024-03-29,SEK,10.5\n", base="CHF", replace=True)
    with suppress(Unavailable):
        await take_rates(DyingStore(store, calls), asked)
    new = {"SEK": {FRIDAY}}
    assert await known_days(store) in (("EUR", old), ("", {}), ("CHF", new))
    await take_rates(store, asked)
    assert await known_days(store) == ("CHF", new)


async def test_a_later_import_of_a_day_counts(store: Store, site: str) -> None:
    await enter_site(store, site)
    await process(store, f"log-{site}", records([bought(site, "t", "NOK")]))
    for rate in ("20", "10", "8"):
        await rates_of(store, (FRIDAY, "NOK", Decimal(rate)), (FRIDAY, "DKK", Decimal(7)))
        assert (await converted(store, site))["t"][0] == 10 / Decimal(rate)
    base, days = await known_days(store)
    assert (base, days["NOK"]) == ("EUR", {FRIDAY})


async def test_amounts_beyond_measure_stop_nobodys_numbers(store: Store, site: str) -> None:
    await enter_site(store, site, currency="IRR")
    await rates_of(
        store, (FRIDAY, "IRR", Decimal(10_000_000)), (FRIDAY, "KWD", Decimal("0.000001"))
    )
    most = "99999999999999"
    told = [bought(site, "t", "KWD", value=most)]
    told += [
        told[0]._replace(name="refund", event_id=f"r{n}", order=Order("t", most, "KWD"))
        for n in range(12)
    ]
    await process(store, f"log-{site}", records(told))
    net = -11 * Decimal(most) * Decimal("1e13")
    assert (await converted(store, site))["t"][2] == net


def test_a_file_is_imported_whole_or_not_at_all(tmp_path: Path) -> None:
    copy_store(tmp_path / "data" / "store")
    (tmp_path / "beleg.toml").write_text('data_dir = "data"\n')
    file = tmp_path / "rates.csv"

    def imported(rates: str, *options: str) -> tuple[int, str]:
        file.write_text(f"date,currency,rate\n{rates}")
        ended = run("beleg", "rates", "import", "rates.csv", *options, cwd=tmp_path)
        return ended.returncode, ended.stdout + ended.stderr

    first, second = "2026-11-02,USD,1.08\n2026-11-02,CHF,0.95\n", "2026-11-03,USD,1.09\n"
    assert imported(first) == (0, "2 rates of 2 currencies, 2026-11-02 to 2026-11-02\n")
    assert imported(first + second)[0] == 0
    refused = {
        second + "2026-11-04,USD,1,1\n": "rates.csv: line 3, column 1: has 4 columns",
        second + "2026-13-04,USD,1\n": 'rates.csv: line 3, column 1: "2026-13-04" is no day',
        "2026-11-12,USD,2\n": "USD would have no rate from 2026-11-11 to 2026-11-11",
    }
    for rates, sentence in refused.items():
        code, told = imported(rates)
        assert (code, sentence in told) == (2, True), told
    assert imported(second, "--base", "USD")[0] == 2
    code, told = imported("2026-11-03,EUR,0.92\n", "--base", "USD")
    assert code == 2 and "the store's rates are measured in EUR" in told
    code, told = imported(second, "--since", "2026-11-04")
    assert code == 2 and "has no rates" in told
    file.unlink()
    assert run("beleg", "rates", "import", "rates.csv", cwd=tmp_path).returncode == 2
    assert (_stored(tmp_path / "data" / "store")) == [
        ("CHF", "2026-11-02", "0.95"), ("USD", "2026-11-02", "1.08"), ("USD", "2026-11-03", "1.09"),
    ]  # fmt: skip
    assert imported("2062-11-03,SEK,11\n")[0] == 0  # a slip, after which nothing else is taken
    code, told = imported("2026-11-03,SEK,11\n")
    assert code == 2 and "--replace" in told
    assert imported("2026-11-03,SEK,x\n", "--replace")[0] == 2
    assert len(_stored(tmp_path / "data" / "store")) == 4
    assert imported("2026-11-03,EUR,0.92\n", "--base", "USD", "--replace")[0] == 0
    assert (_stored(tmp_path / "data" / "store")) == [("EUR", "2026-11-03", "0.92")]


def test_while_it_runs_the_running_process_takes_the_rates(tmp_path: Path) -> None:
    file = tmp_path / "rates.csv"
    file.write_text("date,currency,rate\n2026-11-02,USD,1.08\n2026-11-09,CHF,0.95\n")
    with embedded_house(tmp_path) as house:
        bought = {
            "name": "purchase", "event_id": "e1", "occurred_at": "2026-11-03T10:00:00Z",
            "commerce": {"transaction_id": "1", "currency": "USD", "value": "10.80"},
        }  # fmt: skip
        events = tmp_path / "events.ndjson"
        events.write_text(json.dumps(bought) + "\n")
        house.run("send", str(events), "--url", house.url, "--key", SERVER_KEY)
        house.wait_until("SELECT count() FROM v_orders", 1)
        assert house.ask("SELECT gross_converted FROM v_orders") == [(None,)]
        done = house.run("rates", "import", str(file))
        assert done.stdout == "2 rates of 2 currencies, 2026-11-02 to 2026-11-09\n"
        assert house.ask("SELECT gross_converted FROM v_orders") == [(Decimal(10),)]
        file.write_text("date,currency,rate\n2026-11-12,USD,1.08\n")
        for options, told in (
            ((), f"beleg: {file}: USD would have no rate from 2026-11-10 to 2026-11-11: import"),
            (("--base", "CHF"), "beleg: --base: the store's rates are measured in EUR; --repl"),
            (("--base", "XXX"), 'beleg: --base: "XXX" is not a current ISO 4217 code\n'),
            (("--since", "2026-11-13"), f"beleg: {file}: has no rates\n"),
        ):
            done = house.run("rates", "import", str(file), *options, check=False)
            assert (done.returncode, done.stderr.startswith(told)) == (2, True), done.stderr
        url = f"http://{house.addresses['run admin']}/rates"
        body = b'{"csv":"date,currency,rate\\n2026-11-09,CHF,2"}'
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(url, body, timeout=60)
        assert house.ask("SELECT count() FROM rates FINAL WHERE rate < 2") == [(2,)]
        done = house.run("rates", "import", str(file), "--replace")
        assert house.ask("SELECT toString(date), rate FROM rates FINAL") == [
            ("2026-11-12", Decimal("1.08"))
        ]
        assert house.ask("SELECT gross_converted FROM v_orders") == [(None,)]


def _stored(path: Path) -> list[tuple[str, ...]]:
    with started(path, "--writable") as server, client_of(server, database="beleg") as client:
        rows = client.query(
            "SELECT currency, toString(date), toString(rate) FROM rates FINAL ORDER BY 1, 2"
        ).result_rows
    return [tuple(row) for row in rows]
