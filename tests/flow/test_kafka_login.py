"""Through TLS, by name: a Kafka that lets in nobody else takes events, or says what is wrong."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.flow.houses import SERVER_KEY, kafka_house
from tests.flow.test_start import beleg, refused
from tests.kafka_broker import Broker
from tests.kafka_guarded import PASSWORD, USER, Certificates, certificates, guarded_broker
from tests.kafka_jars import what_is_missing


class Guarded(NamedTuple):
    broker: Broker
    made: Certificates


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    missing = what_is_missing()
    if missing is not None:
        assert os.environ.get("CI") != "true", missing
        pytest.skip(missing)
    made = certificates(tmp_path_factory.mktemp("certificates"))
    with guarded_broker(made, client_auth="required") as broker:
        yield Guarded(broker, made)


def login(made: Certificates, mechanism: str = "SCRAM-SHA-512") -> dict[str, str]:
    return {
        "log.security": "tls",
        "log.ca_file": str(made.ca),
        "log.cert_file": str(made.client),
        "log.key_file": str(made.client_key),
        "log.sasl_mechanism": mechanism,
        "log.username": USER,
        "log.password": PASSWORD,
    }


def written(settings: dict[str, str]) -> str:
    return "\n".join(f'{key} = "{value}"' for key, value in settings.items())


def test_events_land_through_a_kafka_that_wants_tls_and_a_name(
    tmp_path: Path, guarded: Guarded
) -> None:
    extra = {
        "log.cert_file": str(guarded.made.client),
        "log.key_file": str(guarded.made.client_key),
    }
    settings = written(login(guarded.made) | extra)
    with kafka_house(tmp_path, guarded.broker, settings) as house:
        events = tmp_path / "events.ndjson"
        events.write_text(
            '{"name": "page_view", "event_id": "e-1", "occurred_at": "2026-11-20T10:00:00Z",'
            ' "consent": {"purposes": {"analytics": true}}}\n'
        )
        house.run("send", str(events), "--url", house.url, "--key", SERVER_KEY)
        house.wait_until("SELECT count() FROM v_events", 1)
        assert "takes writes" in house.run("check").stdout
        assert house.ledger()["holds"] is True
        lines = [line for each in house.running.values() for line in each.lines]
        assert PASSWORD not in "".join(lines)


def told(guarded: Guarded, tmp_path: Path, command: str = "check", **changed: str) -> str:
    """What is said when it may not start; without a trace of the password."""
    settings = login(guarded.made) | {f"log.{key}": value for key, value in changed.items()}
    env = {f"BELEG__{key.upper().replace('.', '__')}": each for key, each in settings.items()}
    env |= {
        "BELEG__LOG__URL": f"kafka://{guarded.broker.servers}",
        "BELEG__STORE__URL": "clickhouse://127.0.0.1:9/beleg",
    }
    done = beleg(command, cwd=tmp_path, **env)
    refused(done, "log.")
    assert settings["log.password"] not in done.stdout + done.stderr
    return done.stderr.strip().splitlines()[-1].removeprefix("beleg: ")


def test_who_is_not_let_in_is_told_which_setting_it_is(tmp_path: Path, guarded: Guarded) -> None:
    (tmp_path / "other").mkdir()
    other = certificates(tmp_path / "other")
    for command, mechanism in (("collect", "SCRAM-SHA-256"), ("check", "PLAIN")):
        said = told(guarded, tmp_path, command, password="canary_wrong", sasl_mechanism=mechanism)
        assert said.startswith("log.password: ")
    said = told(guarded, tmp_path, "collect", ca_file=str(other.ca))
    assert said.startswith("log.ca_file: the certificate of ")
    assert told(guarded, tmp_path, ca_file=str(tmp_path / "nowhere.pem")).startswith("log.ca_file")
    said = told(guarded, tmp_path, cert_file=str(other.ca), key_file=str(other.ca))
    assert said.startswith("log.cert_file: ")


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_every_mechanism_is_let_in(tmp_path: Path, guarded: Guarded, mechanism: str) -> None:
    settings = login(guarded.made, mechanism)
    env = {f"BELEG__{key.upper().replace('.', '__')}": each for key, each in settings.items()}
    done = beleg(
        "check",
        cwd=tmp_path,
        BELEG__LOG__URL=f"kafka://{guarded.broker.servers}",
        BELEG__LOG__TOPIC="not-there-yet",
        BELEG__STORE__URL="clickhouse://127.0.0.1:9/beleg",
        **env,
    )
    refused(done, "log.topic", "there is no not-there-yet yet")
