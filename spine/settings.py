"""The settings: what there is to set, and what makes sense together.

Read once by the roof (`spine.settings_file`); every part is handed its own section. Each field
carries its unit in its name and one sentence in its `Meta`; `docs/settings.md` and
`settings.example.toml` are made from them and a test compares.
"""

import ipaddress
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from spine.currencies import CURRENCIES
from spine.errors import Misconfigured

_SITE_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ORIGIN = re.compile(r"https?://[^/?#\s]+")
_KEY_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Secret(str):
    """A text that no log line, error or repr ever shows."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def _says(text: str, **limits: Any) -> Any:
    return Meta(description=text, **limits)


class CollectorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the public HTTP listener accepts."""

    listen: Annotated[str, _says("Address and port of the public listener; port 0 picks one.")] = (
        "127.0.0.1:8080"
    )
    trusted_proxies: Annotated[
        tuple[str, ...],
        _says("Networks (CIDR) whose X-Forwarded-For is believed."),
    ] = ()
    max_body_bytes: Annotated[
        int, _says("Largest body, as sent and as unpacked.", ge=1024, le=16_777_216)
    ] = 1_048_576
    max_events: Annotated[int, _says("Most events in one request.", ge=1, le=5_000)] = 500
    max_in_flight_bytes: Annotated[
        int,
        _says("Bytes of records on their way to the log; beyond it the answer is 503.", ge=65_536),
    ] = 67_108_864
    body_timeout_s: Annotated[float, _says("How long a body may take to arrive.", gt=0)] = 10.0


class AdminSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The listener for operations; it has no password, keep it on loopback."""

    listen: Annotated[str, _says("Address and port of health, metrics, ledger and trace.")] = (
        "127.0.0.1:9090"
    )


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where accepted events are durable."""

    url: Annotated[
        str, _says('"embedded", or "kafka://host1:9092,host2:9092" for many machines.')
    ] = "embedded"
    topic: Annotated[str, _says("Kafka topic.", pattern="^[a-zA-Z0-9._-]{1,200}$")] = "collected"
    group: Annotated[str, _says("Kafka consumer group of the processors.", min_length=1)] = "beleg"
    partitions: Annotated[
        int, _says("Partitions of the Kafka topic when it is made; embedded has one.", ge=1, le=512)
    ] = 12
    append_deadline_ms: Annotated[
        int, _says("How long an append may take before the answer is 503.", ge=100)
    ] = 5_000
    spill_after_ms: Annotated[
        int,
        _says("How long a collector waits for Kafka before it writes to its own disk.", ge=10),
    ] = 1_000
    spill_max_bytes: Annotated[
        int,
        _says("Bound of what a collector keeps on disk while Kafka is away; then 503.", ge=1 << 20),
    ] = 1 << 30
    max_bytes: Annotated[
        int, _says("Bound of the embedded log on disk; at the bound the answer is 503.", ge=1 << 20)
    ] = 10 << 30
    retention_s: Annotated[int, _says("How long the embedded log keeps what has landed.", ge=0)] = (
        86_400
    )


class StoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where rows rest and are asked."""

    url: Annotated[
        Secret,
        _says('"embedded", or "clickhouse://user:password@host:8123/beleg" for many machines.'),
    ] = Secret("embedded")
    listen: Annotated[
        str, _says("Read-only ClickHouse HTTP endpoint of the embedded store; empty for none.")
    ] = "127.0.0.1:8123"
    query_memory_bytes: Annotated[
        int, _says("Memory one query through the read endpoint may use.", ge=1 << 24)
    ] = 1 << 30
    query_timeout_s: Annotated[
        float, _says("Time one query through the read endpoint may take.", gt=0)
    ] = 60.0


class ProcessorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the log becomes rows."""

    batch_records: Annotated[
        int, _says("Most records judged and landed together.", ge=1, le=100_000)
    ] = 30_000
    batch_wait_ms: Annotated[
        int, _says("How long a batch that is not full waits for more.", ge=10)
    ] = 1_000
    drain_deadline_s: Annotated[
        float, _says("How long a stopping process may take to finish what it began.", gt=0)
    ] = 20.0


class SiteSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One shop, app or web site."""

    currency: Annotated[str, _says("Its currency, ISO 4217.")] = "EUR"
    timezone: Annotated[str, _says("Its time zone; KPI days are days there.")] = "UTC"
    origins: Annotated[tuple[str, ...], _says("Origins of its pages, as browsers send them.")] = ()
    browser_keys: Annotated[tuple[str, ...], _says("Public keys for pages and apps.")] = ()
    server_keys: Annotated[
        tuple[Secret, ...], _says('Secret keys for servers, or "sha256:<hex>" of one.')
    ] = ()
    consent: Annotated[str, _says("Name of a consent rules file, or a path to one.")] = "eu"
    lead_names: Annotated[tuple[str, ...], _says("Event names that count as leads.")] = (
        "generate_lead",
    )


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole tree; parts get their own section, never this."""

    data_dir: Annotated[
        str, _says("Embedded log, embedded store, spill, locks and temporary files.")
    ] = "./beleg-data"
    collector: CollectorSettings = CollectorSettings()
    admin: AdminSettings = AdminSettings()
    log: LogSettings = LogSettings()
    store: StoreSettings = StoreSettings()
    processors: ProcessorSettings = ProcessorSettings()
    sites: dict[str, SiteSettings] = {}


def check(settings: Settings) -> None:
    """Refuse settings that are well-typed but make no sense. Raises: Misconfigured."""
    for key, value in (
        ("collector.listen", settings.collector.listen),
        ("admin.listen", settings.admin.listen),
        ("store.listen", settings.store.listen or "127.0.0.1:0"),
    ):
        address(key, value)
    for network in settings.collector.trusted_proxies:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise Misconfigured("collector.trusted_proxies", str(error)) from error
    if settings.log.url != "embedded" and not settings.log.url.startswith("kafka://"):
        raise Misconfigured("log.url", 'must be "embedded" or "kafka://host:port,…"')
    if settings.store.url != "embedded" and not settings.store.url.startswith(
        ("clickhouse://", "clickhouses://")
    ):
        raise Misconfigured("store.url", 'must be "embedded" or "clickhouse://host:port/database"')
    if (settings.log.url == "embedded") != (settings.store.url == "embedded"):
        raise Misconfigured(
            "store.url", "log and store are both embedded, or Kafka and ClickHouse: nothing between"
        )
    _check_sites(settings.sites)


def _check_sites(sites: Mapping[str, SiteSettings]) -> None:
    owners: dict[bytes, str] = {}
    for name, site in sites.items():
        if not _SITE_NAME.fullmatch(name):
            raise Misconfigured(f"sites.{name}", "a site's name is letters, digits, '-' and '_'")
        if site.currency not in CURRENCIES:
            raise Misconfigured(f"sites.{name}.currency", "is not a current ISO 4217 code")
        try:
            ZoneInfo(site.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise Misconfigured(f"sites.{name}.timezone", "is not a known time zone") from error
        for origin in site.origins:
            if not _ORIGIN.fullmatch(origin):
                raise Misconfigured(
                    f"sites.{name}.origins", f'"{origin}" is not like "https://shop.example"'
                )
        _check_keys(name, site, owners)


def _check_keys(name: str, site: SiteSettings, owners: dict[bytes, str]) -> None:
    for key in (*site.browser_keys, *site.server_keys):
        if len(key) < 8:
            raise Misconfigured(f"sites.{name}", "a key needs at least 8 characters")
        if key.startswith("sha256:") and not _KEY_DIGEST.fullmatch(key):
            raise Misconfigured(f"sites.{name}", "a key's sha256: needs 64 hexadecimal digits")
        digest = key_digest(key)
        if digest in owners:
            raise Misconfigured(f"sites.{name}", f"a key of it is also in sites.{owners[digest]}")
        owners[digest] = name


def key_digest(key: str) -> bytes:
    """Give the SHA-256 under which a key is known, of the key itself or as `sha256:<hex>` has it.

    Shape: 32 bytes."""
    if key.startswith("sha256:"):
        return bytes.fromhex(key.removeprefix("sha256:"))
    return sha256(key.encode()).digest()


def address(key: str, listen: str) -> tuple[str, int]:
    """Split `host:port`. Raises: Misconfigured that names `key`."""
    host, colon, port = listen.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65_535:
        raise Misconfigured(key, f'"{listen}" is not like "127.0.0.1:8080"')
    return host.strip("[]"), int(port)
