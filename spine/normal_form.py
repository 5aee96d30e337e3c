"""The one form of an e-mail address and of a phone number under which they are hashed. Pure.

What is not one is None, and names nobody. A SHA-256 that comes instead is taken as it is.
"""

import re
from hashlib import sha256

_HASH = re.compile(r"[0-9a-f]{64}\Z")
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\Z")
_PHONE = re.compile(r"[1-9]\d{6,14}\Z")  # E.164 has at most 15 digits
_NO_DIGIT = re.compile(r"[\s()/.\-]+")


def email_sha256(address: str) -> str | None:
    """Give the SHA-256 of an address, trimmed and in lower case; dots and tags stay.

    Source: Meta Conversions API, customer information parameters; LinkedIn Conversions API."""
    form = address.strip().lower()
    if _HASH.match(form):
        return form
    return sha256(form.encode()).hexdigest() if _EMAIL.match(form) else None


def phone_sha256(number: str) -> str | None:
    """Give the SHA-256 of a number's digits, with the country code and without a plus sign or the
    zero that is dialled only at home.

    Source: Meta Conversions API, customer information parameters; Snap Conversions API."""
    form = number.strip().lower()
    if _HASH.match(form):
        return form
    digits = _NO_DIGIT.sub("", form.replace("(0)", "")).removeprefix("+").removeprefix("00")
    return sha256(digits.encode()).hexdigest() if _PHONE.match(digits) else None
