"""The settings: what there is to set; what makes sense together is in `spine.settings_check`.

Read once by the roof (`spine.settings_file`); every part is handed its own section. Each field
carries its unit in its name and one sentence in its `Meta`; `docs/settings.md` and
`settings.example.toml` are made from them and a test compares.
"""

from hashlib import sha256
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from spine.errors import Misconfigured
from spine.log import MOST_RECORDS


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
    workers: Annotated[
        int,
        _says("Processes of `beleg collect` that share this address; with Kafka.", ge=1, le=256),
    ] = 1
    trusted_proxies: Annotated[
        tuple[str, ...],
        _says("Networks (CIDR) whose X-Forwarded-For is believed."),
    ] = ()
    country_header: Annotated[
        str,
        _says("Header in which those proxies tell a visitor's country, such as CF-IPCountry."),
    ] = ""
    country_file: Annotated[
        str,
        _says("Database of places by address (.mmdb): country if no header tells it, and region."),
    ] = ""
    max_body_bytes: Annotated[
        int, _says("Largest body, as sent and as unpacked.", ge=1024, le=16_777_216)
    ] = 1_048_576
    max_events: Annotated[int, _says("Most events in one request.", ge=1, le=5_000)] = 500
    max_in_flight_bytes: Annotated[
        int,
        _says("Bytes of bodies and of records on their way to the log; then 503.", ge=65_536),
    ] = 67_108_864
    max_in_flight_requests: Annotated[
        int, _says("Requests that are whole and not answered; then 503.", ge=16)
    ] = 4_096
    max_wait_ms: Annotated[
        int, _says("How long requests may wait for the CPU before fewer are let in.", ge=1)
    ] = 15
    max_connections: Annotated[
        int, _says("Open connections; one more is closed. At least 512 files are left.", ge=1)
    ] = 10_000
    max_requests_per_connection: Annotated[
        int, _says("Requests until a connection is closed, and opened anew elsewhere.", ge=1)
    ] = 1_000
    max_header_bytes: Annotated[
        int, _says("Request line and headers together; then 431.", ge=1_024, le=1_048_576)
    ] = 32_768
    header_timeout_s: Annotated[
        float, _says("How long headers may take to arrive, and answers to be taken.", gt=0)
    ] = 10.0
    body_timeout_s: Annotated[float, _says("How long a body may take to arrive.", gt=0)] = 10.0
    unknown_keys_per_minute: Annotated[
        int, _says("Unknown keys from one network (IPv4 /24, IPv6 /48); then 429.", ge=1)
    ] = 120
    withdrawals_max_age_s: Annotated[
        float,
        _says(
            "How long the control log may be out of reach; then events that need consent get 503.",
            gt=0,
        ),
    ] = 2.0
    idle_timeout_s: Annotated[
        float, _says("How long a connection stays open between requests.", gt=0)
    ] = 75.0


class AdminSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The listener for operations."""

    listen: Annotated[
        str,
        _says("Address and port of health, metrics, ledger, trace; beyond loopback with a token."),
    ] = "127.0.0.1:9090"
    token: Annotated[
        Secret,
        _says('Token that all but /healthz and /readyz then need, or "sha256:<hex>" of it.'),
    ] = Secret("")


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where accepted events are durable."""

    url: Annotated[
        str, _says('"embedded", or "kafka://host1:9092,host2:9092" for many machines.')
    ] = "embedded"
    security: Annotated[
        Literal["plaintext", "tls"], _says("How Kafka's brokers are reached: in the open, or TLS.")
    ] = "plaintext"
    ca_file: Annotated[
        str, _says("PEM file that the brokers' certificates are checked with; empty: the system's.")
    ] = ""
    cert_file: Annotated[str, _says("PEM file of our own certificate, where brokers want one.")] = (
        ""
    )
    key_file: Annotated[str, _says("PEM file of its key.")] = ""
    sasl_mechanism: Annotated[
        Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"],
        _says("How we say who we are: PLAIN (through TLS only), SCRAM-SHA-256 or SCRAM-SHA-512."),
    ] = ""
    username: Annotated[str, _says("Who we are for Kafka.")] = ""
    password: Annotated[Secret, _says("And the password.")] = Secret("")
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
        _says(
            '"embedded", or "clickhouse://user:password@host:8123/beleg"; clickhouses:// is TLS.'
        ),
    ] = Secret("embedded")
    ca_file: Annotated[
        str,
        _says("PEM file that a clickhouses:// server is checked with; empty: the system's."),
    ] = ""
    listen: Annotated[
        str, _says("Read-only ClickHouse HTTP endpoint of the embedded store; empty for none.")
    ] = "127.0.0.1:8123"
    token: Annotated[
        Secret,
        _says('Password that the read endpoint then asks for, or "sha256:<hex>" of it.'),
    ] = Secret("")
    query_memory_bytes: Annotated[
        int, _says("Memory one query through the read endpoint may use.", ge=1 << 24)
    ] = 1 << 30
    query_timeout_s: Annotated[
        float, _says("Time one query through the read endpoint may take.", gt=0)
    ] = 60.0


class ProcessorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the log becomes rows."""

    batch_records: Annotated[
        int, _says("Most records judged and landed together.", ge=1, le=MOST_RECORDS)
    ] = 30_000
    batch_wait_ms: Annotated[
        int, _says("How long a batch that is not full waits for more.", ge=10)
    ] = 1_000
    seen_filter_bytes: Annotated[
        int,
        _says(
            "Most memory of the filter that knows new events without asking the store; enough for"
            " 100 million events by default.",
            ge=1 << 16,
        ),
    ] = 1 << 27
    drain_deadline_s: Annotated[
        float, _says("How long a stopping process may take to finish what it began.", gt=0)
    ] = 20.0


class ErasureSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How it is remembered who was erased."""

    key: Annotated[
        Secret,
        _says("Secret that marks the erased and signs receipts, 32 characters; all processes'."),
    ] = Secret("")
    key_file: Annotated[
        str,
        _says("File with it instead; empty on one machine: erasure.key in data_dir, made there."),
    ] = ""


class SiteSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One shop, app or web site."""

    currency: Annotated[str, _says("Its currency, ISO 4217.")] = "EUR"
    timezone: Annotated[str, _says("Its time zone; KPI days are days there.")] = "UTC"
    origins: Annotated[tuple[str, ...], _says("Origins of its pages, as browsers send them.")] = ()
    browser_keys: Annotated[tuple[str, ...], _says("Public keys for pages and apps.")] = ()
    server_keys: Annotated[
        tuple[Secret, ...], _says('Secret keys for servers, or "sha256:<hex>" of one.')
    ] = ()
    events_per_second: Annotated[
        int,
        _says("Most events a second, in each collector process; then 429. 0 is no limit.", ge=0),
    ] = 0
    consent: Annotated[str, _says("Name of a consent rules file, or a path to one.")] = "eu"
    regions: Annotated[
        dict[str, str],
        _says('Other rules for visitors of a country: {FR = "fr_exempt"}, by ISO 3166-1.'),
    ] = {}
    session_rule: Annotated[
        Literal["ga4", "matomo", "universal"],
        _says("What ends a session beside a gap; a change of these three needs `beleg rebuild`."),
    ] = "ga4"
    session_timeout_s: Annotated[
        int, _says("A gap of more than this ends a session.", ge=60, le=28_500)
    ] = 1_800
    engaged_after_s: Annotated[
        int, _says("A session of more than this is engaged.", ge=1, le=3_600)
    ] = 10
    ignored_referrers: Annotated[
        tuple[str, ...],
        _says("Hosts whose visitors were here before, besides known ones for paying and sign-in."),
    ] = ()
    bots: Annotated[
        Literal["exclude", "include"],
        _says("Whether events of bots make sessions, leads and persons; they are flagged anyway."),
    ] = "exclude"
    lead_names: Annotated[tuple[str, ...], _says("Event names that count as leads.")] = (
        "generate_lead",
    )
    conversion_names: Annotated[
        tuple[str, ...],
        _says("Further event names that count as conversions, each a kind of its own."),
    ] = ()
    funnel_steps: Annotated[
        tuple[str, ...], _says("Event names that are the steps of its funnel, in order.")
    ] = ("view_item", "add_to_cart", "begin_checkout", "add_payment_info", "purchase")
    identity_asks_servers: Annotated[
        bool,
        _says("Whether only server keys may join user ids, CRM ids, e-mails and phones."),
    ] = False


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole tree; parts get their own section, never this."""

    data_dir: Annotated[
        str, _says("Embedded log, embedded store, spill, who withdrew, locks and temporary files.")
    ] = "./beleg-data"
    collector: CollectorSettings = CollectorSettings()
    admin: AdminSettings = AdminSettings()
    log: LogSettings = LogSettings()
    store: StoreSettings = StoreSettings()
    processors: ProcessorSettings = ProcessorSettings()
    erasure: ErasureSettings = ErasureSettings()
    sites: dict[str, SiteSettings] = {}


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
