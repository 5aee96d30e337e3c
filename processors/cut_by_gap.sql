-- A gap of more than the time-out starts a session: then a chain is one.
SELECT
    e.site AS site, e.visitor_id AS visitor_id, e.days_touched AS days_rewritten,
    arraySplit(
        (fact, gap_ms) -> gap_ms > {timeout_ms},
        e.facts, arrayDifference(arrayMap(at -> toUnixTimestamp64Milli(at), e.facts.1))
    ) AS sessions
FROM evidence AS e
