-- The evidence that names these identifiers, as much of it as matters.
--
-- Of a device the turns: each event on which somebody else stands on it than on the one before. Of all
-- others the first event with each that they stand beside. Each edge lies here twice, once from either
-- end. So many rows of one identifier are enough to tell that there are too many.
SELECT
    key, other_key, key_type, other_type, site, toUnixTimestamp64Milli(occurred_at) AS at_ms,
    identity, toString(channel), is_weak
FROM (
    SELECT
        key, other_key, key_type, other_type, site, occurred_at, identity, channel, is_weak,
        lagInFrame((other_key, is_weak)) OVER (
            PARTITION BY key ORDER BY occurred_at, identity
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS before
    FROM identity_evidence AS e
    WHERE e.key IN {keys} AND e.key_type = 'anonymous_id' AND {counts}
)
WHERE (other_key, is_weak) != before
ORDER BY key, occurred_at, identity
LIMIT {most_turns} BY key
UNION ALL
SELECT
    key, other_key, any(key_type), any(other_type), any(site),
    toUnixTimestamp64Milli(min(occurred_at)), argMin(identity, (occurred_at, identity)),
    toString(argMin(channel, (occurred_at, identity))), is_weak
FROM identity_evidence AS e
WHERE e.key IN {keys} AND e.key_type != 'anonymous_id' AND {counts}
GROUP BY key, other_key, is_weak
LIMIT {most_others} BY key
