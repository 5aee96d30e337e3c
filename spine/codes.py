"""Every way an event or a request can fare that needs a word: one table, stable names.

The same code stands in the answer, in the metric label, in `tallies`, `rejects` and `fates`, and in
`docs/codes.md`, which a test compares with this table.
"""

from typing import Literal, NamedTuple

Kind = Literal[
    "accepted", "refused", "dropped", "rejected", "duplicate", "erased", "request", "flag"
]


class Code(NamedTuple):
    """A stable word for one outcome.

    Shape: `kind` says where it appears: an event's result (`accepted`, `refused`, `dropped`), a
    record's fate on the log (`rejected`, `duplicate`, `erased`), the answer to a whole request
    (`request`) or a mark on a stored event (`flag`). `http_status` is the status of the answer, if
    there is one.
    """

    name: str
    kind: Kind
    http_status: int | None
    meaning: str


class Refused(NamedTuple):
    """A sender's mistake in one event: sending it again is pointless.

    Shape: `path` is a JSON path such as `$.commerce.currency`; `event_id` is the event's own,
    where one could be read.
    """

    code: str
    path: str
    detail: str
    event_id: str | None = None


_TABLE = (
    Code("event_id_filled", "accepted", 202, "The event had no event_id; the collector made one."),
    Code("missing_field", "refused", 202, "A field that is always required is absent."),
    Code("unknown_field", "refused", 202, "The event has a key that the format does not know."),
    Code("wrong_type", "refused", 202, "A value has another type than the format asks for."),
    Code("too_long", "refused", 202, "A string, list or map is longer than allowed."),
    Code("empty_value", "refused", 202, "A value that must say something is empty."),
    Code("bad_value", "refused", 202, "A value does not have the form that its field asks for."),
    Code("bad_time", "refused", 202, "A time is not RFC 3339 with a zone."),
    Code("too_old", "refused", 202, "The event happened before the time this key may report."),
    Code("in_future", "refused", 202, "A server key reports a time that has not come yet."),
    Code("bad_currency", "refused", 202, "The currency is not a current ISO 4217 code."),
    Code("bad_amount", "refused", 202, "An amount is not a finite decimal below 10^14."),
    Code("not_allowed", "refused", 202, "A browser key sent a field that needs a server key."),
    Code("no_consent", "dropped", 202, "The consent rules of the site forbid keeping the event."),
    Code("withdrawn", "dropped", 202, "The visitor or user has withdrawn the consent it needs."),
    Code("erased", "dropped", 202, "The visitor or user was erased, and the event is from before."),
    Code("bad_request", "request", 400, "The request is not HTTP as it is defined."),
    Code("unreadable_body", "request", 400, "The body is not JSON of one event or a batch."),
    Code("bad_decision", "request", 400, "The consent decision is not one; nothing was changed."),
    Code("bad_erasure", "request", 400, "The erasure is not one; nobody was erased."),
    Code(
        "bad_rates", "request", 400, "The exchange rates are none, or leave a gap; none was taken."
    ),
    Code("bad_split", "request", 400, "The split is not one; nothing was changed."),
    Code("unknown_key", "request", 401, "The key is missing, unknown, or a server key in a URL."),
    Code("unknown_token", "request", 401, "The admin listener wants its token as a bearer."),
    Code("origin_not_allowed", "request", 403, "The page's origin is not in the site's list."),
    Code("body_too_large", "request", 413, "The body, or what it unpacks to, is too large."),
    Code("too_many_events", "request", 413, "The batch has more events than a request may carry."),
    Code("unsupported_type", "request", 415, "The content type is not JSON or text/plain."),
    Code(
        "unsupported_encoding",
        "request",
        415,
        "The content encoding is none of the known, or more than one.",
    ),
    Code("not_found", "request", 404, "There is nothing at this path."),
    Code("method_not_allowed", "request", 405, "The path does not know this method."),
    Code("slow_request", "request", 408, "The body did not arrive in time."),
    Code("quota_exceeded", "request", 429, "The site has sent more events than it may; wait."),
    Code("too_many_unknown_keys", "request", 429, "Too many unknown keys from this network; wait."),
    Code("head_too_large", "request", 431, "The request line or the headers are too large."),
    Code("internal_error", "request", 500, "The collector failed; send it again later."),
    Code("overloaded", "request", 503, "More comes than can be taken; try again."),
    Code("log_unavailable", "request", 503, "The log cannot take events now; try again."),
    Code(
        "consent_unknown",
        "request",
        503,
        "Whether consent was withdrawn is not known now; try again.",
    ),
    Code("unreadable_record", "rejected", None, "The record is not what a collector writes."),
    Code("damaged_record", "rejected", None, "The bytes were damaged in a collector's spill."),
    Code("unknown_schema", "rejected", None, "The record was written by a newer version."),
    Code("duplicate_copy", "duplicate", None, "The same event was on the log before."),
    Code("duplicate_conflict", "duplicate", None, "The same identity came with another body."),
    Code(
        "withdrawn_before",
        "erased",
        None,
        "Consent had been withdrawn when the event was received; the collector did not know yet.",
    ),
    Code(
        "retention_over", "erased", None, "The days of its class were over: its event was deleted."
    ),
    Code("erased_before", "erased", None, "The visitor or user was erased at a later time."),
    Code("time_clamped", "flag", None, "The event claimed a time after it was received."),
    Code("currency_filled", "flag", None, "An amount came without a currency; the site's stands."),
    Code("identifier_blocked", "flag", None, "One of its ids names nobody, as `null` does."),
    Code(
        "imported", "flag", None, "No visitor's doing: `beleg identity import` read it in a file."
    ),
    Code(
        "consent_unreadable",
        "flag",
        None,
        "What was said of consent could not all be read: undecided.",
    ),
)

CODES: dict[str, Code] = {code.name: code for code in _TABLE}
