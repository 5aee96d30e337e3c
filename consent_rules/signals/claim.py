"""The event's own consent object. It is one claim: if any of it is unreadable, none counts."""

from collections.abc import Iterator

import msgspec

from consent_rules.signals.said import NoSignal, Said
from spine.event import ConsentClaim

_decoder = msgspec.json.Decoder(ConsentClaim | None)
_NO_CLAIM = ConsentClaim()


def read(consent: bytes) -> ConsentClaim | None:
    """Read a consent object; nothing when it is unreadable. Total."""
    if not consent:
        return _NO_CLAIM
    try:
        return _decoder.decode(consent) or _NO_CLAIM
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def says(claim: ConsentClaim) -> Iterator[Said | NoSignal]:
    """Give what the claim says by itself: its purposes, in our own words."""
    if claim.purposes:
        decided_ms = None if claim.decided_at is None else round(claim.decided_at.timestamp() * 1e3)
        granted = frozenset(purpose for purpose, given in claim.purposes.items() if given)
        denied = frozenset(claim.purposes) - granted
        yield Said("event", granted, denied, decided_ms, decided_ms)
