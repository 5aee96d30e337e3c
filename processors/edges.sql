-- Which windows might cut a chain: those with a fact within one time-out of an edge. Beyond the
-- first and the last of all days there is nothing to cut. The strips are the edges of all windows
-- as constants, so that the days between are not read.
WITH
touched AS (
    SELECT
        reinterpretAsFixedString(row.1) AS visitor_id,
        toDateTime64(toDate(row.2), 3, 'UTC') AS since, toDateTime64(toDate(row.3), 3, 'UTC') AS until
    FROM (SELECT arrayJoin(arrayZip(
        reinterpret(base64Decode('{visitors}'), 'Array(UInt128)'),
        reinterpret(base64Decode('{sinces}'), 'Array(UInt16)'),
        reinterpret(base64Decode('{untils}'), 'Array(UInt16)')
    )) AS row)
)
SELECT DISTINCT f.visitor_id, toUInt16(toDate(w.since)), toUInt16(toDate(w.until))
FROM visitor_facts AS f
INNER JOIN touched AS w ON f.visitor_id = w.visitor_id
WHERE f.visitor_id IN (SELECT visitor_id FROM touched)
    AND ({strips})
    AND (
        (
            toUInt16(toDate(w.since)) > 0
            AND f.occurred_at >= w.since AND f.occurred_at < w.since + INTERVAL {timeout_s} SECOND
        )
        OR (
            toUInt16(toDate(w.until)) < {end_of_days}
            AND f.occurred_at < w.until AND f.occurred_at >= w.until - INTERVAL {timeout_s} SECOND
        )
    )
