-- The evidence that names these identifiers, as much of it as matters.
--
-- Of a device the turns: each event on which somebody else stands on it than on the one before. Of all
-- others the first event with each that they stand beside: these are parts of their own, in which nothing
-- changes. Each edge lies here twice, once from either end. So many rows of one identifier are enough to
-- tell that there are too many.
--
-- PREWHERE, so that what counts is asked of these identifiers' rows only, not of all that lie near them.
SELECT
    key, other_key, key_type, other_type, site, toUnixTimestamp64Milli(occurred_at) AS at_ms,
    identity, toString(channel), is_weak
FROM (
    SELECT
        key, other_key, key_type, other_type, site, occurred_at, identity, channel, is_weak,
        lagInFrame((other_key, is_weak)) OVER (
            PARTITION BY
                key,
                if(key_type = 'anonymous_id', (toFixedString('', 16), 0), (other_key, is_weak))
            ORDER BY occurred_at, identity
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS before
    FROM identity_evidence AS e
    PREWHERE e.key IN {keys}
    WHERE {counts}
)
WHERE (other_key, is_weak) != before
ORDER BY key, occurred_at, identity
LIMIT {most_turns} BY key
