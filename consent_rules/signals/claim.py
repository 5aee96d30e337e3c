"""The event's own consent object. It is one claim: if any of it is unreadable, none counts.

A string in it that is none of its kind, as a TC string cut off, says nothing by itself. An object
in which a name stands twice is one of which decoders keep the last word, and it may hide a refusal.
"""

import json
from collections.abc import Iterator

import msgspec

from consent_rules.reading import Reading
from consent_rules.signals import categories, google, gpp, tcf
from consent_rules.signals.said import NoSignal, Said
from spine.event import ConsentClaim

_decoder = msgspec.json.Decoder(ConsentClaim | None)
_encoder = msgspec.json.Encoder()
_NO_CLAIM = ConsentClaim()

TWICE = b'{"purposes":null,"purposes":null}'
"""Stands for consent objects of which only the last could be read."""


def read(consent: bytes) -> ConsentClaim | None:
    """Read a consent object; nothing when it is unreadable. Total."""
    if not consent:
        return _NO_CLAIM
    try:
        return _decoder.decode(consent) or _NO_CLAIM
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def says_twice(consent: bytes) -> bool:
    """Say whether some name stands twice in an object of it, or might. Total."""
    twice = False

    def look(pairs: list[tuple[str, object]]) -> dict[str, object]:
        nonlocal twice
        found = dict(pairs)
        twice = twice or len(found) < len(pairs)
        return found

    try:
        json.loads(consent or b"{}", object_pairs_hook=look, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return True
    return twice


def proof(consent: bytes, claim: ConsentClaim) -> str:
    """Give what may be kept of a claim that was read: the object as it was sent, but of what a
    consent tool said only what was understood."""
    if claim.usercentrics is None and claim.segment is None:
        return consent.decode()
    return _encoder.encode(claim).decode()


def says(claim: ConsentClaim, reading: Reading) -> Iterator[Said | NoSignal]:
    """Give all that the claim says, its purposes in our own words first."""
    if claim.purposes:
        decided_ms = None if claim.decided_at is None else round(claim.decided_at.timestamp() * 1e3)
        granted = frozenset(purpose for purpose, given in claim.purposes.items() if given)
        denied = frozenset(claim.purposes) - granted
        yield Said("event", granted, denied, decided_ms, decided_ms)
    if claim.usercentrics is not None:
        yield from categories.says_usercentrics(claim.usercentrics, reading)
    if claim.segment is not None:
        yield from categories.says_segment(claim.segment, reading)
    if claim.tcf:
        yield from tcf.says("event.tcf", claim.tcf, reading)
    if claim.gpp:
        yield from gpp.says("event.gpp", claim.gpp, reading)
    if claim.gcs:
        yield from google.says_gcs("event.gcs", claim.gcs, reading)
    if claim.gcd:
        yield from google.says_gcd("event.gcd", claim.gcd, reading)
