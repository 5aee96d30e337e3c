"""The listener for operations tells what is, and says why when it is not ready."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

from beleg.admin import Admin
from processors import logs
from processors.loop import Processor
from spine.errors import Unavailable
from spine.runtime import listen
from spine.store import Store
from tests.clickhouse_server import Server, started
from tests.flow.door import CONSENT, Door, door

ODD_ID = "a/b?c=d#e%2F ü"


class Asked:
    """An admin listener beside a front door."""

    def __init__(self, admin: Admin, front: Door, address: str) -> None:
        self.admin, self.front, self._address = admin, front, address

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        url = f"http://{self._address}{path}"
        async with self.front.client.get(url, headers=headers) as answer:
            if answer.content_type == "application/json":
                return answer.status, await answer.json()
            return answer.status, await answer.text()


@asynccontextmanager
async def admin_of(
    front: Door, store: Store | None = None, log_id: str = "", token: str = ""
) -> AsyncIterator[Asked]:
    async def exposition() -> bytes:
        return front.metrics.exposition()

    admin = Admin(exposition, [front.log.ready, *([store.ready] if store else [])], token)
    if store is not None:
        admin.open_books(front.log, log_id, store)
    listener = await listen(admin.application(), "admin.listen", "127.0.0.1:0")
    try:
        yield Asked(admin, front, listener.address)
    finally:
        await listener.close()


async def opened(server: Server, tmp_path: Path) -> Store:
    store = await Store.open(
        f"clickhouse://{server.host}:{server.port}/admin", tmp_path, makes=True
    )
    await store.migrate(lambda _: None)
    return store


async def test_a_collector_is_alive_and_ready_until_its_log_is_away_or_it_drains(
    tmp_path: Path,
) -> None:
    async with door(tmp_path) as front, admin_of(front) as asked:
        assert await asked.get("/healthz") == (200, "alive\n")
        assert await asked.get("/readyz") == (200, "ready\n")
        front.log.away = Unavailable("the log is at its bound")
        assert await asked.get("/readyz") == (503, "the log is at its bound\n")
        assert await asked.get("/healthz") == (200, "alive\n")
        front.log.away = None
        assert await asked.get("/readyz") == (200, "ready\n")
        asked.admin.draining = True
        assert await asked.get("/readyz") == (503, "draining\n")
        assert await asked.get("/healthz") == (200, "alive\n")


async def test_a_collector_alone_has_no_books(tmp_path: Path) -> None:
    async with door(tmp_path) as front, admin_of(front) as asked:
        for path in ("/ledger", "/events/e-1", "/", "/nowhere"):
            status, answer = await asked.get(path)
            assert (status, answer["code"]) == (404, "not_found")
        async with front.client.post(f"http://{asked._address}/healthz") as refused:
            assert (refused.status, refused.headers["Allow"]) == (405, "GET,HEAD")
            assert (await refused.json())["code"] == "method_not_allowed"


async def test_with_a_token_only_health_and_readiness_are_for_everybody(tmp_path: Path) -> None:
    token = "canary_token_of_the_test"
    for wanted in (token, "sha256:" + sha256(token.encode()).hexdigest()):
        async with (
            door(tmp_path) as front,
            admin_of(front, token=wanted) as asked,
        ):
            assert (await asked.get("/metrics", Authorization=f"Bearer {token}"))[0] == 200
            assert (await asked.get("/nowhere", Authorization=f"Bearer {token}"))[0] == 404
            for headers in (
                {},
                {"Authorization": "Bearer wrong"},
                {"Authorization": f"Basic {token}"},
                {"Authorization": f"Bearer {wanted}x"},
                {"Authorization": "Bearer \xff"},
            ):
                for path in ("/metrics", "/ledger", "/events/e", "/nowhere", "//healthz"):
                    status, answer = await asked.get(path, **headers)
                    assert (status, answer["code"]) == (401, "unknown_token"), (path, headers)
                    assert "canary" not in str(answer)
                assert await asked.get("/healthz", **headers) == (200, "alive\n")
                assert await asked.get("/readyz", **headers) == (200, "ready\n")
            front.log.away = Unavailable("inner.example does not answer")
            assert await asked.get("/readyz") == (503, "not ready\n")
            assert await asked.get("/readyz", Authorization=f"Bearer {token}") == (
                503,
                "inner.example does not answer\n",
            )


async def test_without_a_token_a_page_reads_nothing_through_a_name_of_its_own(
    tmp_path: Path,
) -> None:
    async with door(tmp_path) as front, admin_of(front) as asked:
        front.log.away = Unavailable("inner.example does not answer")
        port = asked._address.partition(":")[2]
        for told in (
            {"Host": "evil.example"},
            {"Host": f"evil.example:{port}"},
            {"Host": "127.0.0.1.evil.example"},
            {"Origin": "http://evil.example"},
            {"Sec-Fetch-Site": "cross-site"},
        ):
            for path in ("/metrics", "/ledger", "/events/e", "/nowhere", "/openapi.json"):
                status, answer = await asked.get(path, **told)
                assert (status, answer["code"]) == (401, "unknown_token"), (path, told)
            assert await asked.get("/healthz", **told) == (200, "alive\n")
            assert await asked.get("/readyz", **told) == (503, "not ready\n")
        for host in ("localhost", f"localhost:{port}", "127.0.0.1", f"[::1]:{port}"):
            assert (await asked.get("/metrics", Host=host))[0] == 200
        assert (await asked.get("/metrics", **{"Sec-Fetch-Site": "none"}))[0] == 200


async def test_metrics_are_what_prometheus_reads(tmp_path: Path) -> None:
    async with door(tmp_path) as front, admin_of(front) as asked:
        name = 'my "name"'
        events = [
            {"name": "purchase", "consent": CONSENT},
            {"name": "search", "consent": {}},
            {"name": name, "consent": {}},
            {},
        ]
        await front.post({"events": events}, "bk_shop_browser")
        await front.post(b"{", "bk_shop_browser")
        status, text = await asked.get("/metrics")
        assert status == 200
        for line in (
            'beleg_requests_total{route="events",status="202"} 1.0',
            'beleg_requests_total{route="events",status="400"} 1.0',
            'beleg_events_total{code="event_id_filled",site="shop",status="accepted"} 1.0',
            'beleg_events_total{code="no_consent",site="shop",status="dropped"} 2.0',
            'beleg_events_total{code="missing_field",site="shop",status="refused"} 1.0',
            'beleg_consent_decisions_total{outcome="whole",rule="consented",site="shop"} 1.0',
            'beleg_consent_decisions_total{outcome="dropped",rule="rest",site="shop"} 2.0',
            "beleg_append_seconds_count 1.0",
            "beleg_in_flight_bytes 0.0",
        ):
            assert f"\n{line}\n" in text
        assert "my" not in text  # no label is what a client sent
        url = f"http://{asked._address}/metrics"
        async with front.client.get(url) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")


async def test_an_event_is_found_by_its_id_whatever_is_in_it(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        with started(tmp_path / "server", "--writable") as server:
            store = await opened(server, tmp_path)
            log_id = await logs.register(store, front.log, "1234567890abcdef")
            event = {"name": "search", "event_id": ODD_ID, "consent": CONSENT}
            await front.post(event, "bk_shop_browser")
            await front.post(event, "bk_shop_browser")
            processor = Processor(
                front.log, log_id, store, {}, front.collector._control, front.metrics
            )
            running = asyncio.create_task(processor.run())
            async with admin_of(front, store, log_id) as asked:
                where = f"/events/{quote(ODD_ID, safe='')}"
                async with asyncio.timeout(30):
                    while (await asked.get("/ledger"))[1]["partitions"][0]["pending"]:
                        await asyncio.sleep(0.05)
                status, found = await asked.get(where)
                assert status == 200
                (path,) = found["events"]
                assert (path["event_id"], path["site"], path["name"]) == (ODD_ID, "shop", "search")
                assert [copy["fate"] for copy in path["copies"]] == ["stored", "duplicate"]
                assert all(copy["appended_at"] > "2026" for copy in path["copies"])
                assert path["rows"] == ["events"]  # without a visitor it feeds nothing
                assert await asked.get("/events/e-unknown") == (
                    404,
                    {"events": [], "rejected": []},
                )
                assert (await asked.get("/readyz"))[0] == 200
                status, balance = await asked.get("/ledger")
                assert (status, balance["holds"], balance["log_id"]) == (200, True, log_id)
                assert balance["partitions"][0]["appended"] == 2
            await processor.finish(running)
            with suppress(asyncio.CancelledError):
                await running
            await store.close()


async def test_without_its_store_a_processor_is_not_ready_and_says_so(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        with started(tmp_path / "server", "--writable") as server:
            store = await opened(server, tmp_path)
            log_id = await logs.register(store, front.log, "1234567890abcdef")
        async with admin_of(front, store, log_id) as asked:
            status, why = await asked.get("/readyz")
            assert status == 503
            assert "store" in why.lower()
            for path in ("/ledger", "/events/e-1"):
                status, trouble = await asked.get(path)
                assert (status, set(trouble)) == (503, {"trouble"})
            assert await asked.get("/healthz") == (200, "alive\n")
        await store.close()
