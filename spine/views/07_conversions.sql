-- Leads and conversions of sites' own, with the session that each is of.
CREATE OR REPLACE VIEW lead_visits AS
SELECT
    l.site AS site, l.kind AS kind, l.event_id AS event_id, l.occurred_at AS occurred_at,
    l.visitor_key AS visitor_key,
    s.touch != '' AND l.occurred_at <= s.ended_at + INTERVAL 24 HOUR AS in_session,
    if(
        in_session, lower(hex(sipHash128(l.visitor_key, toUnixTimestamp64Milli(s.started_at)))), ''
    ) AS session_id,
    l.money.1 AS value, l.money.2 AS currency, l.verified AS verified,
    if(in_session, s.touch, '') AS touch
FROM (
    SELECT
        f.site AS site, f.event_id AS event_id, argMin(toString(f.kind), f.channel) AS kind,
        argMin(f.occurred_at, f.channel) AS occurred_at,
        argMin(f.visitor_id, (f.visitor_id = toFixedString('', 16), f.channel)) AS visitor_key,
        argMax((f.value, f.currency), f.channel) AS money,
        toUInt8(max(f.channel) = 'server') AS verified
    FROM lead_facts AS f FINAL
    GROUP BY f.site, f.event_key, f.event_id
) AS l
ASOF LEFT JOIN (
    SELECT visitor_id AS visitor_key, started_at, ended_at, touch
    FROM visitor_days FINAL
    ARRAY JOIN
        sessions_of_day.started_at AS started_at, sessions_of_day.ended_at AS ended_at,
        touches AS touch
    PREWHERE visitor_id IN (SELECT visitor_id FROM lead_facts)
) AS s ON l.visitor_key = s.visitor_key AND l.occurred_at >= s.started_at;

CREATE OR REPLACE VIEW lead_rows AS
SELECT
    l.*,
    multiIf(
        p.person_key = toFixedString('', 16), l.visitor_key, empty(p.slices), p.person_key,
        arrayLast(x -> x.1 <= l.occurred_at, p.slices).2
    ) AS person_key
FROM lead_visits AS l
LEFT ANY JOIN person_rows AS p ON l.visitor_key = p.visitor_key;

CREATE OR REPLACE VIEW conversions AS
SELECT
    site, transaction_id AS conversion_id, 'order' AS kind, assumeNotNull(ordered_at) AS occurred_at,
    visitor_key, person_key, session_id, net AS value, currency, verified
FROM order_rows WHERE ordered_at IS NOT NULL
UNION ALL
SELECT
    site, event_id, kind, occurred_at, visitor_key, person_key, session_id, value, currency,
    verified
FROM lead_rows;

-- Which touches brought a conversion: the first and the last of its person's sessions in the 90 days
-- before, found by time, so that somebody with very many of both costs no more than their number.

-- Persons who ordered, became a lead or did what their site calls a conversion, and all who share a
-- device with them.
CREATE OR REPLACE VIEW converted_rows AS
SELECT DISTINCT if(p.person_key = toFixedString('', 16), c.visitor_key, p.person_key) AS person_key
FROM (
    SELECT visitor_id AS visitor_key FROM orders WHERE visitor_id != toFixedString('', 16)
    UNION DISTINCT
    SELECT visitor_id FROM lead_facts WHERE visitor_id != toFixedString('', 16)
) AS c
LEFT JOIN person_slices AS p ON c.visitor_key = p.visitor_key;

-- Their sessions, with the person's key. Where two devices of a person began one at the same moment,
-- the first by visitor counts, so that an answer does not hang on the order of rows.
CREATE OR REPLACE VIEW touch_rows AS
SELECT
    multiIf(
        p.person_key = toFixedString('', 16), s.visitor_key, empty(p.slices), p.person_key,
        arrayLast(x -> x.1 <= s.started_at, p.slices).2
    ) AS person_key,
    s.started_at AS started_at, argMin(toString(s.touch), s.visitor_key) AS touch,
    startsWith(touch, '(\'Direct\',') AS is_direct
FROM (
    SELECT visitor_id AS visitor_key, started_at, touch
    FROM visitor_days FINAL
    ARRAY JOIN sessions_of_day.started_at AS started_at, touches AS touch
    PREWHERE visitor_id IN (
        SELECT person_key FROM converted_rows
        UNION ALL
        SELECT visitor_key FROM person_slices WHERE person_key IN converted_rows
    )
) AS s
LEFT ANY JOIN person_rows AS p ON s.visitor_key = p.visitor_key
GROUP BY person_key, started_at;

CREATE OR REPLACE VIEW v_conversions AS
SELECT
    site, conversion_id, kind, occurred_at,
    if(visitor_key = toFixedString('', 16), NULL, lower(hex(person_key))) AS person_id,
    if(visitor_key = toFixedString('', 16), NULL, lower(hex(visitor_key))) AS visitor_id,
    nullIf(session_id, '') AS session_id, value, nullIf(toString(currency), '') AS currency,
    verified,
    if(first_touch = '', NULL, first.1) AS first_channel_group,
    if(first_touch = '', NULL, first.2) AS first_source,
    if(first_touch = '', NULL, first.3) AS first_medium,
    if(first_touch = '', NULL, first.4) AS first_campaign,
    if(last_touch = '', NULL, last.1) AS last_channel_group,
    if(last_touch = '', NULL, last.2) AS last_source,
    if(last_touch = '', NULL, last.3) AS last_medium,
    if(last_touch = '', NULL, last.4) AS last_campaign
FROM (
    SELECT
        c.site AS site, c.conversion_id AS conversion_id, c.kind AS kind,
        c.occurred_at AS occurred_at, c.visitor_key AS visitor_key, c.person_key AS person_key,
        c.session_id AS session_id, c.value AS value, c.currency AS currency,
        c.verified AS verified,
        if(f.started_at <= c.occurred_at, f.touch, '') AS first_touch,
        multiIf(
            n.touch != '' AND n.started_at >= c.since, n.touch,
            l.started_at >= c.since, l.touch, ''
        ) AS last_touch,
        CAST(
            if(first_touch = '', '(\'\',\'\',\'\',\'\')', first_touch),
            'Tuple(String, String, String, String)'
        ) AS first,
        CAST(
            if(last_touch = '', '(\'\',\'\',\'\',\'\')', last_touch),
            'Tuple(String, String, String, String)'
        ) AS last
    FROM (SELECT *, occurred_at - INTERVAL 90 DAY AS since FROM conversions) AS c
    ASOF LEFT JOIN touch_rows AS f
        ON c.person_key = f.person_key AND c.since <= f.started_at
    ASOF LEFT JOIN touch_rows AS l
        ON c.person_key = l.person_key AND c.occurred_at >= l.started_at
    ASOF LEFT JOIN (SELECT * FROM touch_rows WHERE NOT is_direct) AS n
        ON c.person_key = n.person_key AND c.occurred_at >= n.started_at
);
