"""What is known of people when their events come: who has withdrawn, who was erased."""

from collections.abc import Callable, Sequence

import msgspec

from spine.control.mark import NEVER_MS
from spine.control.withdrawal import NOTHING as NOT_WITHDRAWN
from spine.control.withdrawal import Withdrawn

Asked = Callable[[str, str | None, str | None], Withdrawn]
"""Asked with site, anonymous id and user id: what has been withdrawn."""


Further = Sequence[tuple[str, str | None]]
"""Who else an event names, each with its kind."""


ErasedUntil = Callable[[str, str | None, str | None, Further], int]
"""Asked likewise, and with who else is named: up to when events were erased, in milliseconds since
1970."""


def _nobody_was(
    _site: str, _anonymous_id: str | None, _user_id: str | None, _further: Further
) -> int:
    return NEVER_MS


def _nobody_has(_site: str, _anonymous_id: str | None, _user_id: str | None) -> Withdrawn:
    return NOT_WITHDRAWN


def _nowhere(_address: str) -> str:
    return ""


class Known(msgspec.Struct, frozen=True):
    """What is known of people when a request comes.

    Shape: `salt` is that of the day of receipt, for visitors who are told by an id of the day;
    `place_of` gives the place of a whole address as a record has it."""

    withdrawn: Asked = _nobody_has
    erased_until: ErasedUntil = _nobody_was
    salt: bytes | None = None
    place_of: Callable[[str], str] = _nowhere


NOTHING_KNOWN = Known()
"""Nobody has withdrawn anything, nobody was erased, no visitor is told by an id of the day, and
nobody knows where an address is."""
