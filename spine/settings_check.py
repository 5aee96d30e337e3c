"""Which settings make sense together: what is well-typed and still refused."""

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from spine.access import is_loopback
from spine.currencies import CURRENCIES
from spine.errors import Misconfigured
from spine.event import ORDER_NAMES
from spine.settings import LogSettings, Settings, SiteSettings, address, key_digest

_SITE_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ORIGIN = re.compile(r"https?://[^/?#\s]+")
_HOST = re.compile(r"(?=.{1,200}\Z)[a-z0-9_-]+(?:\.[a-z0-9_-]+)+")
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")
_TOKEN = re.compile(r"[!-~]{16,}")
_KEY_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def check(settings: Settings) -> None:
    """Refuse settings that are well-typed but make no sense. Raises: Misconfigured."""
    for key, value in (
        ("collector.listen", settings.collector.listen),
        ("admin.listen", settings.admin.listen),
        ("store.listen", settings.store.listen or "127.0.0.1:0"),
    ):
        address(key, value)
    _check_token("admin", settings.admin.listen, settings.admin.token)
    _check_token("store", settings.store.listen, settings.store.token)
    for network in settings.collector.trusted_proxies:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise Misconfigured("collector.trusted_proxies", str(error)) from error
    _check_country_header(settings)
    _check_log_url(settings.log.url)
    _check_store_url(settings.store.url)
    if (settings.log.url == "embedded") != (settings.store.url == "embedded"):
        raise Misconfigured(
            "store.url", "log and store are both embedded, or Kafka and ClickHouse: nothing between"
        )
    _check_login(settings.log)
    if settings.collector.workers > 1 and settings.log.url == "embedded":
        raise Misconfigured(
            "collector.workers",
            "the embedded log belongs to one process: set it to 1, or log.url and store.url for"
            " many machines",
        )
    if settings.store.ca_file and not settings.store.url.startswith("clickhouses://"):
        raise Misconfigured("store.ca_file", "is for a store.url that begins with clickhouses://")
    _check_erasure(settings)
    _check_sites(settings.sites)


def _check_country_header(settings: Settings) -> None:
    header = settings.collector.country_header
    if header and not _HEADER.fullmatch(header):
        raise Misconfigured("collector.country_header", f'"{header}" is no name of a header')
    if header and not settings.collector.trusted_proxies:
        raise Misconfigured(
            "collector.country_header",
            "anybody may send it: name the proxy that sets it in collector.trusted_proxies",
        )
    for name, site in settings.sites.items():
        if site.regions and not header and not settings.collector.country_file:
            raise Misconfigured(
                f"sites.{name}.regions",
                "no country is known without collector.country_header or collector.country_file",
            )


def _check_log_url(url: str) -> None:
    if url != "embedded" and not url.startswith("kafka://"):
        raise Misconfigured("log.url", 'must be "embedded" or "kafka://host:port,…"')
    if "@" in url:  # it is shown in messages
        raise Misconfigured("log.url", "names nobody: set log.username and log.password")
    for server in url.removeprefix("kafka://").split(",") if url != "embedded" else ():
        address("log.url", server)


def _check_store_url(url: str) -> None:
    if url == "embedded":
        return
    try:
        good = urlsplit(url).scheme in ("clickhouse", "clickhouses") and urlsplit(url).port != 0
    except ValueError as error:  # its words quote what stands where a port should, a password even
        raise Misconfigured(
            "store.url", "has no port where one should be; a / or # in a password is %2F or %23"
        ) from error
    if not good:
        raise Misconfigured("store.url", 'must be "embedded" or "clickhouse://host:port/database"')


def _check_login(log: LogSettings) -> None:
    named = bool(log.sasl_mechanism)
    if named != bool(log.username) or named != bool(log.password):
        raise Misconfigured(
            "log.sasl_mechanism", "belongs together with log.username and log.password"
        )
    if log.sasl_mechanism == "PLAIN" and log.security != "tls":
        raise Misconfigured(
            "log.sasl_mechanism", 'PLAIN sends the password as it is: set log.security = "tls"'
        )
    if bool(log.cert_file) != bool(log.key_file):
        raise Misconfigured("log.cert_file", "belongs together with log.key_file")
    if (log.ca_file or log.cert_file) and log.security != "tls":
        raise Misconfigured("log.security", 'there are certificates: set it to "tls"')


def _check_erasure(settings: Settings) -> None:
    wanted = settings.erasure
    if wanted.key and wanted.key_file:
        raise Misconfigured("erasure.key_file", "erasure.key is set too: keep one of them")
    if wanted.key and len(wanted.key) < 32:
        raise Misconfigured("erasure.key", "needs at least 32 characters")


def _check_token(section: str, listen: str, token: str) -> None:
    if listen and not token and not is_loopback(listen):
        raise Misconfigured(
            f"{section}.listen",
            f"others can reach {listen}: set {section}.token, or listen on 127.0.0.1",
        )
    if token.startswith("sha256:") and not _KEY_DIGEST.fullmatch(token):
        raise Misconfigured(f"{section}.token", "sha256: needs 64 hexadecimal digits")
    if token and not _TOKEN.fullmatch(token):
        raise Misconfigured(
            f"{section}.token", "a token is at least 16 characters, of ASCII and without spaces"
        )


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
        _check_hosts(name, site)
        steps = site.funnel_steps
        if not steps or len(steps) > 20 or len(set(steps)) < len(steps) or "" in steps:
            raise Misconfigured(f"sites.{name}.funnel_steps", "1 to 20 event names, each once")
        _check_conversions(name, site)
        _check_keys(name, site, owners)


def _check_hosts(name: str, site: SiteSettings) -> None:
    for origin in site.origins:
        if not _ORIGIN.fullmatch(origin):
            raise Misconfigured(
                f"sites.{name}.origins", f'"{origin}" is not like "https://shop.example"'
            )
    for host in site.ignored_referrers:
        if not _HOST.fullmatch(host):
            raise Misconfigured(
                f"sites.{name}.ignored_referrers",
                f'"{host}" is not like "pay.example": lower case, no scheme, port or path',
            )


def _check_conversions(name: str, site: SiteSettings) -> None:
    """A conversion is of one kind, and the kinds `order` and `lead` are taken."""
    for one in site.lead_names:
        if one in ORDER_NAMES:
            raise Misconfigured(
                f"sites.{name}.lead_names", f'"{one}" is about an order, which is no lead besides'
            )
    taken = {"", "order", "lead", *ORDER_NAMES}
    for one in site.conversion_names:
        if one in taken or one in site.lead_names:
            raise Misconfigured(
                f"sites.{name}.conversion_names", f'"{one}" has a meaning of its own already'
            )


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
