"""Settings are read once, checked whole, and refused with the key and the remedy."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import pytest

from spine.errors import Misconfigured
from spine.settings import Secret, Settings, address
from spine.settings_file import load, packed, unpacked

TOKEN = "canary_token_of_the_test"
SITE = "[sites.shop]\n"


def read(text: str, tmp_path: Path, environment: Mapping[str, str] | None = None) -> Settings:
    file = tmp_path / "beleg.toml"
    file.write_text(text)
    return load(file, environment or {})


def trouble(text: str, tmp_path: Path, environment: Mapping[str, str] | None = None) -> str:
    with pytest.raises(Misconfigured) as refused:
        read(text, tmp_path, environment)
    return str(refused.value)


def test_every_default_works_without_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(None, {}) == Settings()
    (tmp_path / "beleg.toml").write_text('data_dir = "here"')
    assert load(None, {}).data_dir == "here"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1", "x: there is no such setting"),
        ("[colector]", "colector: there is no such setting"),
        ("[collector]\nport = 1", "collector.port: there is no such setting"),
        (SITE + 'key = "x"', "sites.shop.key: there is no such setting"),
        ("collector = 5", "collector: Expected `object`, got `int`"),
        ("sites = 5", "sites: Expected `object`, got `int`"),
        ("sites.shop = 5", "sites.shop: Expected `object`, got `int`"),
        ("[collector]\nlisten = 8080", "collector.listen: Expected `str`"),
        ('[collector]\nmax_events = "many"', "collector.max_events: Expected `int`"),
        ("[collector]\nmax_events = true", "collector.max_events: Expected `int`"),
        ("[collector]\nmax_events = 0", "collector.max_events: Expected `int` >= 1"),
        ("[collector]\nmax_body_bytes = 99999999", "collector.max_body_bytes: Expected `int` <="),
        ("[collector]\nbody_timeout_s = 0", "collector.body_timeout_s: Expected `float` > 0"),
        ("[collector]\nbody_timeout_s = nan", "collector.body_timeout_s: Expected `float` > 0"),
        ("[collector]\ntrusted_proxies = [5]", "collector.trusted_proxies[0]: Expected `str`"),
        ("[store]\nurl = 5", "store.url: Expected `str`, got `int`"),
        (SITE + "server_keys = [5]", "sites.shop.server_keys[0]: Expected `str`, got `int`"),
        (SITE + 'server_keys = "sk_secret"', "sites.shop.server_keys: Expected `array`"),
        ("[log]\npartitions = 0", "log.partitions: Expected `int` >= 1"),
        ('[log]\ntopic = "a b"', "log.topic: "),
    ],
)
def test_an_unknown_key_or_a_wrong_type_is_refused_by_its_path(
    tmp_path: Path, text: str, says: str
) -> None:
    assert trouble(text, tmp_path).startswith(says)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[collector]\nlisten = "8080"', "collector.listen"),
        ('[collector]\nlisten = ":8080"', "collector.listen"),
        ('[collector]\nlisten = "localhost:"', "collector.listen"),
        ('[collector]\nlisten = "localhost:65536"', "collector.listen"),
        ('[collector]\nlisten = "localhost:-1"', "collector.listen"),
        ('[collector]\nlisten = "localhost:²"', "collector.listen"),
        ('[admin]\nlisten = "x"', "admin.listen"),
        ('[store]\nlisten = "x"', "store.listen"),
        ('[admin]\nlisten = "0.0.0.0:9090"', "admin.listen"),
        ('[admin]\nlisten = "[::]:9090"', "admin.listen"),
        ('[admin]\nlisten = "collector.example:9090"', "admin.listen"),
        ('[store]\nlisten = "10.0.0.1:8123"', "store.listen"),
        (f'[store]\nlisten = "0.0.0.0:8123"\n[admin]\ntoken = "{TOKEN}"', "store.listen"),
        ('[admin]\ntoken = "only_15_letters"', "admin.token"),
        ('[admin]\ntoken = "with a space in it"', "admin.token"),
        ('[store]\ntoken = "sha256:abc"', "store.token"),
        ('[collector]\ntrusted_proxies = ["10.0.0.1/8"]', "collector.trusted_proxies"),
        ('[collector]\ntrusted_proxies = ["proxy"]', "collector.trusted_proxies"),
        ('[collector]\ncountry_header = "CF-IPCountry"', "collector.country_header"),
        (
            '[collector]\ntrusted_proxies = ["10.0.0.0/8"]\ncountry_header = "a b"',
            "collector.country_header",
        ),
        ('[sites.shop]\nregions = {FR = "fr_exempt"}', "sites.shop.regions"),
        ('[log]\nurl = "sqlite"', "log.url"),
        ('[log]\nurl = "kafka://user:canary_secret@a:9092"', "log.url"),
        ('[log]\nurl = "kafka://a"', "log.url"),
        ('[log]\nurl = "kafka://a:9092,b"', "log.url"),
        ('[store]\nurl = "clickhouse://beleg:canary/secret@a:8123/beleg"', "store.url"),
        ('[store]\nurl = "clickhouse://beleg:canary#secret@a:8123/beleg"', "store.url"),
        ('[store]\nurl = "clickhouse://beleg:canary?secret@a:8123/beleg"', "store.url"),
        ('[log]\nsecurity = "ssl"', "log.security"),
        ('[log]\nca_file = "ca.pem"', "log.security"),
        ('[log]\nsecurity = "tls"\ncert_file = "a.pem"', "log.cert_file"),
        ('[log]\nusername = "a"\npassword = "b"', "log.sasl_mechanism"),
        ('[log]\nsasl_mechanism = "SCRAM-SHA-512"\nusername = "a"', "log.sasl_mechanism"),
        ('[log]\nsasl_mechanism = "PLAIN"\nusername = "a"\npassword = "b"', "log.sasl_mechanism"),
        ('[log]\nsasl_mechanism = "GSSAPI"', "log.sasl_mechanism"),
        ('[store]\nurl = "postgres://x"', "store.url"),
        ('[log]\nurl = "kafka://a:9092"', "store.url"),
        ('[store]\nurl = "clickhouse://a:8123/beleg"', "store.url"),
        ('[sites."my shop"]', "sites.my shop"),
        (SITE + 'currency = "eur"', "sites.shop.currency"),
        (SITE + 'currency = "EURO"', "sites.shop.currency"),
        (SITE + 'timezone = "Berlin"', "sites.shop.timezone"),
        (SITE + 'lead_names = ["purchase"]', "sites.shop.lead_names"),
        (SITE + 'conversion_names = ["refund"]', "sites.shop.conversion_names"),
        (SITE + 'conversion_names = ["lead"]', "sites.shop.conversion_names"),
        (SITE + 'conversion_names = ["generate_lead"]', "sites.shop.conversion_names"),
        (SITE + 'conversion_names = [""]', "sites.shop.conversion_names"),
        (SITE + 'timezone = "Europe"', "sites.shop.timezone"),
        (SITE + 'timezone = ""', "sites.shop.timezone"),
        (SITE + 'timezone = "../etc/passwd"', "sites.shop.timezone"),
        (SITE + 'timezone = "\\u0000"', "sites.shop.timezone"),
        (SITE + 'origins = ["shop.example"]', "sites.shop.origins"),
        (SITE + 'origins = ["https://shop.example/"]', "sites.shop.origins"),
        (SITE + 'origins = ["*"]', "sites.shop.origins"),
        (SITE + 'origins = ["null"]', "sites.shop.origins"),
        (SITE + 'ignored_referrers = ["https://pay.example"]', "sites.shop.ignored_referrers"),
        (SITE + 'ignored_referrers = ["pay.example/3ds"]', "sites.shop.ignored_referrers"),
        (SITE + 'ignored_referrers = ["example"]', "sites.shop.ignored_referrers"),
        (SITE + 'bots = "delete"', "sites.shop.bots"),
        (SITE + 'session_rule = "adobe"', "sites.shop.session_rule"),
        (SITE + "session_timeout_s = 0", "sites.shop.session_timeout_s"),
        (SITE + "session_timeout_s = 28_501", "sites.shop.session_timeout_s"),
        (SITE + "engaged_after_s = 0", "sites.shop.engaged_after_s"),
        (SITE + 'browser_keys = ["short"]', "sites.shop"),
        (SITE + 'server_keys = ["sha256:abc"]', "sites.shop"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_key(tmp_path: Path, text: str, key: str) -> None:
    said = trouble(text, tmp_path)
    assert said.startswith(f"{key}: ")
    assert "canary" not in said


def test_others_may_reach_a_listener_that_has_a_token(tmp_path: Path) -> None:
    for token in (TOKEN, "sha256:" + sha256(TOKEN.encode()).hexdigest()):
        text = f'''
            [admin]
            listen = "0.0.0.0:9090"
            token = "{token}"
            [store]
            listen = "[::]:8123"
            token = "{token}"'''
        assert read(text, tmp_path).admin.token == token
    assert "set admin.token" in trouble('[admin]\nlisten = "0.0.0.0:9090"', tmp_path)
    assert read('[admin]\nlisten = "localhost:9090"', tmp_path).admin.token == ""


def test_a_key_belongs_to_one_site_and_one_kind(tmp_path: Path) -> None:
    digest = "sha256:" + sha256(b"test_key").hexdigest()
    for text in (
        SITE + 'browser_keys = ["key_12345"]\nserver_keys = ["key_12345"]',
        SITE + 'browser_keys = ["key_12345", "key_12345"]',
        SITE + 'server_keys = ["key_12345"]\n[sites.b]\nserver_keys = ["key_12345"]',
        SITE + f'server_keys = ["test_key", "{digest}"]',  # one key, written in two ways
    ):
        said = trouble(text, tmp_path)
        assert "a key of it is also in sites.shop" in said
        assert "key_12345" not in said


def test_the_environment_overrides_every_kind_of_value(tmp_path: Path) -> None:
    text = '[collector]\nmax_events = 5\nlisten = "a:1"\n[sites.Shop]\ncurrency = "EUR"\n'
    settings = read(
        text,
        tmp_path,
        {
            "BELEG__DATA_DIR": "5",
            "BELEG__COLLECTOR__MAX_EVENTS": "7",
            "BELEG__COLLECTOR__BODY_TIMEOUT_S": "2.5",
            "BELEG__COLLECTOR__LISTEN": "[::1]:8080",
            "BELEG__COLLECTOR__TRUSTED_PROXIES": '["10.0.0.0/8", "::1/128"]',
            "BELEG__SITES__SHOP__CURRENCY": "USD",
            "BELEG__SITES__SHOP__SERVER_KEYS": '["sk_from_env"]',
            "BELEG__SITES__NEW__ORIGINS": "[]",
            "BELEG_OTHER": "x",
            "PATH": "/bin",
        },
    )
    assert settings.data_dir == "5"
    assert settings.collector.max_events == 7
    assert settings.collector.body_timeout_s == 2.5
    assert settings.collector.listen == "[::1]:8080"
    assert settings.collector.trusted_proxies == ("10.0.0.0/8", "::1/128")
    assert set(settings.sites) == {"Shop", "new"}
    assert settings.sites["Shop"].currency == "USD"
    assert settings.sites["Shop"].server_keys == (Secret("sk_from_env"),)


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"BELEG__X": "1"}, "x: there is no such setting"),
        ({"BELEG__": "1"}, "settings: there is no such setting"),
        ({"BELEG__COLLECTOR__X": "1"}, "collector.x: there is no such setting"),
        ({"BELEG__COLLECTOR__MAX_EVENTS": "x"}, "collector.max_events: "),
        ({"BELEG__COLLECTOR__TRUSTED_PROXIES": "::1/128"}, "collector.trusted_proxies: "),
        (
            {"BELEG__COLLECTOR__TRUSTED_PROXIES": "[10.0.0.0/8]"},
            "BELEG__COLLECTOR__TRUSTED_PROXIES: is not a TOML list",
        ),
        ({"BELEG__DATA_DIR": "a", "BELEG__DATA_DIR__X": "b"}, "BELEG__DATA_DIR__X: names a key"),
        ({"BELEG__SITES__SHOP__CURRENCY": "x"}, "sites.shop.currency: "),
    ],
)
def test_a_wrong_environment_is_refused_too(
    tmp_path: Path, environment: Mapping[str, str], says: str
) -> None:
    assert trouble("", tmp_path, environment).startswith(says)


def test_secrets_are_never_shown(tmp_path: Path) -> None:
    text = (
        '[log]\nurl = "kafka://a:9092"\n[store]\nurl = "clickhouse://me:pass-canary@h:8123/beleg"\n'
        + SITE
        + 'server_keys = ["sk_canary_key"]\nbrowser_keys = ["bk_public"]'
    )
    settings = read(text, tmp_path)
    assert "canary" not in repr(settings)
    assert "bk_public" in repr(settings)
    assert settings.sites["shop"].server_keys == ("sk_canary_key",)
    for wrong in ("currency = 5", 'currency = "x"', "x = 1"):
        assert "canary" not in trouble(f"{text}\n{wrong}", tmp_path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    for content in (b"x = ", b"\xff", b"\x00", b"\xef\xbb\xbfx = 1"):
        broken.write_bytes(content)
        with pytest.raises(Misconfigured) as refused:
            load(broken, {})
        assert refused.value.key == str(broken)
    for nowhere in (tmp_path, tmp_path / "nowhere.toml", broken / "below"):
        with pytest.raises(Misconfigured, match="cannot be read") as refused:
            load(nowhere, {})
        assert refused.value.key == str(nowhere)


def test_an_address_is_a_host_and_a_port() -> None:
    assert address("x", "127.0.0.1:0") == ("127.0.0.1", 0)
    assert address("x", "[::1]:8080") == ("::1", 8080)
    assert address("x", "localhost:65535") == ("localhost", 65_535)


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Settings().data_dir = "x"  # type: ignore[misc]


def test_settings_that_are_handed_on_are_the_same_with_their_secrets(tmp_path: Path) -> None:
    text = (
        f'admin.token = "{TOKEN}"\n{SITE}server_keys = ["sk_canary_12345"]\norigins = ["http://x"]'
    )
    settings = read(text, tmp_path)
    handed_on = unpacked(packed(settings))
    assert handed_on == settings
    assert type(handed_on.admin.token) is type(handed_on.sites["shop"].server_keys[0]) is Secret
    assert packed(settings).count(b"\n") == 1


def test_the_embedded_log_has_one_worker(tmp_path: Path) -> None:
    said = trouble("collector.workers = 2", tmp_path)
    assert said.startswith("collector.workers: the embedded log belongs to one process: set it to")
    kafka = 'log.url = "kafka://a:1"\nstore.url = "clickhouse://b:2/beleg"\n'
    assert read(f"{kafka}collector.workers = 2", tmp_path).collector.workers == 2
