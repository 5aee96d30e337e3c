"""Usercentrics and Segment: categories with yes or no, inside the event's consent object."""

from collections.abc import Iterator

from consent_rules.reading import Reading
from consent_rules.signals.said import NoSignal, Said, by_purpose
from spine.event import SegmentClaim, UsercentricsChoice, UsercentricsClaim

_STATES = {"ALL_ACCEPTED": True, "ALL_DENIED": False, "SOME_ACCEPTED": False}


def says_usercentrics(claim: UsercentricsClaim, reading: Reading) -> Iterator[Said | NoSignal]:
    """Give what Usercentrics' state says: grants only once the visitor has chosen.

    A category of which some services are refused is refused.
    Source: UC_UI_CMP_EVENT of version 2, `__ucCmp.getConsentDetails()` of version 3."""
    kind = "event.usercentrics"
    states = {
        name: _STATES.get(category.state) for name, category in (claim.categories or {}).items()
    }
    given = {name: state for name, state in states.items() if state is not None}
    for name, state in (claim.by_category or {}).items():
        given[name] = state and given.get(name, True)
    choice = claim.consent or UsercentricsChoice()
    if (choice.type or claim.type or "").lower() != "explicit":
        yield NoSignal(kind, "undecided")
        return
    granted, denied = by_purpose(reading.usercentrics, given)
    decided_ms = choice.updated_ms
    yield Said(kind, granted, denied, decided_ms, decided_ms)


def says_segment(claim: SegmentClaim, reading: Reading) -> Iterator[Said]:
    """Give what Segment's preferences say; a purpose needs all of its categories.

    Source: Segment, consent in Segment Connections: `context.consent.categoryPreferences`."""
    granted, denied = by_purpose(reading.segment, claim.by_category or {})
    yield Said("event.segment", granted, denied)
