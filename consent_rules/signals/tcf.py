"""TC strings of IAB TCF v2.2 and v2.3: a decoder of our own, and what a string comes to.

Time is bounded by the length: vendor lists are not unfolded, only looked into when somebody asks.
Source: IAB Tech Lab, Consent string and vendor list formats v2; TCF v2.3 of June 2025.
"""

from collections.abc import Iterator
from typing import NamedTuple

from consent_rules.reading import Reading
from consent_rules.signals.bits import Bits
from consent_rules.signals.said import NOTHING, NoSignal, Said, by_purpose

MOST_CHARACTERS = 4_096
_MOST_SEGMENTS = 4
_DAY_MS = 86_400_000
_POLICY_4_MS = 1_696_032_000_000  # 2023-09-30: older policies are invalid in strings made since
_V2_3_MS = 1_772_323_200_000  # 2026-03-01: the segment DisclosedVendors is mandatory since
_PURPOSES = range(1, 25)
_DISCLOSED_VENDORS, _PUBLISHER_TC = 1, 3
_REQUIRES_CONSENT = 1


class Vendors(NamedTuple):
    """A list of vendors as it stands in a string, asked one by one.

    Shape: ranges from first to last where `field` is 0 and not used, else a bit for each vendor up
    to `most`, vendor 1 leftmost."""

    most: int
    field: int
    ranges: tuple[tuple[int, int], ...]

    def has(self, vendor: int) -> bool:
        """Say whether a vendor is on the list."""
        if self.field:
            return 0 < vendor <= self.most and self.field >> self.most - vendor & 1 == 1
        return any(first <= vendor <= last for first, last in self.ranges)


class Restriction(NamedTuple):
    """What the publisher asks of some vendors for a purpose.

    Shape: `kind` 0 forbids, 1 asks for consent, 2 for legitimate interest."""

    purpose: int
    kind: int
    vendors: Vendors


class PublisherTc(NamedTuple):
    """What the visitor said about the publisher's own purposes; own ones are counted from 1."""

    consents: frozenset[int]
    interests: frozenset[int]
    custom: int
    custom_consents: frozenset[int]
    custom_interests: frozenset[int]


class TcString(NamedTuple):
    """A TC string, field by field. Units: milliseconds since 1970."""

    version: int
    created_ms: int
    updated_ms: int
    cmp_id: int
    cmp_version: int
    screen: int
    language: str
    vendor_list: int
    policy: int
    is_service_specific: bool
    own_texts: bool
    special_features: frozenset[int]
    consents: frozenset[int]
    interests: frozenset[int]
    purpose_one_untold: bool
    country: str
    vendor_consents: Vendors
    vendor_interests: Vendors
    restrictions: tuple[Restriction, ...]
    disclosed: Vendors | None = None
    publisher: PublisherTc | None = None


def decode(text: str) -> TcString | str:
    """Read a TC string, or say in a word why not: `too_long`, `version`, `no_cmp`, `malformed`.
    Total."""
    if len(text) > MOST_CHARACTERS:
        return "too_long"
    core, *others = text.split(".", _MOST_SEGMENTS)
    bits = Bits.of(core)
    if bits is None:
        return "malformed"
    if bits.take(6) != 2:
        return "version"
    found: TcString | None = _core(bits)
    for other in others:
        found = found and _with_segment(found, other)
    if bits.broken or found is None:
        return "malformed"
    return found if found.cmp_id else "no_cmp"


def _core(bits: Bits) -> TcString:
    return TcString(
        version=2,
        created_ms=bits.take(36) * 100,
        updated_ms=bits.take(36) * 100,
        cmp_id=bits.take(12),
        cmp_version=bits.take(12),
        screen=bits.take(6),
        language=_letters(bits),
        vendor_list=bits.take(12),
        policy=bits.take(6),
        is_service_specific=bits.take(1) == 1,
        own_texts=bits.take(1) == 1,
        special_features=bits.take_set(12),
        consents=bits.take_set(24),
        interests=bits.take_set(24),
        purpose_one_untold=bits.take(1) == 1,
        country=_letters(bits),
        vendor_consents=_vendors(bits),
        vendor_interests=_vendors(bits),
        restrictions=tuple(_restrictions(bits)),
    )


def _letters(bits: Bits) -> str:
    return chr(ord("A") + bits.take(6)) + chr(ord("A") + bits.take(6))


def _vendors(bits: Bits) -> Vendors:
    most = bits.take(16)
    if bits.take(1) == 0:
        return Vendors(most, bits.take(most), ())
    return Vendors(most, 0, _ranges(bits))


def _ranges(bits: Bits) -> tuple[tuple[int, int], ...]:
    ranges = []
    for _ in range(bits.take(12)):
        is_range, first = bits.take(1), bits.take(16)
        last = bits.take(16) if is_range else first
        bits.broken |= last < first
        if bits.broken:
            break
        ranges.append((first, last))
    return tuple(ranges)


def _restrictions(bits: Bits) -> Iterator[Restriction]:
    for _ in range(bits.take(12)):
        purpose, kind = bits.take(6), bits.take(2)
        yield Restriction(purpose, kind, Vendors(0, 0, _ranges(bits)))
        if bits.broken:
            return


def _publisher(bits: Bits) -> PublisherTc:
    consents, interests, custom = bits.take_set(24), bits.take_set(24), bits.take(6)
    return PublisherTc(consents, interests, custom, bits.take_set(custom), bits.take_set(custom))


def _with_segment(found: TcString, text: str) -> TcString | None:
    """Read what stands behind the core, in any order; nothing when it is unreadable, or there for
    the second time. Of other types, as the old AllowedVendors, nothing is read."""
    bits = Bits.of(text)
    if bits is None:
        return None
    kind = bits.take(3)
    if kind == _DISCLOSED_VENDORS and found.disclosed is None:
        found = found._replace(disclosed=_vendors(bits))
    elif kind == _PUBLISHER_TC and found.publisher is None:
        found = found._replace(publisher=_publisher(bits))
    elif kind in (_DISCLOSED_VENDORS, _PUBLISHER_TC):
        return None
    return None if bits.broken else found


_UNUSED = PublisherTc(frozenset(), frozenset(), 0, frozenset(), frozenset())


def says(
    kind: str, text: str, reading: Reading, *, applies: bool = True
) -> Iterator[Said | NoSignal]:
    """Give what a TC string says, refusals at least. Total.

    Shape: `applies` is False when its sender says that the GDPR does not."""
    found = decode(text)
    if isinstance(found, str):
        yield NoSignal(kind, found)
        return
    if (why := _invalid(found)) is not None:
        yield NoSignal(kind, why)
        return
    purposes = _purposes(found, reading)
    granted, denied = by_purpose(reading.tcf, {n: n in purposes for n in _PURPOSES})
    if (why := _grants_nothing(found, reading, applies)) is not None:
        yield NoSignal(kind, why)
        granted = NOTHING
    # Since TCF 2.2 strings tell the day, not the time.
    lasts_ms = 100 if found.updated_ms % _DAY_MS else _DAY_MS
    yield Said(kind, granted, denied, found.updated_ms, found.updated_ms + lasts_ms - 1, text)


def _invalid(found: TcString) -> str | None:
    if not found.is_service_specific:
        return "not_service_specific"
    return "old_policy" if found.policy < 4 and found.created_ms >= _POLICY_4_MS else None


def _grants_nothing(found: TcString, reading: Reading, applies: bool) -> str | None:
    if not applies:
        return "gdpr_does_not_apply"
    must_disclose = reading.disclosed_vendors == "demanded" and found.created_ms >= _V2_3_MS
    return "no_disclosed_vendors" if must_disclose and found.disclosed is None else None


def _purposes(found: TcString, reading: Reading) -> frozenset[int]:
    """Give the purposes that are consented to: to a vendor where the regime names one, else to the
    publisher. Legitimate interest is no consent."""
    if reading.tcf_vendor:
        return _to_vendor(found, reading.tcf_vendor)
    publisher = found.publisher
    if publisher is None or (publisher == _UNUSED and reading.empty_publisher_tc == "unused"):
        return found.consents
    return publisher.consents


def _to_vendor(found: TcString, vendor: int) -> frozenset[int]:
    untold = found.disclosed is not None and not found.disclosed.has(vendor)
    if untold or not found.vendor_consents.has(vendor):
        return frozenset()
    return found.consents.difference(
        restriction.purpose
        for restriction in found.restrictions
        if restriction.kind != _REQUIRES_CONSENT and restriction.vendors.has(vendor)
    )
