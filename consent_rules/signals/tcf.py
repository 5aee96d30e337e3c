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
_MOST_RESTRICTIONS = 24 * 3  # of every kind for every purpose
_DAY_MS = 86_400_000
_POLICY_4_MS = 1_696_032_000_000  # 2023-09-30: older policies are invalid in strings made since
_V2_3_MS = 1_772_323_200_000  # 2026-03-01: the segment DisclosedVendors is mandatory since
_PURPOSES = range(1, 25)
_DISCLOSED_VENDORS, _PUBLISHER_TC = 1, 3
_REQUIRES_CONSENT = 1


class Vendors(NamedTuple):
    """A list of vendors as it stands in a string, asked one by one.

    Shape: bits as text: `field` has one for each vendor, or is empty and `ranges` has entries of
    17 bits for one vendor, of 33 for a first and a last."""

    field: str
    ranges: str

    def has(self, vendor: int) -> bool:
        """Say whether a vendor is on the list."""
        if self.field:
            return self.field[vendor - 1 : vendor] == "1"
        wanted, ranges, at = f"{vendor:016b}", self.ranges, 0
        while at < len(ranges):  # numbers of one width are in order as their texts are
            first, is_range = ranges[at + 1 : at + 17], ranges[at] == "1"
            last = ranges[at + 17 : at + 33] if is_range else first
            if first <= wanted <= last:
                return True
            at += 33 if is_range else 17
        return False


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
    return Vendors("", _ranges(bits)) if bits.take(1) else Vendors(bits.skip(most), "")


def _ranges(bits: Bits) -> str:
    """Pass over a list of ranges, and give it as it stands; `bits` is broken if one runs back."""
    text, first = bits.text, bits.at + 12
    at = first
    for _ in range(bits.take(12)):
        if text[at : at + 1] != "1":
            at += 17
        elif text[at + 1 : at + 17] <= text[at + 17 : at + 33]:
            at += 33
        else:
            bits.broken = True
        if bits.broken or at > len(text):
            break
    return bits.skip(at - first)


def _restrictions(bits: Bits) -> Iterator[Restriction]:
    number = bits.take(12)
    bits.broken |= number > _MOST_RESTRICTIONS
    while number and not bits.broken:
        head = bits.take(8)
        yield Restriction(head >> 2, head & 3, Vendors("", _ranges(bits)))
        number -= 1


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
