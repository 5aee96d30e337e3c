"""What every control log does, whichever is behind it (`spine/control/followed.py`)."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka.admin import NewTopic

from spine.control.followed import Control
from spine.control.log import ControlLog
from spine.control.mark import NEVER_MS, Mark, encode_told
from spine.control.withdrawal import EVERYTHING, NOTHING, Withdrawal, decision, encode_withdrawal
from spine.digest import identifier_id
from spine.embedded.control import EmbeddedControl
from spine.embedded.file import prepare
from spine.erasure_key import ErasureKey
from spine.errors import Misconfigured, Unavailable
from spine.kafka.control import KafkaControl
from spine.kafka.topic import KafkaTopic, inspect, provide
from tests.kafka_broker import Broker, fresh_topic
from tests.kafka_logs import DEADLINE_MS, admin, until_open

KEY = ErasureKey(b"a secret of more than thirty-two characters")
Opened = Callable[[], ControlLog]


@pytest.fixture(params=["embedded", "kafka"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    """Makes one end of the control log of this test, again and again."""
    if request.param == "embedded":
        prepare(tmp_path / "log.sqlite")
        return lambda: EmbeddedControl(tmp_path / "log.sqlite")
    broker: Broker = request.getfixturevalue("kafka_broker")
    topic = KafkaTopic(broker.servers, fresh_topic(), 3, DEADLINE_MS)
    return lambda: KafkaControl(topic.control)


@asynccontextmanager
async def following(
    log: ControlLog, key: ErasureKey | None = None, kept: Path | None = None
) -> AsyncIterator[Control]:
    control = Control(log, key, kept)
    task = asyncio.create_task(control.follow())
    try:
        await control.begin(10)
        yield control
    finally:
        ended = task.done()
        task.cancel()
        (trouble,) = await asyncio.gather(task, return_exceptions=True)
        await control.close()
        assert not ended, repr(trouble)


def subject(name: str) -> bytes:
    return identifier_id("shop", "anonymous_id", name)


async def withdraw(control: Control, name: str, at_ms: int) -> None:
    await control.enter(subject(name), (), (EVERYTHING,), at_ms)


async def grant(control: Control, name: str, purpose: str, at_ms: int) -> None:
    await control.enter(subject(name), (purpose,), (), at_ms)


async def until(said: Callable[[], bool], within_s: float = 30.0) -> None:
    started = time.monotonic()
    while not said():
        assert time.monotonic() - started < within_s
        await asyncio.sleep(0.005)


async def until_it_knows(control: Control, said: Callable[[], bool]) -> None:
    """Return when it knows what has just been entered elsewhere.

    Until then it says of what it knows that it is older than that, whatever the machine does."""
    entered = time.monotonic()
    while not said():
        now = time.monotonic()
        assert control.age_s >= now - entered or said()
        assert now - entered < 30
        await asyncio.sleep(0.005)


async def test_what_is_entered_is_known_at_once_here_and_soon_elsewhere(make: Opened) -> None:
    async with following(make()) as one, following(make()) as other:
        await withdraw(one, "d1", 5)
        assert one.of("shop", "d1", None).denies("analytics")
        assert one.of("shop", "d2", "d1") == NOTHING
        assert one.of("other", "d1", None) == NOTHING
        await until_it_knows(other, lambda: other.of("shop", "d1", "u1").denies("analytics"))
        await grant(other, "d1", "analytics", 6)
        assert not other.of("shop", "d1", None).denies("analytics")
        await until(lambda: not one.of("shop", "d1", None).denies("analytics"))
        assert one.of("shop", "d1", None).denies("ads")


async def test_it_is_read_from_the_beginning_after_a_start(make: Opened) -> None:
    async with following(make()) as one:
        for number in range(450):  # more than a page
            await withdraw(one, f"d{number}", 5)
        await grant(one, "d7", "analytics", 6)
    async with following(make()) as again:
        assert again.subjects == 450
        assert again.of("shop", "d449", None).denies("analytics")
        assert not again.of("shop", "d7", None).denies("analytics")
        assert again.of("shop", "d7", None).denies("ads")


async def test_who_asks_for_what_is_current_knows_all_that_was_durable(make: Opened) -> None:
    async with following(make()) as one, following(make()) as other:
        for number in range(20):
            await withdraw(one, f"d{number}", 5)
            await other.current()
            assert other.of("shop", f"d{number}", None).denies("analytics")


async def test_what_two_wrote_at_once_is_joined_in_the_last_value(make: Opened) -> None:
    """A value that says less than was known before would make compaction forget the rest."""
    late = make()
    async with following(make()) as one:
        await late.open()
        await withdraw(one, "d1", 5)
        # Somebody who had not heard of it.
        name = subject("d1")
        ads = Withdrawal(name.hex(), {"ads": (decision(4, withdrawn=False),)})
        await late.append(name, encode_withdrawal(ads))
        wanted = Withdrawal(name.hex(), {EVERYTHING: (decision(5, withdrawn=True),)}).join(ads)
        await until(lambda: one.at(name, 9) == wanted.at(9))
        await until_last(late, encode_withdrawal(wanted))
        assert one.of("shop", "d1", None).denies("ads")
    await late.close()


async def values(log: ControlLog) -> list[bytes]:
    found: list[bytes] = []
    position, end = 0, await log.end()
    while position < end:
        page = await log.read(position, 1.0)
        found += page.values
        position = page.position
    return found


async def until_last(log: ControlLog, wanted: bytes) -> None:
    async with asyncio.timeout(60):
        while (await values(log))[-1] != wanted:
            await asyncio.sleep(0.05)
    before = len(await values(log))
    await asyncio.sleep(0.8)
    assert len(await values(log)) == before, "it is said once more, not for ever"


async def test_a_denial_comes_after_every_grant_that_is_known_whatever_the_clock_says(
    make: Opened,
) -> None:
    async with following(make()) as one:
        await withdraw(one, "d1", 5)
        await grant(one, "d1", "analytics", 100)
        assert not one.of("shop", "d1", None).denies("analytics")
        await withdraw(one, "d1", 90)
        assert one.of("shop", "d1", None).denies("analytics")


async def test_a_grant_that_lifts_nothing_is_not_written(make: Opened) -> None:
    log = make()
    async with following(make()) as one, following(make()) as other:
        await until_open(log)
        await grant(one, "d1", "analytics", 5)
        assert await log.end() == 0
        # What somebody else has answered a moment ago is asked for, so it is lifted.
        await withdraw(other, "d1", 6)
        await grant(one, "d1", "analytics", 7)
        assert not one.of("shop", "d1", None).denies("analytics")
        assert one.of("shop", "d1", None).denies("ads")
    await log.close()


async def test_a_value_of_a_newer_version_stops_who_reads_it(make: Opened) -> None:
    log = make()
    await until_open(log)  # a topic that is new has leaders late on a busy machine
    await log.append(bytes(16), b'{"schema":"withdrawal.9"}')
    await log.close()
    control = Control(make())
    with pytest.raises(Misconfigured, match="newer version"):
        async with asyncio.timeout(10):
            await control.follow()
    await control.close()


def mark(name: str, at_ms: int, erasure: str = "ab") -> Mark:
    return Mark(KEY.mark(subject(name)).hex(), at_ms, erasure * 8, "shop", KEY.name)


async def test_a_mark_is_known_at_once_here_soon_elsewhere_and_after_a_start(make: Opened) -> None:
    async with following(make(), KEY) as one, following(make(), KEY) as other:
        assert one.erased_until("shop", "d1", None) == NEVER_MS
        await withdraw(one, "d1", 4)
        await one.enter_mark(mark("d1", 5))
        assert one.erased_until("shop", "d1", "u1") == 5
        assert one.erased_until("other", "d1", None) == NEVER_MS
        assert one.erased_until("shop", "d2", "d1") == NEVER_MS
        await other.current()
        assert other.erased_until("shop", "d1", None) == 5
        assert other.of("shop", "d1", None).denies("analytics"), "the other log's values stay"
        await other.enter_mark(mark("d1", 9, "cd"))
        await until(lambda: one.erased_until("shop", "d1", None) == 9)
        assert one.marks_after(0, 10).marks == [mark("d1", 9, "cd")]
    async with following(make(), KEY) as again:
        assert again.erased_until("shop", "d1", None) == 9
        assert again.subjects == 1


async def test_an_older_mark_that_comes_later_is_replaced_again(make: Opened) -> None:
    late = make()
    async with following(make(), KEY) as one:
        await late.open()
        await one.enter_mark(mark("d1", 9))
        await late.append(mark("d1", 5).control_key, encode_told(mark("d1", 5)))
        await until_last(late, encode_told(mark("d1", 9)))
        assert one.erased_until("shop", "d1", None) == 9
    await late.close()


@pytest.mark.parametrize("key", [None, ErasureKey(b"another secret of thirty-two characters")])
async def test_who_cannot_read_a_mark_stops(make: Opened, key: ErasureKey | None) -> None:
    log = make()
    await until_open(log)
    await log.append(mark("d1", 5).control_key, encode_told(mark("d1", 5)))
    await log.close()
    control = Control(make(), key)
    with pytest.raises(Misconfigured, match=r"erasure\.key_file: .*give it the same key"):
        async with asyncio.timeout(10):
            await control.follow()
    await control.close()


async def test_the_knowledge_grows_old_while_kafka_is_away_and_then_catches_up(
    broker: Broker, topic: KafkaTopic
) -> None:
    async with following(KafkaControl(topic.control)) as control:
        await withdraw(control, "d1", 5)
        await until(lambda: control.age_s < 1)
        await asyncio.to_thread(broker.kill)
        with pytest.raises(Unavailable):
            await withdraw(control, "d2", 5)
        with pytest.raises(Unavailable):
            await control.current()
        assert control.age_s > 2
        broker.start()
        await until(lambda: control.age_s < 1, 30)
        assert control.of("shop", "d1", None).denies("analytics")
        await withdraw(control, "d2", 6)
        assert control.of("shop", "d2", None).denies("analytics")


async def test_a_topic_that_would_forget_withdrawals_is_refused(
    broker: Broker, topic: KafkaTopic
) -> None:
    await provide(topic.control)
    await provide(topic.control)
    assert not [risk for risk in await inspect(topic.control) if "compact" in risk]
    other = topic._replace(name=fresh_topic())
    async with admin(topic) as client:
        await client.create_topics([NewTopic(other.control.name, 1, 1)])
    with pytest.raises(Misconfigured, match=r"cleanup\.policy"):
        await provide(other.control)


async def test_what_was_withdrawn_stays_known_while_all_threads_of_a_process_are_busy(
    tmp_path: Path,
) -> None:
    """As when questions to the store stand in line: events must not be turned away for that."""
    prepare(tmp_path / "log")
    async with following(EmbeddedControl(tmp_path / "log")) as control:
        await until(lambda: control.age_s < 1)
        busy = [asyncio.create_task(asyncio.to_thread(time.sleep, 3)) for _ in range(64)]
        oldest_s = 0.0
        for _ in range(30):
            await asyncio.sleep(0.1)
            oldest_s = max(oldest_s, control.age_s)
        for task in busy:
            task.cancel()
        assert oldest_s < 2
