"""E-mails and phones that a server tells as they are: hashed, and forgotten. Pure.

Nothing behind this knows them any more: an event whose identifiers are `Told` goes no further.
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from spine.blocked import names_nobody
from spine.codes import Refused
from spine.event import Event, Identifiers
from spine.normal_form import email_sha256, phone_sha256

_Plain = Annotated[str, Meta(max_length=320)]


class Told(Identifiers, frozen=True, omit_defaults=True, gc=False):
    """Identifiers as they are sent."""

    email: _Plain | None = None
    phone: _Plain | None = None

    def __repr__(self) -> str:
        return "Told(***)"


def refused(event: Event) -> Refused | None:
    """Say why a browser key may not send these identifiers: all the world reads what pages send."""
    named = event.identifiers
    if not isinstance(named, Told):  # as nearly always
        return None
    for field in ("email", "phone"):
        if getattr(named, field) is not None:
            why = f"Only a server key may say this; send {field}_sha256"
            return Refused("not_allowed", f"$.identifiers.{field}", why)
    return None


def hashed(event: Event) -> tuple[Event, bool]:
    """Give an event with the hashes of its e-mail and its phone instead, and whether one of them
    was none; one that is sent as a hash as well counts as the hash."""
    told = event.identifiers
    if not isinstance(told, Told):
        return event, False
    email = None if told.email is None else email_sha256(told.email)
    phone = None if told.phone is None else phone_sha256(told.phone)
    spoiled = (told.email is not None and email is None) or (
        told.phone is not None and phone is None
    )
    named = Identifiers(
        email_sha256=told.email_sha256 or email,
        phone_sha256=told.phone_sha256 or phone,
        crm_id=told.crm_id,
    )
    return msgspec.structs.replace(event, identifiers=named), spoiled


def further(event: Event) -> Sequence[tuple[str, str | None]]:
    """Give who an event names beside device and user, each with its kind."""
    named = event.identifiers
    if named is None:
        return ()
    return (
        ("crm_id", named.crm_id),
        ("email_sha256", named.email_sha256),
        ("phone_sha256", named.phone_sha256),
    )


def names_no_one(event: Event) -> bool:
    """Say whether one of an event's ids stands for no one in particular."""
    device, user = event.anonymous_id, event.user_id
    if (device is not None and names_nobody(device)) or (user is not None and names_nobody(user)):
        return True
    if event.identifiers is None:  # as nearly always
        return False
    return any(value is not None and names_nobody(value) for _, value in further(event))
