"""The running listeners are what their description says, whatever they are asked."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode, Response
from schemathesis.checks import load_all_checks
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    negative_data_rejection,
    positive_data_acceptance,
)

from beleg.openapi import description
from tests.flow.houses import BROWSER_KEY, House, embedded_house

TOKEN = "canary_token_of_the_test"
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
EXAMPLES = 25
SCHEMA = schemathesis.openapi.from_dict(json.loads(description()))
OPERATIONS: dict[str, Any] = {
    found.ok().label: found.ok()
    for found in SCHEMA.get_all_operations()
    if isinstance(found, Ok)  # else there are too few of them
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    # Of the keys that are tried here hundreds are unknown ones.
    extra = f'admin.token = "{TOKEN}"\ncollector.unknown_keys_per_minute = 100000'
    with embedded_house(tmp_path_factory.mktemp("described"), extra) as house:
        yield house


def exercise(operation: Any, mode: GenerationMode, ask: Callable[[Case[Any]], None]) -> int:
    """Ask what the description allows, or just does not; the same on every run."""
    asked = 0

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Case[Any]) -> None:
        nonlocal asked
        asked += 1
        ask(case)

    run()
    return asked


def with_key(case: Case[Any]) -> dict[str, str]:
    events = case.operation.path.startswith("/v1/")
    return {"Authorization": f"Bearer {BROWSER_KEY if events else TOKEN}"}


def refuses_events(answer: Response) -> bool:
    """A bad event does not fail its neighbours: it is refused in an answer that is a 202."""
    results = answer.json().get("results", ()) if answer.status_code == 202 else ()
    return any(result["status"] == "refused" for result in results)


def stands_in_words(answer: Response) -> bool:
    """That a decision names somebody, a grant its purposes, what a file of rates has, and how an
    identifier is written."""
    said = answer.json() if answer.status_code == 400 else {"code": "", "detail": ""}
    return said["code"] in ("bad_rates", "bad_split") or said["detail"].startswith(
        "missing_field: "
    )


@pytest.mark.parametrize("label", OPERATIONS)
def test_every_answer_is_one_that_is_described(house: House, label: str) -> None:
    operation = OPERATIONS[label]
    which = "collector" if operation.path.startswith("/v1/") else "run admin"
    base_url = f"http://{house.addresses[which]}"
    load_all_checks()

    def ask(case: Case[Any]) -> None:
        headers = with_key(case)
        answer = case.call(base_url=base_url, headers=headers, timeout=60)
        settled: list[Any] = [negative_data_rejection] if refuses_events(answer) else []
        settled += [positive_data_acceptance] if stands_in_words(answer) else []
        case.validate_response(answer, headers=headers, excluded_checks=settled)

    asked = [exercise(operation, mode, ask) for mode in modes_of(operation)]
    assert sum(asked) > 0


def modes_of(operation: Any) -> tuple[GenerationMode, ...]:
    """What takes nothing cannot be asked for something wrong."""
    takes = bool(operation.body) or bool(operation.path_parameters)
    return MODES if takes else MODES[:1]


def test_every_path_is_described() -> None:
    assert sorted(OPERATIONS) == [
        "GET /erasures/{erasure}",
        "GET /events/{event_id}",
        "GET /healthz",
        "GET /ledger",
        "GET /metrics",
        "GET /openapi.json",
        "GET /readyz",
        "GET /v1/pixel.gif",
        "OPTIONS /v1/consent",
        "OPTIONS /v1/events",
        "POST /erasures",
        "POST /identity/splits",
        "POST /rates",
        "POST /v1/consent",
        "POST /v1/events",
    ]


def test_the_admin_listener_serves_the_description(house: House) -> None:
    url = f"http://{house.addresses['run admin']}/openapi.json"
    asking = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(asking) as answer:
        assert answer.read() == description()
        assert answer.headers["Content-Type"] == "application/json"
