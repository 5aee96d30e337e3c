-- Rewrite the visitor-days that the touched days' chains of events cover, sets replaced whole.
--
-- touched   one row per (visitor, touched day) with the window of evidence around it
-- evidence  the visitor's facts in the window; copies of one report change nothing below: there is
--           no gap between them, and what counts counts event keys
-- chains    a gap of more than {timeout_s} seconds starts a session
-- Each session is laid on every day from its start to its end, so that a day from which a session
-- moved away is rewritten too, with what is left of it.
WITH
touched AS (
    SELECT
        reinterpretAsFixedString(row.1) AS visitor_id, row.2 AS day,
        toDateTime64(toDate(row.3), 3, 'UTC') AS since, toDateTime64(toDate(row.4), 3, 'UTC') AS until
    FROM (SELECT arrayJoin(arrayZip(
        reinterpret(base64Decode('{visitors}'), 'Array(UInt128)'),
        reinterpret(base64Decode('{days}'), 'Array(UInt16)'),
        reinterpret(base64Decode('{sinces}'), 'Array(UInt16)'),
        reinterpret(base64Decode('{untils}'), 'Array(UInt16)')
    )) AS row)
),
windows AS (
    SELECT visitor_id, since, until, groupArray(day) AS touched_days
    FROM touched GROUP BY visitor_id, since, until
),
evidence AS (
    SELECT
        f.site AS site, f.visitor_id AS visitor_id, w.since AS since, w.touched_days AS touched_days,
        f.occurred_at AS occurred_at, f.identity AS identity, f.event_key AS event_key,
        f.name AS name, f.is_key AS is_key, f.page AS page,
        (f.source, f.medium, f.campaign, f.channel_group, f.click_id_name, f.click_id) AS touch
    FROM visitor_facts AS f
    INNER JOIN windows AS w ON f.visitor_id = w.visitor_id
    WHERE f.visitor_id IN (SELECT visitor_id FROM windows)
        AND f.occurred_at >= toDateTime64(toDate({first_day}), 3, 'UTC')
        AND f.occurred_at < toDateTime64(toDate({last_day}), 3, 'UTC')
        AND f.occurred_at >= w.since AND f.occurred_at < w.until
),
marked AS (
    SELECT *, lagInFrame(occurred_at) OVER chain AS previous_at, row_number() OVER chain AS nth_event
    FROM evidence
    WINDOW chain AS (
        PARTITION BY visitor_id, since ORDER BY occurred_at, identity
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
),
numbered AS (
    SELECT *, sum(
        nth_event = 1
        OR toUnixTimestamp64Milli(occurred_at) - toUnixTimestamp64Milli(previous_at)
            > {timeout_s} * 1000
    ) OVER (
        PARTITION BY visitor_id, since ORDER BY occurred_at, identity
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS nth
    FROM marked
),
chains AS (
    SELECT
        e.site AS site, e.visitor_id AS visitor_id, any(e.touched_days) AS days_touched,
        min(e.occurred_at) AS started_at, max(e.occurred_at) AS ended_at,
        toUInt32(uniqExact(e.event_key)) AS events,
        toUInt32(uniqExactIf(e.event_key, e.name = 'page_view')) AS page_views,
        max(e.is_key) AS has_key,
        argMinIf(e.touch, (e.occurred_at, e.identity, e.touch), e.touch.1 != '') AS first_touch,
        argMinIf(e.page, (e.occurred_at, e.identity), e.page != '') AS landing_page
    FROM numbered AS e
    GROUP BY e.site, e.visitor_id, e.since, e.nth
),
laid AS (
    SELECT
        c.site AS site, c.visitor_id AS visitor_id,
        arrayJoin(range(toUInt16(toDate(c.started_at)), toUInt16(toDate(c.ended_at)) + 1)) AS day,
        day = toUInt16(toDate(c.started_at)) AS is_start,
        hasAny(
            c.days_touched, range(toUInt16(toDate(c.started_at)), toUInt16(toDate(c.ended_at)) + 1)
        ) AS meets,
        (
            c.started_at, c.ended_at, c.events, c.page_views,
            toUInt8(
                toUnixTimestamp64Milli(c.ended_at) - toUnixTimestamp64Milli(c.started_at) > 10000
                OR c.page_views >= 2 OR c.has_key
            ),
            if(c.first_touch.1 = '', '(direct)', c.first_touch.1),
            if(c.first_touch.1 = '', '(none)', c.first_touch.2),
            c.first_touch.3,
            if(c.first_touch.1 = '', 'Direct', c.first_touch.4),
            c.first_touch.5, c.first_touch.6, c.landing_page
        ) AS session
    FROM chains AS c
)
SELECT
    l.site, l.visitor_id, toDate(l.day), arraySort(groupArrayIf(l.session, l.is_start)), {token}
FROM laid AS l
GROUP BY l.site, l.visitor_id, l.day
HAVING max(l.meets)
