"""The pixel: one event as the parameters of an address. Pure; the answer is always the same image.

A name with a dot is a field of a field (`page.url`), what is empty is absent, and no name may stand
there twice. `consent=analytics` is `consent.purposes.analytics=true`. Times, amounts and ids are
the texts that the JSON of an event has too.
"""

import base64
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from collector.answer import Headers
from collector.decode import Claims, Unreadable, decode
from spine.codes import Refused

PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
"""A transparent image of one pixel, GIF89a."""

IMAGE: Headers = (
    ("Content-Type", "image/gif"),
    ("Cache-Control", "no-store, max-age=0"),
    ("Cross-Origin-Resource-Policy", "cross-origin"),  # or isolated pages would not ask for it
)
"""What is said of the image: that every page may show it, and nobody may keep it."""

MOST_CHARACTERS = 8_192
_NOT_OF_THE_EVENT = frozenset({"key", "gdpr", "gdpr_consent", "gpp", "gcs", "gcd"})
_WORDS = {"true": True, "1": True, "false": False, "0": False}
_HALF = re.compile("[\\ud800-\\udfff]")
_encoder = msgspec.json.Encoder()
_raw = msgspec.json.Decoder(msgspec.Raw)


def claims_of(query: str, parameters: Iterable[tuple[str, str]]) -> Claims:
    """Read the one event of a query. Total: what is wrong with it is a refusal."""
    if len(query) > MOST_CHARACTERS:
        why = f"A query may have {MOST_CHARACTERS} characters"
        return Claims([Refused("too_long", "$", why)], None)
    event: dict[str, Any] = {}
    for sent, said in parameters:
        name, value = _HALF.sub("\ufffd", sent), _HALF.sub("\ufffd", said)
        if not all(_put(event, *field) for field in _fields(name, value)):
            twice = Refused("bad_value", f"$.{name}"[:200], "It stands there twice")
            return Claims([twice], None)
    found = decode(_encoder.encode({"events": [event]}), 1)
    if isinstance(found, Unreadable):
        return Claims([Refused("bad_value", "$", found.detail)], None)
    return found


def _fields(name: str, value: str) -> Iterable[tuple[str, str]]:
    """Give the fields that a parameter fills: one, none, or a purpose for each word."""
    if name == "consent":
        words = [word.strip() for word in value.split(",")]
        return [(f"consent.purposes.{word}", "true") for word in words if word]
    return [(name, value)] if value and name not in _NOT_OF_THE_EVENT else []


def _put(event: dict[str, Any], name: str, value: str) -> bool:
    """Put a value where its name says; give False if something stands there already."""
    field, dot, inner = name.partition(".")
    at, said = (event, field) if not dot else (event.setdefault(field, {}), inner)
    if field == "consent" and inner.startswith("purposes."):
        at, said = at.setdefault("purposes", {}), inner.removeprefix("purposes.")
    if not isinstance(at, dict) or said in at:
        return False
    at[said] = _value(name, value)
    return True


def _value(name: str, value: str) -> Any:
    if name == "commerce.items":
        try:
            return _raw.decode(value.encode())
        except (msgspec.DecodeError, RecursionError):
            return value
    if name.startswith("consent.purposes."):
        return _WORDS.get(value, value)
    return value
