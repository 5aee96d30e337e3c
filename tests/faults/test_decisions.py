"""Killed at every line that writes a decision: what was answered is in force, proven, and counted
once (P1, P2, P4)."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.faults.machine import DECISIONS
from tests.flow.houses import SERVER_KEY, House, embedded_house, kafka_house
from tests.flow.test_withdrawal import said
from tests.kafka_broker import Broker

_IN_A_TABLE = "before the control commit"
_OF_GRANTS = {"before the control append", "after the control append"}
_WITHDRAW = {"action": "withdraw", "anonymous_id": "d1", "text_version": "v1"}
_GRANT = {"action": "grant", "anonymous_id": "d1", "purposes": {"analytics": True}}


@pytest.fixture(params=["embedded", "kafka"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    if request.param == "embedded":
        with embedded_house(tmp_path) as opened:
            yield opened
    else:
        broker: Broker = request.getfixturevalue("kafka_broker")
        with kafka_house(tmp_path, broker, "", ("collect", "process")) as opened:
            yield opened


async def told(house: House, role: str, decision: dict[str, Any]) -> int:
    """Give the status, or 0 where the collector died before it answered."""
    url = f"http://{house.addresses[f'{role} collector']}/v1/consent"
    try:
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {SERVER_KEY}"}) as session,
            session.post(url, json=decision) as answer,
        ):
            return answer.status
    except aiohttp.ClientError:
        return 0


async def die(house: House, role: str, point: str, decision: dict[str, Any]) -> None:
    """Let a collector die at a point while it takes a decision, and start it again."""
    house.running[role].end()
    process = await asyncio.to_thread(house.start, role, {"BELEG_FAILPOINT": point})
    assert await told(house, role, decision) == 0
    assert await asyncio.to_thread(process.popen.wait, 90) == -9, point
    process.end()
    await asyncio.to_thread(house.start, role)


async def test_a_decision_is_taken_whole_wherever_its_collector_dies(house: House) -> None:
    role = next(iter(house.running))
    points = [one for one in sorted(DECISIONS) if role == "run" or one != _IN_A_TABLE]
    decided = 0
    for point in points:
        assert await said(house, role, "d1") == "accepted"
        await die(house, role, point, _WITHDRAW)
        # Nobody was answered: it is in force or it is not, and being told again settles it.
        assert await said(house, role, "d1") in ("accepted", "withdrawn")
        assert await told(house, role, _WITHDRAW) == 202
        assert await said(house, role, "d1") == "withdrawn"
        if point in _OF_GRANTS:
            await die(house, role, point, _GRANT)
            assert await said(house, role, "d1") in ("accepted", "withdrawn")
        assert await told(house, role, _GRANT) == 202
        assert await said(house, role, "d1") == "accepted"
        decided += 2
    # A change for each that was answered at least; one whose answer was lost is the same change.
    shown = "SELECT count() FROM v_consent_log WHERE told_by = 'decision'"
    await asyncio.to_thread(house.wait_until, shown, decided)
    ledger = await asyncio.to_thread(house.ledger_at_rest)
    assert ledger["holds"] is True


async def test_a_withdrawal_is_in_force_after_a_kill_between_its_two_logs(house: House) -> None:
    role = next(iter(house.running))
    await die(house, role, "before the decision's append", _WITHDRAW)
    assert await said(house, role, "d1") == "withdrawn"
