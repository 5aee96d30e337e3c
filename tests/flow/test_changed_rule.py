"""A rule of sessions that an operator changes, through the commands."""

from pathlib import Path

from tests.flow.houses import SERVER_KEY, House, embedded_house

_EVENT = (
    '{"name": "page_view", "event_id": "e%d", "occurred_at": "2026-01-05T%s:00Z",'
    ' "anonymous_id": "a", "page": {"url": "https://shop.example/%s"},'
    ' "consent": {"purposes": {"analytics": true}}}\n'
)
_TAGGED = "?utm_source=letter&utm_medium=email"


def _cut_by(house: House, *lines: str) -> None:
    text = house.config.read_text().partition("\n# changed\n")[0]
    house.config.write_text("\n".join([f"{text}\n# changed", *lines, ""]))


def test_a_changed_rule_is_told_of_until_a_rebuild(tmp_path: Path) -> None:
    """The audit asks the running process, by the rule in force: its statements may be asked."""
    file = tmp_path / "events.ndjson"
    moments = (("10:00", ""), ("10:45", ""), ("11:05", _TAGGED))
    file.write_text("".join(_EVENT % (n, *one) for n, one in enumerate(moments)))
    with embedded_house(tmp_path) as house:
        house.run("send", str(file), "--url", house.url, "--key", SERVER_KEY)
        house.wait_until("SELECT count() FROM v_sessions", 2)
        assert "until `beleg rebuild`" not in house.run("check").stdout
        assert house.running["run"].end() == 0

        _cut_by(
            house,
            'session_rule = "matomo"',
            "session_timeout_s = 3600",
            "engaged_after_s = 5",
        )
        house.start("run")
        assert any("rule of sessions waits" in line for line in house.running["run"].lines)
        assert house.ask("SELECT count() FROM v_sessions") == [(2,)]
        assert house.running["run"].end() == 0
        assert "site shop: sessions are cut by another rule" in house.run("check").stdout

        house.run("rebuild")
        assert "until `beleg rebuild`" not in house.run("check").stdout
        house.start("run")
        assert house.ask(
            "SELECT events, duration_s, source FROM v_sessions ORDER BY started_at"
        ) == [(2, 2_700.0, "(direct)"), (1, 0.0, "letter")]
        assert "0 differences" in house.run("audit").stdout
