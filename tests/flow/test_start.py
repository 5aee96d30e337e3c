"""What cannot start says why in one sentence that names the key, and exits with 2."""

import asyncio
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from spine.kafka.topic import KafkaTopic
from tests.flow.houses import SITE, embedded_house, kafka_house
from tests.flow.processes import Process
from tests.kafka_broker import Broker
from tests.kafka_logs import admin


def beleg(*arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "beleg", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done.stdout + done.stderr
    sentence = done.stderr.strip().splitlines()[-1]
    assert sentence.startswith("beleg: "), done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in sentence, sentence


def test_an_unknown_setting_is_named(tmp_path: Path) -> None:
    (tmp_path / "beleg.toml").write_text('[log]\ntopics = "x"\n')
    refused(beleg("run", cwd=tmp_path), "log", "topics")


def test_a_setting_of_the_wrong_type_is_named(tmp_path: Path) -> None:
    refused(
        beleg("run", cwd=tmp_path, BELEG__PROCESSORS__BATCH_RECORDS="many"),
        "processors.batch_records",
    )


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    refused(beleg("--config", "nowhere.toml", "check", cwd=tmp_path), "nowhere.toml")


def test_a_data_dir_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(beleg("run", cwd=tmp_path, BELEG__DATA_DIR=str(tmp_path / "file")), "data_dir")


@pytest.mark.parametrize("key", ["collector.listen", "admin.listen", "store.listen"])
def test_a_port_in_use_is_named(tmp_path: Path, key: str) -> None:
    section, name = key.split(".")
    free = {f"BELEG__{part}__LISTEN": "127.0.0.1:0" for part in ("COLLECTOR", "ADMIN", "STORE")}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        env = {**free, f"BELEG__{section.upper()}__{name.upper()}": where}
        refused(beleg("run", cwd=tmp_path, **env), key, where)


def test_a_second_process_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    with embedded_house(tmp_path) as house:
        refused(house.run("run", check=False), "data_dir", "another `beleg run`")
        refused(house.run("migrate", check=False), "data_dir", "another `beleg run`")
        assert "takes writes" in house.run("check").stdout


@pytest.mark.parametrize("section", ["ADMIN", "STORE"])
@pytest.mark.parametrize("command", ["check", "run"])
def test_a_listener_that_others_reach_needs_a_token(
    tmp_path: Path, section: str, command: str
) -> None:
    done = beleg(command, cwd=tmp_path, **{f"BELEG__{section}__LISTEN": "0.0.0.0:0"})
    refused(done, f"{section.lower()}.listen", f"set {section.lower()}.token")


def test_collect_and_process_need_kafka(tmp_path: Path) -> None:
    refused(beleg("collect", cwd=tmp_path), "log.url", "beleg run")
    refused(beleg("process", cwd=tmp_path), "log.url", "beleg run")


def test_an_unreachable_kafka_is_named(tmp_path: Path) -> None:
    env = {
        "BELEG__LOG__URL": "kafka://127.0.0.1:9",
        "BELEG__LOG__APPEND_DEADLINE_MS": "500",
        "BELEG__STORE__URL": "clickhouse://127.0.0.1:9/beleg",
    }
    refused(beleg("collect", cwd=tmp_path, **env), "log.url", "127.0.0.1:9")


def test_an_unreachable_store_is_named(tmp_path: Path, kafka_broker: Broker) -> None:
    env = {
        "BELEG__LOG__URL": f"kafka://{kafka_broker.servers}",
        "BELEG__LOG__TOPIC": f"start-{time.time_ns()}",
        "BELEG__STORE__URL": "clickhouse://user:hidden-password@127.0.0.1:9/beleg",
    }
    done = beleg("migrate", cwd=tmp_path, **env)
    refused(done, "store.url")
    assert "hidden-password" not in done.stdout + done.stderr


def test_check_tells_what_is_missing_and_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "beleg.toml").write_text(SITE)
    done = beleg("check", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "site shop: consent rules eu" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["beleg.toml"]


def test_log_lines_are_json_and_never_carry_a_key(tmp_path: Path) -> None:
    with embedded_house(tmp_path) as house:
        process: Process = house.running["run"]
        assert process.end() == 0
        assert all(line.startswith("{") for line in process.lines)
        assert not any("sk_flow" in line for line in process.lines)


def test_check_warns_of_a_topic_that_one_broker_could_lose(
    tmp_path: Path, kafka_broker: Broker
) -> None:
    with kafka_house(tmp_path, kafka_broker) as house:
        checked = house.run("check").stdout
        assert "1 replica(s): keep 3" in checked
        assert "min.insync.replicas is 1" in checked
        assert "takes writes" in checked


def test_check_looks_at_the_topic_of_salts_where_a_site_has_ids_of_the_day(
    tmp_path: Path, kafka_broker: Broker
) -> None:
    key = 'erasure.key = "a secret of more than thirty-two characters"'
    with kafka_house(tmp_path, kafka_broker, key, roles=()) as house:
        assert "-salts" not in house.run("check").stdout
        with house.config.open("a") as config:
            config.write('consent = "fr_cookieless"\n')
        refused(house.run("check", check=False), "-salts yet", "beleg migrate")
        _ = house.run("migrate")
        (salts,) = re.findall(r"topic (\S+-salts) has 1 replica", house.run("check").stdout)
        asyncio.run(_kept_for_ever(kafka_broker, salts))
        refused(house.run("check", check=False), f"{salts}: retention.ms", "outlive their day")


async def _kept_for_ever(broker: Broker, topic: str) -> None:
    salts = KafkaTopic(broker.servers, topic, 1, kind="salts")
    kept = {**salts.required, "retention.ms": "-1", "max.message.bytes": "8388608"}
    async with admin(salts) as client:
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, kept)])


def test_check_does_not_make_the_topic_it_misses(tmp_path: Path, kafka_broker: Broker) -> None:
    env = {
        "BELEG__LOG__URL": f"kafka://{kafka_broker.servers}",
        "BELEG__LOG__TOPIC": f"missing-{time.time_ns()}",
        "BELEG__STORE__URL": "clickhouse://127.0.0.1:9/beleg",
    }
    for _ in range(2):
        refused(beleg("check", cwd=tmp_path, **env), "log.topic", "beleg migrate")
