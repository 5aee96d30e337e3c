-- Sessions laid out by day, so that a question merges only what is still in several parts.
--
-- `visitor_days` takes the place of `sessions` (0010 removes it): the same rows in a partition a week.
-- FINAL need not compare weeks with each other, and a week that has come to rest is one part, which
-- FINAL does not merge at all. Parts that are a day old are put together even if nothing else comes.
-- What a batch brings is one file; larger parts are laid out by columns, of which questions read few.
-- An older program may write to `sessions` until this one's derive version is entered: the rebuild
-- that follows derives those rows, too.

CREATE TABLE IF NOT EXISTS visitor_days (
    site LowCardinality(String), visitor_id FixedString(16), day Date,
    sessions_of_day Array(Tuple(
        started_at DateTime64(3, 'UTC'), ended_at DateTime64(3, 'UTC'),
        events UInt32, page_views UInt32, engaged UInt8,
        source LowCardinality(String), medium LowCardinality(String),
        campaign LowCardinality(String), channel_group LowCardinality(String),
        click_id_name LowCardinality(String), click_id String, landing_page String
    )),
    version UInt64,
    -- Channel group, source, medium and campaign of each session as one word, to group by.
    touches Array(LowCardinality(String)) MATERIALIZED arrayMap(
        x -> toString((x.channel_group, x.source, x.medium, x.campaign)), sessions_of_day
    )
) ENGINE = ReplacingMergeTree(version)
PARTITION BY toMonday(day)
ORDER BY (day, visitor_id)
SETTINGS index_granularity = 256, min_bytes_for_wide_part = 4000000,
    min_age_to_force_merge_seconds = 86400;

INSERT INTO visitor_days SELECT site, visitor_id, day, sessions_of_day, version FROM sessions;

CREATE OR REPLACE VIEW session_rows AS
SELECT
    s.site AS site, s.visitor_id AS visitor_key, s.day AS day, started_at, ended_at,
    lower(hex(sipHash128(s.visitor_id, toUnixTimestamp64Milli(started_at)))) AS session_id,
    events, page_views, engaged, source, medium, campaign, channel_group, click_id_name, click_id,
    landing_page, touch
FROM visitor_days AS s FINAL
ARRAY JOIN
    s.sessions_of_day.started_at AS started_at, s.sessions_of_day.ended_at AS ended_at,
    s.sessions_of_day.events AS events, s.sessions_of_day.page_views AS page_views,
    s.sessions_of_day.engaged AS engaged, s.sessions_of_day.source AS source,
    s.sessions_of_day.medium AS medium, s.sessions_of_day.campaign AS campaign,
    s.sessions_of_day.channel_group AS channel_group,
    s.sessions_of_day.click_id_name AS click_id_name, s.sessions_of_day.click_id AS click_id,
    s.sessions_of_day.landing_page AS landing_page, s.touches AS touch;

-- A visitor's sessions in the order of their start.
CREATE OR REPLACE VIEW visitor_rows AS
SELECT
    visitor_id AS visitor_key,
    arraySort(groupArrayArray(arrayZip(
        sessions_of_day.started_at, sessions_of_day.ended_at
    ))) AS sessions_of_visitor
FROM visitor_days FINAL
GROUP BY visitor_id;

-- The events asked for are held, and of the sessions only those of their visitors are read. Very many
-- events are held in part on disk.
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
    FROM visitor_rows AS s
    RIGHT ANY JOIN event_rows AS r ON s.visitor_key = r.visitor_key
    LEFT ANY JOIN person_rows AS p ON r.visitor_key = p.visitor_key
) AS e
SETTINGS join_algorithm = 'grace_hash', max_bytes_in_join = 200000000;

-- The session of an order: the visitor's last one that began before and ended at most 24 h before.
-- The sessions of those who ordered are found by eight bytes of their digest; the join compares all.
CREATE OR REPLACE VIEW order_visits AS
SELECT
    o.*, s.touch != '' AND o.at <= s.ended_at + INTERVAL 24 HOUR AS in_session,
    s.started_at AS started_at, if(in_session, s.touch, '') AS touch
FROM (
    SELECT *, visitor_id AS visitor_key, ifNull(ordered_at, first_reported_at) AS at
    FROM orders FINAL
    WHERE orders.status != ''
) AS o
ASOF LEFT JOIN (
    SELECT visitor_id AS visitor_key, started_at, ended_at, touch
    FROM visitor_days FINAL
    ARRAY JOIN
        sessions_of_day.started_at AS started_at, sessions_of_day.ended_at AS ended_at,
        touches AS touch
    PREWHERE reinterpretAsUInt64(visitor_id) IN (SELECT reinterpretAsUInt64(visitor_id) FROM orders)
) AS s ON o.visitor_key = s.visitor_key AND o.at >= s.started_at;

CREATE OR REPLACE VIEW order_rows AS
SELECT
    o.site AS site, o.transaction_id AS transaction_id, o.ordered_at AS ordered_at,
    o.first_reported_at AS first_reported_at, o.currency AS currency, o.gross AS gross,
    o.refunded AS refunded, o.gross - o.refunded AS net, o.tax AS tax, o.shipping AS shipping,
    o.status AS status, o.verified AS verified, o.seen_browser AS seen_browser,
    o.seen_server AS seen_server, o.visitor_key AS visitor_key,
    if(p.person_key = toFixedString('', 16), o.visitor_key, p.person_key) AS person_key,
    o.in_session AS in_session,
    if(
        in_session, lower(hex(sipHash128(o.visitor_key, toUnixTimestamp64Milli(o.started_at)))), ''
    ) AS session_id
FROM order_visits AS o
LEFT ANY JOIN person_rows AS p ON o.visitor_key = p.visitor_key;

CREATE OR REPLACE VIEW lead_rows AS
SELECT
    l.site AS site, l.event_id AS event_id, l.occurred_at AS occurred_at,
    l.visitor_key AS visitor_key,
    if(p.person_key = toFixedString('', 16), l.visitor_key, p.person_key) AS person_key,
    s.touch != '' AND l.occurred_at <= s.ended_at + INTERVAL 24 HOUR AS in_session,
    if(
        in_session, lower(hex(sipHash128(l.visitor_key, toUnixTimestamp64Milli(s.started_at)))), ''
    ) AS session_id,
    l.money.1 AS value, l.money.2 AS currency, l.verified AS verified,
    if(in_session, s.touch, '') AS touch
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
ASOF LEFT JOIN (
    SELECT visitor_id AS visitor_key, started_at, ended_at, touch
    FROM visitor_days FINAL
    ARRAY JOIN
        sessions_of_day.started_at AS started_at, sessions_of_day.ended_at AS ended_at,
        touches AS touch
    PREWHERE visitor_id IN (SELECT visitor_id FROM lead_facts)
) AS s ON l.visitor_key = s.visitor_key AND l.occurred_at >= s.started_at
LEFT ANY JOIN person_rows AS p ON l.visitor_key = p.visitor_key;

CREATE OR REPLACE VIEW conversions AS
SELECT
    site, transaction_id AS conversion_id, 'order' AS kind, assumeNotNull(ordered_at) AS occurred_at,
    visitor_key, person_key, session_id, net AS value, currency, verified
FROM order_rows WHERE ordered_at IS NOT NULL
UNION ALL
SELECT
    site, event_id, 'lead', occurred_at, visitor_key, person_key, session_id, value, currency,
    verified
FROM lead_rows;

CREATE OR REPLACE VIEW v_sessions AS
SELECT
    s.site AS site, s.session_id AS session_id, lower(hex(s.visitor_key)) AS visitor_id,
    lower(hex(if(p.person_key = toFixedString('', 16), s.visitor_key, p.person_key))) AS person_id,
    s.started_at AS started_at, s.ended_at AS ended_at,
    (toUnixTimestamp64Milli(s.ended_at) - toUnixTimestamp64Milli(s.started_at)) / 1000 AS duration_s,
    s.engaged AS engaged, s.events AS events, s.page_views AS page_views,
    o.purchases AS purchases, o.revenue AS revenue, t.currency AS currency,
    CAST(s.channel_group, 'String') AS channel_group, CAST(s.source, 'String') AS source,
    CAST(s.medium, 'String') AS medium, CAST(s.campaign, 'String') AS campaign,
    s.landing_page AS landing_page
FROM session_rows AS s
LEFT ANY JOIN (SELECT site, currency FROM sites FINAL) AS t ON s.site = t.site
LEFT ANY JOIN (
    SELECT
        r.visitor_key AS visitor_key, r.started_at AS started_at,
        countIf(r.ordered_at IS NOT NULL) AS purchases,
        sumIf(ifNull(r.gross, 0), r.currency = u.currency) AS revenue
    FROM order_visits AS r
    LEFT ANY JOIN (SELECT site, currency FROM sites FINAL) AS u ON r.site = u.site
    WHERE r.in_session
    GROUP BY r.visitor_key, r.started_at
) AS o ON s.visitor_key = o.visitor_key AND s.started_at = o.started_at
LEFT ANY JOIN person_rows AS p ON s.visitor_key = p.visitor_key;

-- The first order ever of a person is a new customer; orders without a visitor tell nothing.
CREATE OR REPLACE VIEW new_customer_rows AS
SELECT argMin(o.order_key, (o.at, o.transaction_id)) AS first_order
FROM (
    SELECT
        order_key, transaction_id, assumeNotNull(ordered_at) AS at, visitor_id AS visitor_key
    FROM orders FINAL
    WHERE ordered_at IS NOT NULL AND visitor_id != toFixedString('', 16)
) AS o
LEFT ANY JOIN person_rows AS p ON o.visitor_key = p.visitor_key
GROUP BY if(p.person_key = toFixedString('', 16), o.visitor_key, p.person_key);

-- The quarters of an hour in which it is another day at a site than in UTC: `ahead` the next one,
-- else the one before. No time zone changes its offset between two quarters. Site and quarter are
-- one number, because a set of numbers is asked several times faster than one of pairs.
CREATE OR REPLACE VIEW quarter_rows AS
SELECT
    cityHash64(t.site) + intDiv(toUnixTimestamp(toDateTime(d.day, 'UTC')), 900) + nth AS site_quarter,
    toDate(substring(toString(
        toDateTime(toUnixTimestamp(toDateTime(d.day, 'UTC')) + nth * 900, 'UTC'),
        if(t.timezone = '', 'UTC', t.timezone)
    ), 1, 10)) AS date,
    date > d.day AS ahead
FROM (SELECT DISTINCT day FROM visitor_days) AS d
CROSS JOIN (SELECT site, timezone FROM sites FINAL) AS t
ARRAY JOIN range(96) AS nth
WHERE date != d.day;

-- Visitors are counted by eight bytes of their digest.
-- Days are days in the site's time zone (UTC while the store does not know the site): of the
-- session's start, of the order. What has no session is unattributed: its touch is empty. What has
-- no currency of its own has the site's.
CREATE OR REPLACE VIEW v_kpi_daily AS
SELECT
    a.date AS date, a.site AS site,
    if(a.touch = '', '(unattributed)', a.words.1) AS channel_group,
    if(a.touch = '', '(unattributed)', a.words.2) AS source,
    if(a.touch = '', '(unattributed)', a.words.3) AS medium,
    if(a.touch = '', '(unattributed)', a.words.4) AS campaign,
    toString(ifNull(a.own_currency, t.currency)) AS currency,
    sum(a.n_sessions) AS sessions, sum(a.n_engaged) AS engaged_sessions,
    sum(a.n_visitors) AS visitors, sum(a.n_orders) AS orders, sum(a.sum_gross) AS gross,
    sum(a.sum_refunded) AS refunded, gross - refunded AS net,
    sum(a.sum_verified_net) AS verified_net, sum(a.n_new) AS new_customers, sum(a.n_leads) AS leads,
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
        *, CAST(
            if(touch = '', '(\'\',\'\',\'\',\'\')', touch), 'Tuple(String, String, String, String)'
        ) AS words
    FROM (
        SELECT
            s.day + (s.site_quarter IN (SELECT site_quarter FROM quarter_rows WHERE ahead))
                - (s.site_quarter IN (SELECT site_quarter FROM quarter_rows WHERE NOT ahead))
                AS date,
            s.site AS site, s.touch AS touch, CAST(NULL, 'Nullable(String)') AS own_currency,
            count() AS n_sessions, sum(s.engaged) AS n_engaged,
            uniqExact(reinterpretAsUInt64(s.visitor_key)) AS n_visitors,
            toUInt64(0) AS n_orders, toDecimal128(0, 4) AS sum_gross,
            toDecimal128(0, 4) AS sum_refunded, toDecimal128(0, 4) AS sum_verified_net,
            toUInt64(0) AS n_new, toUInt64(0) AS n_leads
        FROM (
            SELECT
                *, cityHash64(site) + intDiv(toUnixTimestamp(started_at), 900) AS site_quarter
            FROM session_rows
        ) AS s
        GROUP BY date, site, touch
        UNION ALL
        SELECT
            toDate(substring(
                toString(assumeNotNull(o.ordered_at), if(t.timezone = '', 'UTC', t.timezone)), 1, 10
            )) AS date, o.site, o.touch, o.currency,
            0, 0, 0, count(), sum(ifNull(o.gross, 0)), sum(ifNull(o.refunded, 0)),
            sumIf(ifNull(o.gross - o.refunded, 0), o.verified),
            countIf(o.order_key IN new_customer_rows), 0
        FROM order_visits AS o
        LEFT ANY JOIN (SELECT site, timezone FROM sites FINAL) AS t ON o.site = t.site
        WHERE o.ordered_at IS NOT NULL
        GROUP BY date, o.site, o.touch, o.currency
        UNION ALL
        SELECT
            toDate(substring(
                toString(c.occurred_at, if(t.timezone = '', 'UTC', t.timezone)), 1, 10
            )) AS date, c.site, c.touch, nullIf(c.currency, ''),
            0, 0, 0, 0, 0, 0, 0, 0, count()
        FROM lead_rows AS c
        LEFT ANY JOIN (SELECT site, timezone FROM sites FINAL) AS t ON c.site = t.site
        GROUP BY date, c.site, c.touch, c.currency
    )
) AS a
LEFT ANY JOIN (SELECT site, currency FROM sites FINAL) AS t ON a.site = t.site
GROUP BY date, site, channel_group, source, medium, campaign, currency;
