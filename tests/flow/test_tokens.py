"""Where tokens are set they are asked for, and the commands of this machine go on to work."""

import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from tests.flow.houses import House, embedded_house

TOKEN = "canary_token_of_the_test"
DIGEST = "sha256:" + sha256(TOKEN.encode()).hexdigest()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    # Known as a digest, so that nothing in the settings is what a client sends.
    extra = f'store.token = "{DIGEST}"\nadmin.token = "{DIGEST}"'
    with embedded_house(tmp_path_factory.mktemp("guarded"), extra) as house:
        yield house


def asked(house: House, path: str, **headers: str) -> tuple[int, str]:
    url = f"http://{house.addresses['store']}{path}"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


QUERY = "/?query=SELECT%201"


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (QUERY, {"Authorization": basic("default", TOKEN)}),
        (QUERY, {"Authorization": basic("", TOKEN)}),
        (QUERY, {"Authorization": f"Bearer {TOKEN}"}),
        (QUERY, {"X-ClickHouse-User": "default", "X-ClickHouse-Key": TOKEN}),
        (f"{QUERY}&user=default&password={TOKEN}", {}),
    ],
)
def test_a_reader_gives_the_token_as_clickhouse_s_clients_give_passwords(
    house: House, path: str, headers: dict[str, str]
) -> None:
    assert asked(house, path, **headers) == (200, "1\n")


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        (QUERY, {}, 401, 194),
        (QUERY, {"Authorization": basic("default", "")}, 403, 516),
        (QUERY, {"Authorization": basic("default", TOKEN + "x")}, 403, 516),
        (QUERY, {"Authorization": basic("default", DIGEST)}, 403, 516),
        (QUERY, {"Authorization": "Basic !"}, 403, 516),
        (QUERY, {"Authorization": f"Bearer {TOKEN[:-1]}"}, 403, 516),
        (QUERY, {"X-ClickHouse-Key": ""}, 403, 516),
        (f"{QUERY}&password=", {}, 403, 516),
        # a wrong one is not made good by a right one elsewhere
        (f"{QUERY}&password={TOKEN}", {"X-ClickHouse-Key": "x"}, 403, 516),
        ("/query?query=SELECT%201", {}, 401, 194),
        (QUERY, {"Origin": "http://evil.example", "X-ClickHouse-Key": TOKEN}, 403, 497),
        (QUERY, {"Sec-Fetch-Site": "cross-site", "X-ClickHouse-Key": TOKEN}, 403, 497),
        (QUERY, {"Host": "evil.example", "X-ClickHouse-Key": TOKEN}, 403, 497),
    ],
)
def test_nobody_else_is_answered(
    house: House, path: str, headers: dict[str, str], status: int, code: int
) -> None:
    given, text = asked(house, path, **headers)
    assert (given, text.startswith(f"Code: {code}. ")) == (status, True), text
    assert "canary" not in text


def test_that_it_lives_is_told_to_everybody(house: House) -> None:
    assert asked(house, "/ping") == (200, "Ok.\n")


def test_an_unmodified_client_reads_with_the_token_and_not_without(house: House) -> None:
    host, port = house.addresses["store"].split(":")

    def client_with(password: str) -> Client:
        return clickhouse_connect.get_client(
            host=host, port=int(port), database="beleg", password=password
        )

    client = client_with(TOKEN)
    assert client.command("SELECT count() FROM v_orders") == 0
    client.close()
    for password, code in (("", 194), ("wrong", 516)):
        with pytest.raises(DatabaseError) as refused:
            client_with(password)
        assert refused.value.code == code


def test_commands_of_this_machine_ask_with_the_ticket_in_the_lock(house: House) -> None:
    assert house.ledger()["holds"] is True
    assert "takes writes" in house.run("check").stdout
    assert house.run("trace", "nothing", check=False).returncode == 1
    lock = house.config.parent / "data" / "run.lock"
    assert "ticket" in lock.read_text()
    assert lock.stat().st_mode & 0o077 == 0
    for process in house.running.values():
        assert "ticket" not in "".join(process.lines)


def test_the_admin_listener_wants_it_too(house: House) -> None:
    url = f"http://{house.addresses['run admin']}/metrics"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url)
    assert refused.value.code == 401
    refused.value.close()
    asking = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(asking) as answer:
        assert b"beleg_build_info" in answer.read()


def test_what_others_can_reach_starts_with_a_token(tmp_path: Path) -> None:
    extra = f'store.token = "{TOKEN}"\nadmin.token = "{TOKEN}"'
    with embedded_house(tmp_path, extra, listens="0.0.0.0:0") as house:
        assert house.run("ledger").returncode == 0
        assert asked(house, QUERY)[0] == 401
        # not bound to loopback, it cannot know its own names
        headers = {"Host": "reports.example", "X-ClickHouse-Key": TOKEN}
        assert asked(house, QUERY, **headers) == (200, "1\n")
