"""The receipt of an erasure: what went, what stays and why, signed. Pure.

No identifier stands in it: those who were erased are named by keyed hashes.
"""

import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from spine.erasure_key import ErasureKey

_KEPT = {
    "order_facts": "reports of orders keep amount, currency, time and transaction id, without who"
    " ordered: accounting, Art. 17(3)(b) GDPR",
    "orders": "derived from them",
    "consent_log": "decisions stay as proof of consent, under a keyed hash: Art. 17(3)(e) GDPR",
    "fates": "each position on the log keeps its fate, now `erased`, without a name",
    "seen": "digests of event ids, so that a copy is known",
    "control log": "the keyed hashes of this receipt, so that nobody comes back by a replay, a"
    " restored copy or a backfill; and refusals of consent, by digest, so that they are heeded",
    "backups": "expire as their operator has them; one that is put back is erased again at start",
}


class LogKept(NamedTuple):
    """How long bytes stay on the log. Units: `until_ms` since 1970 UTC, None for ever."""

    name: str
    until_ms: int | None


class Receipt(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="schema", tag="receipt.1"
):
    """What an erasure did.

    Shape: `found` is how many rows there were by table; of those in `kept` the reason stands there.
    `files_gone_by` is when the store has removed the files of before, `log_kept_until` when the log
    has nothing left, both UTC in ISO 8601."""

    erasure: str
    site: str
    why: str
    erased_until: str
    closed_at: str
    identifiers: tuple[str, ...]
    found: dict[str, int]
    kept: dict[str, str]
    files_gone_by: str
    log: str
    log_kept_until: str
    key: str
    signature: str = ""


class Work(NamedTuple):
    """What a receipt is made of. Units: milliseconds since 1970 UTC."""

    erasure: str
    site: str
    why: str
    until_ms: int
    closed_ms: int
    marks: Sequence[str]
    found: Mapping[str, int]
    files_gone_ms: int
    log: LogKept


_encoder = msgspec.json.Encoder(order="deterministic")


def receipt_of(work: Work, key: ErasureKey) -> bytes:
    """Make the receipt and sign it."""
    until_ms = work.log.until_ms
    receipt = Receipt(
        work.erasure,
        work.site,
        work.why,
        _told(work.until_ms),
        _told(work.closed_ms),
        tuple(sorted(work.marks)),
        dict(work.found),
        _KEPT,
        _told(work.files_gone_ms),
        work.log.name,
        "for ever: set retention.ms of the topic" if until_ms is None else _told(until_ms),
        key.name,
    )
    signed = msgspec.structs.replace(receipt, signature=key.sign(_encoder.encode(receipt)))
    return _encoder.encode(signed)


def is_genuine(content: bytes, key: ErasureKey) -> bool:
    """Say whether these bytes are a receipt that was signed with this key, unchanged. Total."""
    try:
        receipt = msgspec.json.decode(content, type=Receipt)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    bare = _encoder.encode(msgspec.structs.replace(receipt, signature=""))
    return hmac.compare_digest(receipt.signature.encode(), key.sign(bare).encode())


def _told(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
