"""Of whom the store has something although they were erased. Only reads."""

from collections.abc import Mapping
from typing import NamedTuple

from spine.erasure_key import ErasureKey
from spine.store import Store

_FOUND = """
SELECT s.subject, toUnixTimestamp64Milli(max(m.erased_until)), argMax(m.erasure, m.erased_until)
FROM (
    SELECT subject, min(at) AS first_at FROM (
        SELECT visitor_id AS subject, min(occurred_at) AS at FROM events GROUP BY subject
        UNION ALL SELECT user_key, min(occurred_at) FROM events GROUP BY user_key
        UNION ALL SELECT crm_key, min(occurred_at) FROM events GROUP BY crm_key
        UNION ALL SELECT email_key, min(occurred_at) FROM events GROUP BY email_key
        UNION ALL SELECT phone_key, min(occurred_at) FROM events GROUP BY phone_key
        UNION ALL SELECT visitor_id, min(occurred_at) FROM visitor_facts GROUP BY visitor_id
        UNION ALL SELECT visitor_id, min(occurred_at) FROM order_facts GROUP BY visitor_id
        UNION ALL SELECT visitor_id, min(occurred_at) FROM lead_facts GROUP BY visitor_id
        UNION ALL SELECT key, min(occurred_at) FROM identity_evidence GROUP BY key
        UNION ALL SELECT key, min(split_at) FROM identity_splits GROUP BY key
        UNION ALL SELECT subject, min(received_at) FROM consent_log GROUP BY subject
        UNION ALL SELECT subject, min(received_at) FROM consent_proofs GROUP BY subject
        UNION ALL SELECT visitor_id, toDateTime64(min(day), 3, 'UTC') FROM visitor_days
            GROUP BY visitor_id
        UNION ALL SELECT visitor_id, min(first_reported_at) FROM orders GROUP BY visitor_id
        UNION ALL SELECT visitor_id, toDateTime64(0, 3, 'UTC') FROM persons
            WHERE visitor_id NOT IN (SELECT key FROM identity_evidence)
    ) WHERE subject != toFixedString('', 16) GROUP BY subject
) AS s
INNER JOIN (SELECT mark, erased_until, erasure FROM erasure_marks FINAL) AS m
ON toFixedString(substring(SHA256(concat(
    unhex({outer:String}), SHA256(concat(unhex({inner:String}), s.subject))
)), 1, 16), 16) = m.mark
WHERE s.first_at <= m.erased_until
GROUP BY s.subject
SETTINGS log_queries = 0
"""


class Erased(NamedTuple):
    """Up to when an identifier is erased, and by which erasure; '' where that is not known."""

    until_ms: int
    by: str


async def found(store: Store, key: ErasureKey) -> Mapping[bytes, Erased]:
    """Give the identifiers of which the store has something that is not later than their mark.

    Reads all visitors there are. Raises: Unavailable."""
    inner, outer = key.pads
    rows = await store.select(_FOUND, {"inner": inner, "outer": outer})
    return {bytes(subject): Erased(int(until_ms), str(by)) for subject, until_ms, by in rows}
