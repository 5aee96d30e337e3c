"""The consent log: what changed, as a function of what was said, however it came (P6)."""

import random
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from spine.digest import identifier_id
from spine.log import Record
from spine.record import ConsentRecord, encode
from spine.store import Store
from tests.clickhouse_server import Server
from tests.flow.derived import own_store
from tests.flow.happenings import Happening, record
from tests.flow.passage import process, rough_passage

T_MS = 1_711_756_800_000


class Said(NamedTuple):
    """What somebody said about consent, on an event or in a decision."""

    device: str
    at_ms: int
    on_event: bool
    granted: tuple[str, ...]
    denied: tuple[str, ...] = ()
    text: str = ""


Change = tuple[str | int, ...]
"""Who, when, how it was told, the action, what was granted and denied, and the text."""


def encoded(said: Said, number: int) -> bytes:
    if said.on_event:
        happening = Happening("shop", "page_view", f"e{number}", said.at_ms, "browser", said.device)
        told = record(happening)
        signal = '{"purposes":{},"decided_at":"2024-03-29T00:00:00Z"}'
        stamp = msgspec.structs.replace(told.stamp, purposes=said.granted, signal=signal)
        return encode(msgspec.structs.replace(told, stamp=stamp))
    return encode(
        ConsentRecord(
            site="shop",
            channel="server",
            kind="anonymous_id",
            subject=identifier_id("shop", "anonymous_id", said.device).hex(),
            action="grant" if said.granted else "withdraw",
            granted=said.granted,
            denied=said.denied,
            decided_ms=said.at_ms - 5,
            received_ms=said.at_ms,
            text_version=said.text,
        )
    )


def on_a_log(told: Sequence[Said]) -> list[Record]:
    return [Record(0, n, encoded(said, n), said.at_ms) for n, said in enumerate(told)]


def changes(told: Sequence[Said]) -> set[Change]:
    """The model: of what is said again only the first time counts."""
    found: set[Change] = set()
    last: dict[tuple[str, bool], object] = {}
    for said in sorted(told, key=lambda said: said.at_ms):
        words = (said.granted, said.denied, said.text)
        if last.get((said.device, said.on_event)) != words:
            who = identifier_id("shop", "anonymous_id", said.device).hex()
            how = "event" if said.on_event else "decision"
            action = "grant" if said.granted else "none" if said.on_event else "withdraw"
            granted, denied = ",".join(said.granted), ",".join(said.denied)
            found.add((who, said.at_ms, how, action, granted, denied, said.text))
        last[said.device, said.on_event] = words
    return found


async def shown(store: Store) -> set[Change]:
    rows = await store.select(
        "SELECT subject_id, toUnixTimestamp64Milli(received_at), told_by, action, granted,"
        " denied, text_version FROM v_consent_log WHERE site = 'shop'"
    )
    assert len(rows) == len(set(rows))
    return {(str(who), int(at_ms), *map(str, words)) for who, at_ms, *words in rows}


def sayings(chance: random.Random, count: int) -> list[Said]:
    times = chance.sample(range(T_MS, T_MS + 10 * count), count)  # a tie has no order of its own
    told = []
    for at_ms in times:
        granted = chance.choice([("analytics",), ("ads", "analytics"), ()])
        on_event = chance.random() < 0.5
        denied = () if on_event else chance.choice([(), ("crm",)] if granted else [("*",)])
        text = "" if on_event else chance.choice(["", "v1"])
        told.append(Said(chance.choice("ab"), at_ms, on_event, granted, denied, text))
    return told


async def test_it_holds_the_changes_whatever_the_order_the_cuts_and_the_kills(
    clickhouse_server: Server,
) -> None:
    for seed in range(3):
        chance = random.Random(seed)
        told = sayings(chance, 40)
        async with own_store(clickhouse_server) as store:
            await rough_passage(store, "log", on_a_log(told), chance)
            assert await shown(store) == changes(told), seed


async def test_a_decision_says_who_when_what_how_and_until_when(clickhouse_server: Server) -> None:
    told = [
        Said("a", T_MS, False, ("analytics",), ("ads",), "banner-1"),
        Said("a", T_MS + 1, True, ("analytics",)),
        Said("a", T_MS + 2, True, ("analytics",)),
        Said("a", T_MS + 3, False, (), ("*",), "banner-2"),
        Said("a", T_MS + 3, False, (), ("*",), "banner-2"),
    ]
    async with own_store(clickhouse_server) as store:
        await process(store, "log", on_a_log(told))
        rows = await store.select(
            "SELECT kind, toUnixTimestamp64Milli(received_at) - 1711756800000,"
            " told_by, action, granted, denied, text_version, rules_version,"
            " toUnixTimestamp64Milli(until_at) - 1711756800000, toString(decided_at)"
            " FROM v_consent_log ORDER BY received_at, told_by"
        )
        event_at, decided_at = "2024-03-29 00:00:00.000", "2024-03-29 23:59:59.995"
        assert rows[:2] == [
            ("anonymous_id", 0, "decision", "grant", "analytics", "ads", "banner-1", "", 1,
             decided_at),
            ("anonymous_id", 1, "event", "grant", "analytics", "", "", "1", 3, event_at),
        ]  # fmt: skip
        assert rows[2][:9] == (
            "anonymous_id", 3, "decision", "withdraw", "", "*", "banner-2", "", None,
        )  # fmt: skip
        assert len(rows) == 3
        fates = await store.select("SELECT fate, count() FROM fates FINAL GROUP BY 1 ORDER BY 1")
        assert fates == [("control", 2), ("duplicate", 1), ("stored", 2)]
