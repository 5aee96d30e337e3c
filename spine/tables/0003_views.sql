-- What is read. Views hide versions, nesting and copies; ids are text, NULL when there is none.
-- `*_rows` views are steps of others and may change; the `v_*` views are the contract.

CREATE VIEW IF NOT EXISTS session_rows AS
SELECT
    s.site AS site, s.visitor_id AS visitor_key, x.started_at AS started_at, x.ended_at AS ended_at,
    lower(hex(sipHash128(s.visitor_id, toUnixTimestamp64Milli(x.started_at)))) AS session_id,
    x.events AS events, x.page_views AS page_views, x.engaged AS engaged, x.source AS source,
    x.medium AS medium, x.campaign AS campaign, x.channel_group AS channel_group,
    x.click_id_name AS click_id_name, x.click_id AS click_id, x.landing_page AS landing_page
FROM (SELECT site, visitor_id, sessions_of_day FROM sessions FINAL) AS s
ARRAY JOIN s.sessions_of_day AS x;

CREATE VIEW IF NOT EXISTS person_rows AS
SELECT visitor_id AS visitor_key, intervals[1].3 AS person_key FROM persons FINAL;

-- The session of an order: the visitor's last one that began before and ended at most 24 h before.
CREATE VIEW IF NOT EXISTS order_rows AS
SELECT
    o.site AS site, o.transaction_id AS transaction_id, o.ordered_at AS ordered_at,
    o.first_reported_at AS first_reported_at, o.currency AS currency, o.gross AS gross,
    o.refunded AS refunded, o.gross - o.refunded AS net, o.tax AS tax, o.shipping AS shipping,
    o.status AS status, o.verified AS verified, o.seen_browser AS seen_browser,
    o.seen_server AS seen_server, o.visitor_key AS visitor_key,
    if(p.person_key = toFixedString('', 16), o.visitor_key, p.person_key) AS person_key,
    s.session_id != '' AND o.at <= s.ended_at + INTERVAL 24 HOUR AS in_session,
    if(in_session, s.session_id, '') AS session_id,
    if(in_session, s.channel_group, '(unattributed)') AS channel_group,
    if(in_session, s.source, '(unattributed)') AS source,
    if(in_session, s.medium, '(unattributed)') AS medium,
    if(in_session, s.campaign, '(unattributed)') AS campaign
FROM (
    SELECT *, visitor_id AS visitor_key, ifNull(ordered_at, first_reported_at) AS at
    FROM orders FINAL
) AS o
ASOF LEFT JOIN session_rows AS s ON o.visitor_key = s.visitor_key AND o.at >= s.started_at
LEFT ANY JOIN person_rows AS p ON o.visitor_key = p.visitor_key;

CREATE VIEW IF NOT EXISTS v_orders AS
SELECT
    site, transaction_id, ordered_at, currency, gross, refunded, net, tax, shipping, status,
    verified, seen_browser, seen_server,
    if(visitor_key = toFixedString('', 16), NULL, lower(hex(visitor_key))) AS visitor_id,
    if(visitor_key = toFixedString('', 16), NULL, lower(hex(person_key))) AS person_id,
    nullIf(session_id, '') AS session_id
FROM order_rows;

CREATE VIEW IF NOT EXISTS v_sessions AS
SELECT
    s.site AS site, s.session_id AS session_id, lower(hex(s.visitor_key)) AS visitor_id,
    lower(hex(if(p.person_key = toFixedString('', 16), s.visitor_key, p.person_key))) AS person_id,
    s.started_at AS started_at, s.ended_at AS ended_at,
    (toUnixTimestamp64Milli(s.ended_at) - toUnixTimestamp64Milli(s.started_at)) / 1000 AS duration_s,
    s.engaged AS engaged, s.events AS events, s.page_views AS page_views,
    o.purchases AS purchases, o.revenue AS revenue, t.currency AS currency,
    s.channel_group AS channel_group, s.source AS source, s.medium AS medium,
    s.campaign AS campaign, s.landing_page AS landing_page
FROM session_rows AS s
LEFT ANY JOIN (SELECT site, currency FROM sites FINAL) AS t ON s.site = t.site
LEFT ANY JOIN (
    SELECT
        r.session_id AS session_id, countIf(r.ordered_at IS NOT NULL) AS purchases,
        sumIf(ifNull(r.gross, 0), r.currency = u.currency) AS revenue
    FROM order_rows AS r
    LEFT ANY JOIN (SELECT site, currency FROM sites FINAL) AS u ON r.site = u.site
    WHERE r.session_id != ''
    GROUP BY r.session_id
) AS o ON s.session_id = o.session_id
LEFT ANY JOIN person_rows AS p ON s.visitor_key = p.visitor_key;

-- Keys of events that both a browser and a server reported.
CREATE VIEW IF NOT EXISTS copy_rows AS
SELECT event_key FROM events
WHERE channel = 'browser'
    AND event_key IN (SELECT event_key FROM events WHERE channel = 'server');

CREATE VIEW IF NOT EXISTS event_rows AS
SELECT
    e.site AS site, e.event_id AS event_id, e.name AS name, e.channel AS channel,
    e.event_key AS event_key, e.event_key IN copy_rows AS is_copied,
    e.occurred_at AS occurred_at, e.received_at AS received_at, e.anonymous_id AS anonymous_id,
    e.user_id AS user_id, e.visitor_id AS visitor_key, e.transaction_id AS transaction_id,
    e.value AS value, e.currency AS currency
FROM events AS e FINAL
WHERE e.channel = 'browser' OR e.event_key NOT IN copy_rows;

CREATE VIEW IF NOT EXISTS v_events AS
SELECT
    e.site AS site, e.event_id AS event_id, e.name AS name,
    toUInt8(e.channel = 'browser') AS seen_browser,
    toUInt8(e.channel = 'server' OR e.is_copied) AS seen_server,
    e.occurred_at AS occurred_at, e.received_at AS received_at, e.anonymous_id AS anonymous_id,
    e.user_id AS user_id,
    if(e.visitor_key = toFixedString('', 16), NULL, lower(hex(e.visitor_key))) AS visitor_id,
    if(
        s.session_id != '' AND e.occurred_at <= s.ended_at + INTERVAL 24 HOUR, s.session_id, NULL
    ) AS session_id,
    if(
        e.visitor_key = toFixedString('', 16), NULL,
        lower(hex(if(p.person_key = toFixedString('', 16), e.visitor_key, p.person_key)))
    ) AS person_id,
    e.transaction_id AS transaction_id
FROM event_rows AS e
ASOF LEFT JOIN session_rows AS s ON e.visitor_key = s.visitor_key AND e.occurred_at >= s.started_at
LEFT ANY JOIN person_rows AS p ON e.visitor_key = p.visitor_key;

-- A lead is one event: told by a browser and a server, its time and visitor are the browser's, its
-- value the server's.
CREATE VIEW IF NOT EXISTS lead_rows AS
SELECT
    l.site AS site, l.event_id AS event_id, l.occurred_at AS occurred_at,
    l.visitor_key AS visitor_key,
    if(p.person_key = toFixedString('', 16), l.visitor_key, p.person_key) AS person_key,
    s.session_id != '' AND l.occurred_at <= s.ended_at + INTERVAL 24 HOUR AS in_session,
    if(in_session, s.session_id, '') AS session_id, l.money.1 AS value, l.money.2 AS currency,
    l.verified AS verified,
    if(in_session, s.channel_group, '(unattributed)') AS channel_group,
    if(in_session, s.source, '(unattributed)') AS source,
    if(in_session, s.medium, '(unattributed)') AS medium,
    if(in_session, s.campaign, '(unattributed)') AS campaign
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
ASOF LEFT JOIN session_rows AS s ON l.visitor_key = s.visitor_key AND l.occurred_at >= s.started_at
LEFT ANY JOIN person_rows AS p ON l.visitor_key = p.visitor_key;

-- Orders and leads in one shape, with binary keys.
CREATE VIEW IF NOT EXISTS conversions AS
SELECT
    site, transaction_id AS conversion_id, 'order' AS kind, assumeNotNull(ordered_at) AS occurred_at,
    visitor_key, person_key, session_id, net AS value, currency, verified,
    channel_group, source, medium, campaign
FROM order_rows WHERE ordered_at IS NOT NULL
UNION ALL
SELECT
    site, event_id, 'lead', occurred_at, visitor_key, person_key, session_id, value, currency,
    verified, channel_group, source, medium, campaign
FROM lead_rows;

CREATE VIEW IF NOT EXISTS v_conversions AS
SELECT
    site, conversion_id, kind, occurred_at,
    if(visitor_key = toFixedString('', 16), NULL, lower(hex(person_key))) AS person_id,
    if(visitor_key = toFixedString('', 16), NULL, lower(hex(visitor_key))) AS visitor_id,
    nullIf(session_id, '') AS session_id, value, nullIf(toString(currency), '') AS currency,
    verified,
    CAST(NULL, 'Nullable(String)') AS first_channel_group,
    CAST(NULL, 'Nullable(String)') AS first_source,
    CAST(NULL, 'Nullable(String)') AS first_medium,
    CAST(NULL, 'Nullable(String)') AS first_campaign,
    CAST(NULL, 'Nullable(String)') AS last_channel_group,
    CAST(NULL, 'Nullable(String)') AS last_source,
    CAST(NULL, 'Nullable(String)') AS last_medium,
    CAST(NULL, 'Nullable(String)') AS last_campaign
FROM conversions;

-- Every identifier seen, with its person: a device with evidence belongs to a user, everyone else
-- is a person of its own.
CREATE VIEW IF NOT EXISTS v_persons AS
SELECT
    i.site AS site, i.identifier_type AS identifier_type, i.identifier AS identifier,
    lower(hex(if(p.person_key = toFixedString('', 16), i.identifier_key, p.person_key))) AS person_id,
    CAST(NULL, 'Nullable(DateTime64(3, \'UTC\'))') AS valid_from,
    CAST(NULL, 'Nullable(DateTime64(3, \'UTC\'))') AS valid_to
FROM (
    SELECT DISTINCT site, 'anonymous_id' AS identifier_type,
        assumeNotNull(anonymous_id) AS identifier, visitor_id AS identifier_key
    FROM events WHERE anonymous_id IS NOT NULL
    UNION ALL
    SELECT DISTINCT site, 'user_id', assumeNotNull(user_id), user_key
    FROM events WHERE user_id IS NOT NULL
) AS i
LEFT ANY JOIN person_rows AS p ON i.identifier_key = p.visitor_key;

CREATE VIEW IF NOT EXISTS v_consent_daily AS
SELECT
    date, site, sum(n_accepted) AS accepted, sum(n_stripped) AS stripped,
    sum(n_dropped) AS dropped, sum(n_refused) AS refused,
    if(accepted + stripped + dropped = 0, NULL, accepted / (accepted + stripped + dropped))
        AS consent_rate
FROM (
    SELECT
        received_on AS date, site, countIf(consent_kept = 'whole') AS n_accepted,
        countIf(consent_kept = 'stripped') AS n_stripped,
        toUInt64(0) AS n_dropped, toUInt64(0) AS n_refused
    FROM events FINAL GROUP BY date, site
    UNION ALL
    SELECT received_on, site, 0, 0, sumIf(count, status = 'dropped'), sumIf(count, status = 'refused')
    FROM tallies FINAL GROUP BY received_on, site
)
GROUP BY date, site;

-- The first order ever of a person is a new customer; orders without a visitor tell nothing.
CREATE VIEW IF NOT EXISTS new_customer_rows AS
SELECT argMin((o.site, o.transaction_id), (o.ordered_at, o.transaction_id)) AS first_order
FROM (
    SELECT site, transaction_id, ordered_at, visitor_id AS visitor_key FROM orders FINAL
    WHERE ordered_at IS NOT NULL AND visitor_id != toFixedString('', 16)
) AS o
LEFT ANY JOIN person_rows AS p ON o.visitor_key = p.visitor_key
GROUP BY o.site, if(p.person_key = toFixedString('', 16), o.visitor_key, p.person_key);

-- Days are days in the site's time zone (UTC while the store does not know the site): of the
-- session's start, of the order.
CREATE VIEW IF NOT EXISTS v_kpi_daily AS
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
        toDate(substring(
            toString(s.started_at, if(t.timezone = '', 'UTC', t.timezone)), 1, 10
        )) AS date, s.site AS site,
        s.channel_group AS channel_group, s.source AS source, s.medium AS medium,
        s.campaign AS campaign, t.currency AS currency,
        count() AS n_sessions, sum(s.engaged) AS n_engaged, uniqExact(s.visitor_key) AS n_visitors,
        toUInt64(0) AS n_orders, toDecimal128(0, 4) AS sum_gross, toDecimal128(0, 4) AS sum_refunded,
        toDecimal128(0, 4) AS sum_verified_net, toUInt64(0) AS n_new, toUInt64(0) AS n_leads
    FROM session_rows AS s
    LEFT ANY JOIN (SELECT site, currency, timezone FROM sites FINAL) AS t ON s.site = t.site
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
