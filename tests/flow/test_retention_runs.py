"""Retention as operators have it: the command, killed at every line that writes, and the task."""

import asyncio
import json
import subprocess
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from consent_rules.regime import KEEPINGS
from spine.failpoint import FAIL_POINTS
from tests.clickhouse_server import Server
from tests.faults.machine import RETAINING
from tests.flow.aging import TODAY, fill
from tests.flow.houses import SITE, House

ROOT = Path(__file__).parents[2]


def config_in(directory: Path, more: str) -> Path:
    """Write settings of a shop whose rules keep usage for ten days."""
    rules = directory / "own.toml"
    eu = (ROOT / "consent_rules" / "eu.toml").read_text()
    rules.write_text(eu.replace(f"days = {KEEPINGS['usage'].days}", "days = 10"))
    config = directory / "beleg.toml"
    config.write_text(
        f'data_dir = "{directory / "data"}"\n{more}\n{SITE}consent = "{rules}"\n',
    )
    return config


def test_a_run_that_is_killed_at_any_line_that_writes_is_done_again(
    clickhouse_server: Server, tmp_path: Path, site: str
) -> None:
    url = f"clickhouse://{clickhouse_server.host}:{clickhouse_server.port}/d{site}"
    asyncio.run(fill(url, str(tmp_path)))
    more = f'store.url = "{url}"\nlog.url = "kafka://127.0.0.1:1"'
    house = House(config_in(tmp_path, more), (), ExitStack())
    shown = house.run("retention").stdout
    assert "usage" in shown and "GDPR Art. 5(1)(e)" in shown and "orders stay" in shown
    due = {one["retention"]: one["due"] for one in _report(house)["classes"]}
    assert due["usage"] > 0 and due["accounting"] == 0
    for point in sorted(RETAINING, key=FAIL_POINTS.index):
        killed = house.run("retention", "--run", check=False, env={"BELEG_FAILPOINT": point})
        assert killed.returncode == -9, (point, killed.stdout, killed.stderr)
    house.run("retention", "--run")
    report = _report(house)
    assert report["today"] == str(datetime.fromtimestamp(TODAY * 86_400, UTC).date())
    assert {one["due"] for one in report["classes"]} == {0}
    assert all(one["ended_at"] for one in report["classes"] if one["retention"] == "usage")
    house.run("audit")


def _report(house: House) -> dict[str, Any]:
    return dict(json.loads(house.run("retention", "--json").stdout))


def test_beleg_run_deletes_by_itself_what_is_over(tmp_path: Path) -> None:
    config = config_in(
        tmp_path,
        'collector.listen = "127.0.0.1:0"\nadmin.listen = "127.0.0.1:0"\n'
        'store.listen = "127.0.0.1:0"',
    )
    filling = (
        "import asyncio; from tests.flow.aging import fill;"
        f" asyncio.run(fill('embedded', {str(tmp_path / 'data')!r}))"
    )
    subprocess.run([sys.executable, "-c", filling], check=True, cwd=ROOT, timeout=120)
    house = House(config, ("run",), ExitStack())
    try:
        house.wait_until("SELECT count() FROM events WHERE retention = 'usage' AND"
                         f" occurred_at < toDate({TODAY - 10})", 0)  # fmt: skip
        house.wait_until("SELECT count() > 0 FROM retention_runs", 1)
        refused = house.run("retention", "--run", check=False)
        assert refused.returncode == 2 and "run" in refused.stderr
        assert "the embedded log keeps" in house.run("retention").stdout
        house.run("audit")
    finally:
        house.close()
