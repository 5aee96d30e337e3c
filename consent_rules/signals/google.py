"""Google's consent mode v2, as hits carry it: `gcs` and `gcd`.

Google documents neither; what is not known to be a grant is a denial, and every form but the known
says nothing. Source: Analytics Debugger's parser, the letter table of Baersch and Ahava, 2024.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from consent_rules.reading import GoogleState, Reading
from consent_rules.signals.said import NoSignal, Said, by_purpose

_GCS = re.compile(r"G1([01])([01])")
# Two letters tell one state: a digit that counts, and the letter itself.
_GCD = re.compile(r"1[0-9]([!-~])[0-9]([!-~])[0-9]([!-~])[0-9]([!-~])[A-Za-z0-9_-]{0,32}")
_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
_WORDS = ("unknown", "not_set", "denied", "granted")
_STATES: tuple[GoogleState, ...] = (
    "ad_storage",
    "analytics_storage",
    "ad_user_data",
    "ad_personalization",
)


class State(NamedTuple):
    """What a letter of `gcd` tells: the default, and what the visitor's choice made of it.

    Shape: each is `granted`, `denied`, `not_set` or `unknown`."""

    default: str
    update: str

    @property
    def effective(self) -> str:
        """What counts: the update if it is set, else the default."""
        if "unknown" in self:
            return "unknown"
        return self.default if self.update == "not_set" else self.update


def gcs(text: str) -> dict[GoogleState, bool] | None:
    """Read `gcs`: whether ads and analytics may store; nothing when it is none. Total."""
    found = _GCS.fullmatch(text)
    return {"ad_storage": found[1] == "1", "analytics_storage": found[2] == "1"} if found else None


def gcd(text: str) -> dict[GoogleState, State] | None:
    """Read `gcd`: the four states; nothing when it is none. Total."""
    found = _GCD.fullmatch(text)
    return dict(zip(_STATES, map(_state, found.groups()), strict=True)) if found else None


def _state(letter: str) -> State:
    bits = max(0, _LETTERS.find(letter))  # what is no letter of theirs is unknown, as 0 is
    return State(_WORDS[bits >> 2 & 3], _WORDS[bits & 3])


def says_gcs(kind: str, text: str, reading: Reading) -> Iterator[Said | NoSignal]:
    """Give what `gcs` says. Total."""
    yield _said(kind, text, gcs(text), reading)


def says_gcd(kind: str, text: str, reading: Reading) -> Iterator[Said | NoSignal]:
    """Give what `gcd` says; a state that nobody set says nothing. Total."""
    found = gcd(text)
    if found is None:
        yield NoSignal(kind, "malformed")
        return
    told = {name: state.effective for name, state in found.items()}
    states = {name: word == "granted" for name, word in told.items() if word != "not_set"}
    yield _said(kind, text, states, reading)


def _said(
    kind: str, text: str, states: Mapping[GoogleState, bool] | None, reading: Reading
) -> Said | NoSignal:
    if states is None:
        return NoSignal(kind, "malformed")
    granted, denied = by_purpose(reading.google, states)
    return Said(kind, granted, denied, proof=text)
