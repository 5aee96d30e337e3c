"""GPP strings: a header that names sections, and those of them that matter here.

Section 2 is a TC string, 6 is US Privacy, 7 the US national section, 8 to 27 are states of the US.
Their opt-outs deny; nothing of the US is read as a grant. Time is bounded by the length.
Source: IAB Tech Lab, Global Privacy Platform, consent string and section information.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from consent_rules.reading import Reading
from consent_rules.signals import tcf
from consent_rules.signals.bits import Bits
from consent_rules.signals.said import NOTHING, NoSignal, Said

MOST_CHARACTERS = 4_096
_MOST_SECTIONS = 64
_MOST_BITS = 32
_ALPHABET = re.compile(r"[A-Za-z0-9_.~-]+")
_TCF_EU, _US_PRIVACY, _US_NATIONAL = 2, 6, 7
_OPTED_OUT = 1
_GPC_SEGMENT = 1
# Where the opt-outs of sale, sharing and targeted advertising stand, in bits from the start.
_OPT_OUTS: dict[int, tuple[int, ...]] = {
    _US_NATIONAL: (18, 20, 22),
    **dict.fromkeys(range(8, 24), (12, 14)),
    **dict.fromkeys((11, 18), (14, 16)),  # Utah and Iowa have one notice more
    **dict.fromkeys(range(24, 28), (16, 18)),
}


class Section(NamedTuple):
    """A section by its number, as it stands in the string."""

    number: int
    text: str


class UsChoice(NamedTuple):
    """What a section of the US tells: whether some opt-out is set, and GPC."""

    opted_out: bool
    gpc: bool


def decode(text: str) -> list[Section] | None:
    """Read the header, and give the sections; nothing when the string is none. Total."""
    if len(text) > MOST_CHARACTERS or not _ALPHABET.fullmatch(text):
        return None
    header, *texts = text.split("~", _MOST_SECTIONS)
    bits = Bits.of(header)
    if bits is None or bits.take(6) != 3 or bits.take(6) != 1:
        return None
    numbers = _numbers(bits)
    if numbers is None or len(numbers) != len(texts):
        return None
    return [Section(number, part) for number, part in zip(numbers, texts, strict=True)]


def _numbers(bits: Bits) -> list[int] | None:
    """Read ranges of numbers, each told by how far it is from the one before."""
    numbers: list[int] = []
    last = 0
    for _ in range(bits.take(12)):
        is_range = bits.take(1)
        first = last + _fibonacci(bits)
        last = first + _fibonacci(bits) if is_range else first
        if bits.broken or last - first + len(numbers) >= _MOST_SECTIONS:
            return None
        numbers += range(first, last + 1)
    return None if bits.broken else numbers


def _fibonacci(bits: Bits) -> int:
    """Read a number in Fibonacci's code: two ones in a row end it. A number too great for any
    section is none: `bits` is then broken."""
    number, before, weight, next_weight = 0, 0, 1, 2
    for _ in range(_MOST_BITS):
        bit = bits.take(1)
        if bit and before:
            return number
        number += bit * weight
        before, weight, next_weight = bit, next_weight, weight + next_weight
    bits.broken = True
    return 0


def us_privacy(text: str) -> UsChoice | None:
    """Read section 6: version, notice, opt-out of sale, and who is covered. Total."""
    if len(text) != 4 or text[0] != "1" or not set(text[1:].upper()) <= set("YN-"):
        return None
    return UsChoice(text[2].upper() == "Y", gpc=False)


def us_section(number: int, text: str) -> UsChoice | None:
    """Read the opt-outs of a section from 7 on; nothing when it is cut off or no text. Total."""
    core, *others = text.split(".", 3)
    bits = Bits.of(core)
    if bits is None:
        return None
    opted_out = False
    for at in _OPT_OUTS[number]:
        bits.at = at
        opted_out |= bits.take(2) == _OPTED_OUT
    return None if bits.broken else UsChoice(opted_out, any(_is_gpc(other) for other in others))


def _is_gpc(segment: str) -> bool:
    bits = Bits.of(segment)
    return bits is not None and bits.take(2) == _GPC_SEGMENT and bits.take(1) == 1


def says(
    kind: str, text: str, reading: Reading, *, applies: bool = True
) -> Iterator[Said | NoSignal]:
    """Give what the known sections say. Total."""
    sections = decode(text)
    if sections is None:
        yield NoSignal(kind, "malformed")
        return
    for number, part in sections:
        if number == _TCF_EU:
            yield from _with_proof(tcf.says(kind, part, reading, applies=applies), text)
        elif number == _US_PRIVACY or number in _OPT_OUTS:
            yield _us(kind, number, part, text, reading)
        else:
            yield NoSignal(kind, "unknown_section")


def _with_proof(said: Iterator[Said | NoSignal], text: str) -> Iterator[Said | NoSignal]:
    for one in said:
        yield one._replace(proof=text) if isinstance(one, Said) else one


def _us(kind: str, number: int, part: str, text: str, reading: Reading) -> Said | NoSignal:
    choice = us_privacy(part) if number == _US_PRIVACY else us_section(number, part)
    if choice is None:
        return NoSignal(kind, "malformed_section")
    denied = {
        *(reading.us_opt_out if choice.opted_out else ()),
        *(reading.gpc if choice.gpc else ()),
    }
    return Said(kind, NOTHING, frozenset(denied), proof=text)
