"""Where a visitor stands: everything that was said about consent, weighed up. Pure and total.

Invariants:

1. A purpose that is denied by anything stays denied, unless a decision that is certainly newer
   grants it. So sources that contradict each other deny.
2. A grant counts only from when it was given (5 minutes of clocks that differ are forgiven), and
   not for longer than the regime's `max_age_days`. A denial counts always.
3. GPC and the opt-outs of US states deny; they never grant, and no grant is newer.
4. What cannot be read says nothing. A purpose of which nothing is said is undecided.
5. What is said several times, as by two cookies of one name, counts each time. Where more is said
   than is listened to, or one thing twice in a way that hides the first, nothing is granted.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from math import inf
from typing import NamedTuple

import msgspec

from consent_rules.reading import Reading
from consent_rules.remembered import Remembered
from consent_rules.signals import claim, cookiebot, google, gpp, onetrust, tcf
from consent_rules.signals.said import NOTHING as NO_PURPOSE
from consent_rules.signals.said import NoSignal, Said
from spine.event import ConsentClaim

_DAY_MS = 86_400_000
_CLOCK_SKEW_MS = 300_000
_MOST_PROOF_CHARACTERS = 4_096
_MOST_REMEMBERED_BYTES = 32 << 20
_BYTES_BESIDE_TEXTS = 3_000
_MOST_COPIES = 4


class Carried(NamedTuple):
    """What a request carries about consent besides its events.

    Shape: as sent, each at most a little longer than its decoder reads (`MOST_CHARACTERS`); empty
    when absent. `gdpr` is the query's flag, `tcf` its TC string, `tcf_cookie` a CMP's. `also` has
    what was said besides, as two cookies of one name do: the field, and the text."""

    gpc: bool = False
    tcf: str = ""
    gdpr: str = ""
    gpp: str = ""
    gcs: str = ""
    gcd: str = ""
    cookiebot: str = ""
    onetrust: str = ""
    onetrust_closed: str = ""
    tcf_cookie: str = ""
    also: tuple[tuple[str, str], ...] = ()
    too_many: bool = False

    def every(self, field: str) -> list[str]:
        """Give all that was said in a field, in the order it came."""
        first = getattr(self, field)
        return [first, *[text for name, text in self.also if name == field]] if first else []

    @property
    def size_characters(self) -> int:
        """How long everything is together."""
        texts = sum([len(part) for part in self[1:-2]])
        return texts + sum([len(text) for _, text in self.also])


TEXTS = Carried._fields[1:-2]
"""The fields that carry a text."""


NOTHING = Carried()
"""Nothing but the events."""


def carrying(gpc: bool, told: Mapping[str, Iterable[str]]) -> Carried:
    """Put together what a request carries, each field as often as it is there; equal texts are one.

    Of a field four texts count. Who sends more may hide a refusal among them: `too_many`."""
    first: dict[str, str] = {}
    also: list[tuple[str, str]] = []
    too_many = False
    for field, texts in told.items():
        distinct = list(dict.fromkeys([text for text in texts if text]))
        too_many = too_many or len(distinct) > _MOST_COPIES
        if distinct:
            first[field] = distinct[0]
            also += [(field, text) for text in distinct[1:_MOST_COPIES]]
    if not first and not gpc:
        return NOTHING
    return Carried(gpc, **first, also=tuple(also), too_many=too_many)


class Standing(NamedTuple):
    """Where the visitor stands: purposes granted and denied; all others are undecided.

    Shape: `signals` are the kinds that counted, in order; `text` is the proof: the consent object
    as sent, or, where something besides it counted, a JSON object of all of that by kind. Of what
    is too long it has a digest."""

    granted: frozenset[str]
    denied: frozenset[str]
    readable: bool
    signals: tuple[str, ...]
    text: str


class Heard(NamedTuple):
    """Everything that was said, whatever the moment, with what says nothing and why.

    Shape: `hidden` when a refusal may have been said that could not be heard. Between two of
    `changes_ms` no grant begins or ends to count; `standings` has a place for each such stretch,
    filled when it is asked for."""

    said: tuple[Said, ...]
    unheard: tuple[NoSignal, ...]
    readable: bool
    hidden: bool
    text: str
    changes_ms: list[int]
    standings: list[Standing | None]


_heard: Remembered[tuple[bytes, Carried, Reading], Heard] = Remembered(_MOST_REMEMBERED_BYTES)


def standing(consent: bytes, carried: Carried, reading: Reading, at_ms: int) -> Standing:
    """Say where the visitor stood at a moment: the time of the event, not of its arrival.

    Units: milliseconds since 1970."""
    heard = hear(consent, carried, reading)
    stretch = bisect_right(heard.changes_ms, at_ms)
    known = heard.standings[stretch]
    if known is None:
        known = heard.standings[stretch] = _weigh(heard, at_ms, reading.max_age_days * _DAY_MS)
    return known


def hear(consent: bytes, carried: Carried, reading: Reading) -> Heard:
    """Give everything that was said. Total; what was heard before is not decoded again."""
    key = (consent, carried, reading)
    heard = _heard.find(key)
    if heard is None:
        heard = _hear(consent, carried, reading)
        size_bytes = 2 * len(consent) + carried.size_characters
        _heard.keep(key, heard, 2 * size_bytes + _BYTES_BESIDE_TEXTS)
    return heard


def _hear(consent: bytes, carried: Carried, reading: Reading) -> Heard:
    claimed = claim.read(consent)
    said_twice = claimed is not None and claim.says_twice(consent)
    everything = list(_everything(claimed, carried, reading))
    everything += [NoSignal("event", "said_twice")] if said_twice else []
    everything += [NoSignal("request", "too_many_copies")] if carried.too_many else []
    said = tuple([one for one in everything if isinstance(one, Said)])
    unheard = tuple([one for one in everything if isinstance(one, NoSignal)])
    changes_ms = sorted({change for one in said for change in _changes_ms(one, reading)})
    text = "" if claimed is None or said_twice else _short(claim.proof(consent, claimed))
    places: list[Standing | None] = [None] * (len(changes_ms) + 1)
    hidden = said_twice or carried.too_many
    return Heard(
        said, unheard, claimed is not None and not hidden, hidden, text, changes_ms, places
    )


def _everything(
    claimed: ConsentClaim | None, carried: Carried, reading: Reading
) -> Iterator[Said | NoSignal]:
    if claimed is None:
        yield NoSignal("event", "unreadable")
    else:
        yield from claim.says(claimed, reading)
    if carried != NOTHING:
        yield from _strings(carried, reading)
        yield from _cookies(carried, reading)


def _strings(carried: Carried, reading: Reading) -> Iterator[Said | NoSignal]:
    applies = "0" not in carried.every("gdpr")
    if carried.gpc:
        yield Said("gpc", NO_PURPOSE, frozenset(reading.gpc), proof="1")
    for text in carried.every("tcf"):
        yield from tcf.says("tcf", text, reading, applies=applies)
    for text in carried.every("gpp"):
        yield from gpp.says("gpp", text, reading, applies=applies)
    for text in carried.every("gcs"):
        yield from google.says_gcs("gcs", text, reading)
    for text in carried.every("gcd"):
        yield from google.says_gcd("gcd", text, reading)


def _cookies(carried: Carried, reading: Reading) -> Iterator[Said | NoSignal]:
    applies = "0" not in carried.every("gdpr")
    for text in carried.every("tcf_cookie"):
        if text not in carried.every("tcf"):
            yield from tcf.says("tcf_cookie", text, reading, applies=applies)
    for text in carried.every("cookiebot"):
        yield from cookiebot.says(text, reading)
    for text in carried.every("onetrust"):
        for closed in carried.every("onetrust_closed") or [""]:
            yield from onetrust.says(text, closed, reading)


def _changes_ms(said: Said, reading: Reading) -> tuple[int, ...]:
    if said.since_ms is None or not said.granted:
        return ()
    first_ms = said.since_ms - _CLOCK_SKEW_MS
    return first_ms, said.since_ms + reading.max_age_days * _DAY_MS + 1


def _weigh(heard: Heard, at_ms: int, max_age_ms: int) -> Standing:
    since_ms: dict[str, float] = {}
    until_ms: dict[str, float] = {}
    counted: list[Said] = []
    for said in heard.said:
        lasts = not heard.hidden and _lasts(said, at_ms, max_age_ms)
        granted = said.granted if lasts else NO_PURPOSE
        if granted or said.denied:
            counted.append(said)
        given_ms = -inf if said.since_ms is None else said.since_ms
        for purpose in granted:
            since_ms[purpose] = max(since_ms.get(purpose, -inf), given_ms)
        refused_ms = inf if said.until_ms is None else said.until_ms
        for purpose in said.denied:
            until_ms[purpose] = max(until_ms.get(purpose, -inf), refused_ms)
    denied = frozenset(
        purpose
        for purpose, refused_ms in until_ms.items()
        if not since_ms.get(purpose, -inf) > refused_ms
    )
    signals = tuple(dict.fromkeys([said.kind for said in counted]))
    return Standing(
        frozenset(since_ms) - denied, denied, heard.readable, signals, _text(heard.text, counted)
    )


def _lasts(said: Said, at_ms: int, max_age_ms: int) -> bool:
    if said.since_ms is None:
        return True
    return said.since_ms - _CLOCK_SKEW_MS <= at_ms <= said.since_ms + max_age_ms


def _text(event: str, counted: list[Said]) -> str:
    """Put the proof together: the consent object alone stands as it was sent."""
    parts: dict[str, list[str]] = {}
    for said in counted:
        if not said.kind.startswith("event"):
            told = parts.setdefault(said.kind, [])
            told += [] if (proof := _short(said.proof)) in told else [proof]
    if not parts:
        return event
    proofs = {kind: told[0] if len(told) == 1 else told for kind, told in parts.items()}
    return msgspec.json.encode({"event": event, **proofs} if event else proofs).decode()


def _short(proof: str) -> str:
    if len(proof) <= _MOST_PROOF_CHARACTERS:
        return proof
    return f"sha256:{sha256(proof.encode()).hexdigest()}"
