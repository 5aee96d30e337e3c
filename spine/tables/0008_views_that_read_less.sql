-- The same numbers, reading less.
--
-- Of the nested sessions only the columns that are asked for are read. An event, an order or a lead
-- finds its session in its visitor's array of sessions: to build a hash of arrays takes a tenth of
-- the time of ClickHouse's ASOF JOIN, which makes a vector for every key. Orders and leads look only at
-- the sessions of those who ordered or became a lead.

-- Few different words, compared as numbers.
ALTER TABLE sessions MODIFY COLUMN sessions_of_day Array(Tuple(
    started_at DateTime64(3, 'UTC'), ended_at DateTime64(3, 'UTC'),
    events UInt32, page_views UInt32, engaged UInt8,
    source LowCardinality(String), medium LowCardinality(String),
    campaign LowCardinality(String), channel_group LowCardinality(String),
    click_id_name LowCardinality(String), click_id String, landing_page String
));

CREATE OR REPLACE VIEW session_rows AS
SELECT
    s.site AS site, s.visitor_id AS visitor_key, started_at, ended_at,
    lower(hex(sipHash128(s.visitor_id, toUnixTimestamp64Milli(started_at)))) AS session_id,
    events, page_views, engaged, source, medium, campaign, channel_group, click_id_name, click_id,
    landing_page
FROM sessions AS s FINAL
ARRAY JOIN
    s.sessions_of_day.started_at AS started_at, s.sessions_of_day.ended_at AS ended_at,
    s.sessions_of_day.events AS events, s.sessions_of_day.page_views AS page_views,
    s.sessions_of_day.engaged AS engaged, s.sessions_of_day.source AS source,
    s.sessions_of_day.medium AS medium, s.sessions_of_day.campaign AS campaign,
    s.sessions_of_day.channel_group AS channel_group,
    s.sessions_of_day.click_id_name AS click_id_name, s.sessions_of_day.click_id AS click_id,
    s.sessions_of_day.landing_page AS landing_page;

-- A visitor's sessions in the order of their start.
CREATE OR REPLACE VIEW visitor_rows AS
SELECT
    visitor_id AS visitor_key,
    arraySort(groupArrayArray(arrayZip(
        sessions_of_day.started_at, sessions_of_day.ended_at
    ))) AS sessions_of_visitor
FROM sessions FINAL
GROUP BY visitor_id;

-- The session of an order: the visitor's last one that began before and ended at most 24 h before.
CREATE OR REPLACE VIEW order_rows AS
SELECT
    o.site AS site, o.transaction_id AS transaction_id, o.ordered_at AS ordered_at,
    o.first_reported_at AS first_reported_at, o.currency AS currency, o.gross AS gross,
    o.refunded AS refunded, o.gross - o.refunded AS net, o.tax AS tax, o.shipping AS shipping,
    o.status AS status, o.verified AS verified, o.seen_browser AS seen_browser,
    o.seen_server AS seen_server, o.visitor_key AS visitor_key,
    if(p.person_key = toFixedString('', 16), o.visitor_key, p.person_key) AS person_key,
    arrayLast(x -> x.1 <= o.at, s.sessions_of_visitor) AS visit,
    toUnixTimestamp64Milli(visit.1) > 0 AND o.at <= visit.2 + INTERVAL 24 HOUR AS in_session,
    if(
        in_session, lower(hex(sipHash128(o.visitor_key, toUnixTimestamp64Milli(visit.1)))), ''
    ) AS session_id,
    if(in_session, visit.3, '(unattributed)') AS channel_group,
    if(in_session, visit.4, '(unattributed)') AS source,
    if(in_session, visit.5, '(unattributed)') AS medium,
    if(in_session, visit.6, '(unattributed)') AS campaign
FROM (
    SELECT *, visitor_id AS visitor_key, ifNull(ordered_at, first_reported_at) AS at
    FROM orders FINAL
    WHERE orders.status != ''
) AS o
LEFT ANY JOIN (
    SELECT
        visitor_id AS visitor_key,
        arraySort(groupArrayArray(arrayZip(
            sessions_of_day.started_at, sessions_of_day.ended_at, sessions_of_day.channel_group,
            sessions_of_day.source, sessions_of_day.medium, sessions_of_day.campaign
        ))) AS sessions_of_visitor
    FROM sessions FINAL
    PREWHERE visitor_id IN (SELECT visitor_id FROM orders)
    GROUP BY visitor_id
) AS s ON o.visitor_key = s.visitor_key
LEFT ANY JOIN person_rows AS p ON o.visitor_key = p.visitor_key;

-- Keys of events that both a browser and a server reported: the ids of the servers' events find the
-- others by their index.
CREATE OR REPLACE VIEW copy_rows AS
SELECT event_key FROM events
WHERE channel = 'browser'
    AND event_id IN (SELECT event_id FROM events WHERE channel = 'server')
    AND event_key IN (SELECT event_key FROM events WHERE channel = 'server');

CREATE OR REPLACE VIEW v_events AS
SELECT
    e.site AS site, e.event_id AS event_id, e.name AS name,
    toUInt8(e.channel = 'browser') AS seen_browser,
    toUInt8(e.channel = 'server' OR e.is_copied) AS seen_server,
    e.occurred_at AS occurred_at, e.received_at AS received_at, e.anonymous_id AS anonymous_id,
    e.user_id AS user_id,
    if(e.visitor_key = toFixedString('', 16), NULL, lower(hex(e.visitor_key))) AS visitor_id,
    if(
        toUnixTimestamp64Milli(e.visit.1) > 0 AND e.occurred_at <= e.visit.2 + INTERVAL 24 HOUR,
        lower(hex(sipHash128(e.visitor_key, toUnixTimestamp64Milli(e.visit.1)))), NULL
    ) AS session_id,
    if(
        e.visitor_key = toFixedString('', 16), NULL,
        lower(hex(if(e.person_key = toFixedString('', 16), e.visitor_key, e.person_key)))
    ) AS person_id,
    e.transaction_id AS transaction_id
FROM (
    SELECT
        r.site AS site, r.event_id AS event_id, r.name AS name, r.channel AS channel,
        r.is_copied AS is_copied, r.occurred_at AS occurred_at, r.received_at AS received_at,
        r.anonymous_id AS anonymous_id, r.user_id AS user_id, r.visitor_key AS visitor_key,
        r.transaction_id AS transaction_id, p.person_key AS person_key,
        arrayLast(x -> x.1 <= r.occurred_at, s.sessions_of_visitor) AS visit
    FROM event_rows AS r
    LEFT ANY JOIN visitor_rows AS s ON r.visitor_key = s.visitor_key
    LEFT ANY JOIN person_rows AS p ON r.visitor_key = p.visitor_key
) AS e;

CREATE OR REPLACE VIEW lead_rows AS
SELECT
    l.site AS site, l.event_id AS event_id, l.occurred_at AS occurred_at,
    l.visitor_key AS visitor_key,
    if(p.person_key = toFixedString('', 16), l.visitor_key, p.person_key) AS person_key,
    arrayLast(x -> x.1 <= l.occurred_at, s.sessions_of_visitor) AS visit,
    toUnixTimestamp64Milli(visit.1) > 0 AND l.occurred_at <= visit.2 + INTERVAL 24 HOUR
        AS in_session,
    if(
        in_session, lower(hex(sipHash128(l.visitor_key, toUnixTimestamp64Milli(visit.1)))), ''
    ) AS session_id,
    l.money.1 AS value, l.money.2 AS currency, l.verified AS verified,
    if(in_session, visit.3, '(unattributed)') AS channel_group,
    if(in_session, visit.4, '(unattributed)') AS source,
    if(in_session, visit.5, '(unattributed)') AS medium,
    if(in_session, visit.6, '(unattributed)') AS campaign
FROM (
    SELECT
        f.site AS site, f.event_id AS event_id,
        argMin(f.occurred_at, f.channel) AS occurred_at,
        argMin(f.visitor_id, (f.visitor_id = toFixedString('', 16), f.channel)) AS visitor_key,
        argMax((f.value, f.currency), f.channel) AS money,
        toUInt8(max(f.channel) = 'server') AS verified
    FROM lead_facts AS f FINAL
    GROUP BY f.site, f.event_key, f.event_id
) AS l
LEFT ANY JOIN (
    SELECT
        visitor_id AS visitor_key,
        arraySort(groupArrayArray(arrayZip(
            sessions_of_day.started_at, sessions_of_day.ended_at, sessions_of_day.channel_group,
            sessions_of_day.source, sessions_of_day.medium, sessions_of_day.campaign
        ))) AS sessions_of_visitor
    FROM sessions FINAL
    PREWHERE visitor_id IN (SELECT visitor_id FROM lead_facts)
    GROUP BY visitor_id
) AS s ON l.visitor_key = s.visitor_key
LEFT ANY JOIN person_rows AS p ON l.visitor_key = p.visitor_key;

-- The day it is at a site in each quarter of an hour that sessions may begin in: no time zone changes
-- its offset between two quarters. To write and read every session's time as text took longer than
-- all the rest.
CREATE OR REPLACE VIEW quarter_rows AS
SELECT
    d.site AS site, d.day AS of_day, intDiv(toUnixTimestamp(toDateTime(d.day, 'UTC')), 900) + nth
        AS quarter,
    toDate(substring(toString(
        toDateTime(quarter * 900, 'UTC'), if(t.timezone = '', 'UTC', t.timezone)
    ), 1, 10)) AS date
FROM (SELECT DISTINCT site, day FROM sessions) AS d
LEFT ANY JOIN (SELECT site, timezone FROM sites FINAL) AS t ON d.site = t.site
ARRAY JOIN range(96) AS nth;

-- Visitors are counted by eight bytes of their digest.
-- Days are days in the site's time zone (UTC while the store does not know the site): of the
-- session's start, of the order.
CREATE OR REPLACE VIEW v_kpi_daily AS
SELECT
    date, site, channel_group, source, medium, campaign, currency,
    sum(n_sessions) AS sessions, sum(n_engaged) AS engaged_sessions, sum(n_visitors) AS visitors,
    sum(n_orders) AS orders, sum(sum_gross) AS gross, sum(sum_refunded) AS refunded,
    gross - refunded AS net, sum(sum_verified_net) AS verified_net, sum(n_new) AS new_customers,
    sum(n_leads) AS leads,
    CAST(NULL, 'Nullable(Decimal(18, 4))') AS cost, CAST(NULL, 'Nullable(UInt64)') AS clicks,
    CAST(NULL, 'Nullable(UInt64)') AS impressions,
    if(sessions = 0, NULL, orders / sessions) AS cvr,
    if(orders = 0, NULL, toFloat64(gross) / orders) AS aov,
    CAST(NULL, 'Nullable(Float64)') AS cpa, CAST(NULL, 'Nullable(Float64)') AS roas,
    CAST(NULL, 'Nullable(Float64)') AS cac, CAST(NULL, 'Nullable(Float64)') AS cpl,
    CAST(NULL, 'Nullable(Float64)') AS ctr, CAST(NULL, 'Nullable(Float64)') AS cpc,
    if(sessions = 0, NULL, 1 - engaged_sessions / sessions) AS bounce_rate
FROM (
    SELECT
        if(q.of_day = s.of_day, q.date, s.of_day) AS date, s.site AS site,
        s.channel_group AS channel_group, s.source AS source, s.medium AS medium,
        s.campaign AS campaign, t.currency AS currency,
        count() AS n_sessions, sum(s.engaged) AS n_engaged,
        uniqExact(reinterpretAsUInt64(s.visitor_key)) AS n_visitors,
        toUInt64(0) AS n_orders, toDecimal128(0, 4) AS sum_gross, toDecimal128(0, 4) AS sum_refunded,
        toDecimal128(0, 4) AS sum_verified_net, toUInt64(0) AS n_new, toUInt64(0) AS n_leads
    FROM (
        SELECT *, toDate(started_at) AS of_day, intDiv(toUnixTimestamp(started_at), 900) AS quarter
        FROM session_rows
    ) AS s
    LEFT ANY JOIN quarter_rows AS q ON s.site = q.site AND s.quarter = q.quarter
    LEFT ANY JOIN (SELECT site, currency FROM sites FINAL) AS t ON s.site = t.site
    GROUP BY date, site, channel_group, source, medium, campaign, currency
    UNION ALL
    SELECT
        toDate(substring(
            toString(assumeNotNull(o.ordered_at), if(t.timezone = '', 'UTC', t.timezone)), 1, 10
        )) AS date, o.site,
        o.channel_group, o.source, o.medium, o.campaign, o.currency,
        0, 0, 0, count(), sum(ifNull(o.gross, 0)), sum(ifNull(o.refunded, 0)),
        sumIf(ifNull(o.net, 0), o.verified),
        countIf((o.site, o.transaction_id) IN new_customer_rows), 0
    FROM order_rows AS o
    LEFT ANY JOIN (SELECT site, timezone FROM sites FINAL) AS t ON o.site = t.site
    WHERE o.ordered_at IS NOT NULL
    GROUP BY date, o.site, o.channel_group, o.source, o.medium, o.campaign, o.currency
    UNION ALL
    SELECT
        toDate(substring(
            toString(c.occurred_at, if(t.timezone = '', 'UTC', t.timezone)), 1, 10
        )) AS date, c.site,
        c.channel_group, c.source, c.medium, c.campaign, if(c.currency = '', t.currency, c.currency),
        0, 0, 0, 0, 0, 0, 0, 0, count()
    FROM lead_rows AS c
    LEFT ANY JOIN (SELECT site, currency, timezone FROM sites FINAL) AS t ON c.site = t.site
    GROUP BY date, c.site, c.channel_group, c.source, c.medium, c.campaign, 7
)
GROUP BY date, site, channel_group, source, medium, campaign, currency;
