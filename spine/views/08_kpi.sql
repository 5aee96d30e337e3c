-- Visitors of whom there is evidence, with their person, and of a device of several persons each from its
-- beginning on. All others are persons of their own: nobody is joined with them, and no two are one.
CREATE OR REPLACE VIEW person_words AS
SELECT
    reinterpretAsUInt64(visitor_id) AS visitor_word,
    if(
        intervals.size0 = 0, visitor_word, reinterpretAsUInt64(intervals.person_id[1])
    ) AS person_word,
    if(
        intervals.size0 <= 1, [],
        arrayMap(
            (valid_from, person_id) ->
                (ifNull(valid_from, toDateTime64(0, 3, 'UTC')), reinterpretAsUInt64(person_id)),
            intervals.valid_from, intervals.person_id
        )
    ) AS slices
FROM persons FINAL
WHERE identifier_type IN ('anonymous_id', 'user_id');

-- Their sessions. What is computed of a session is computed once it is known to be one of these.
CREATE OR REPLACE VIEW known_session_rows AS
SELECT
    s.site AS site, s.day AS day, s.touch AS touch, p.visitor_word AS visitor_word,
    if(
        empty(p.slices), p.person_word, arrayLast(x -> x.1 <= s.started_at, p.slices).2
    ) AS person_word,
    cityHash64(s.site) + intDiv(toUnixTimestamp(s.started_at), 900) AS site_quarter,
    sipHash64(s.site) + sipHash64(s.touch) AS site_touch
FROM session_rows AS s
INNER JOIN person_words AS p ON reinterpretAsUInt64(s.visitor_key) = p.visitor_word;

-- Visitors and persons are counted by eight bytes of their digest. As many persons as visitors, and of
-- those of whom there is evidence as many fewer, or more where a device was several persons' in turn.
-- Days are days in the site's time zone (UTC while the store does not know the site): of the
-- session's start, of the order, of a refund where its column says so. What has no session is
-- unattributed: its touch is empty. What has no currency of its own has the site's.
-- An order is there at the moment it was made, and at each at which it became less.
-- Sessions are grouped by site and touch as one number of 64 bits, several times faster than by their
-- texts: that two of a million pairs have the same one has a chance of 1 in 37 million.
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
    if(sessions = 0, NULL, 1 - engaged_sessions / sessions) AS bounce_rate,
    toUInt64(sum(a.n_persons)) AS persons,
    if(visitors = 0, NULL, orders / visitors) AS cvr_visitor,
    if(persons = 0, NULL, orders / persons) AS cvr_person,
    if(orders = 0, NULL, toFloat64(net) / orders) AS aov_net,
    if(sessions = 0, NULL, engaged_sessions / sessions) AS engagement_rate,
    if(leads = 0, NULL, orders / leads) AS lead_to_order,
    sum(a.n_cancelled) AS cancelled_orders, net - verified_net AS unverified_net,
    sum(a.sum_reversed) AS refunded_on_date,
    sum(a.sum_gross_converted) AS gross_converted,
    sum(a.sum_refunded_converted) AS refunded_converted,
    gross_converted - refunded_converted AS net_converted,
    any(nullIf(toString(t.currency), '')) AS converted_currency,
    sum(a.n_unconverted) AS orders_unconverted
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
            toLowCardinality(any(s.site)) AS site, toLowCardinality(any(s.touch)) AS touch,
            CAST(NULL, 'Nullable(String)') AS own_currency,
            count() AS n_sessions, sum(s.engaged) AS n_engaged,
            uniqExact(s.visitor_word) AS n_visitors, toInt64(n_visitors) AS n_persons,
            toUInt64(0) AS n_orders, toUInt64(0) AS n_cancelled, toUInt64(0) AS n_unconverted,
            toDecimal128(0, 4) AS sum_gross, toDecimal128(0, 4) AS sum_refunded,
            toDecimal128(0, 4) AS sum_verified_net, toDecimal128(0, 4) AS sum_reversed,
            toDecimal128(0, 4) AS sum_gross_converted,
            toDecimal128(0, 4) AS sum_refunded_converted, toUInt64(0) AS n_new,
            toUInt64(0) AS n_leads
        FROM (
            SELECT
                *, cityHash64(site) + intDiv(toUnixTimestamp(started_at), 900) AS site_quarter,
                reinterpretAsUInt64(visitor_key) AS visitor_word,
                sipHash64(site) + sipHash64(touch) AS site_touch
            FROM session_rows
        ) AS s
        GROUP BY date, s.site_touch
        UNION ALL
        SELECT
            k.day + (k.site_quarter IN (SELECT site_quarter FROM quarter_rows WHERE ahead))
                - (k.site_quarter IN (SELECT site_quarter FROM quarter_rows WHERE NOT ahead))
                AS date,
            toLowCardinality(any(k.site)), toLowCardinality(any(k.touch)), NULL, 0, 0, 0,
            toInt64(uniqExact(k.person_word)) - toInt64(uniqExact(k.visitor_word)),
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
        FROM known_session_rows AS k
        GROUP BY date, k.site_touch
        UNION ALL
        SELECT
            toDate(substring(
                toString(moment.1, if(o.timezone = '', 'UTC', o.timezone)), 1, 10
            )) AS date, o.site, o.touch, o.currency,
            0, 0, 0, 0, sum(moment.2), sumIf(moment.2, o.status = 'cancelled'),
            sumIf(moment.2, o.gross_converted IS NULL), sumIf(ifNull(o.gross, 0), moment.2),
            sumIf(ifNull(o.refunded, 0), moment.2),
            sumIf(ifNull(o.gross - o.refunded, 0), moment.2 AND o.verified), sum(moment.3),
            sumIf(ifNull(o.gross_converted, 0), moment.2),
            sumIf(ifNull(o.refunded_converted, 0), moment.2),
            sumIf(moment.2, o.order_key IN new_customer_rows), 0
        FROM order_money AS o
        ARRAY JOIN arrayConcat(
            [(assumeNotNull(o.ordered_at), toUInt8(1), toDecimal128(0, 4))],
            arrayMap(reversal -> (reversal.1, toUInt8(0), reversal.2), o.reversals)
        ) AS moment
        WHERE o.ordered_at IS NOT NULL
        GROUP BY date, o.site, o.touch, o.currency
        UNION ALL
        SELECT
            toDate(substring(
                toString(c.occurred_at, if(t.timezone = '', 'UTC', t.timezone)), 1, 10
            )) AS date, c.site, c.touch, nullIf(c.currency, ''),
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, count()
        FROM (SELECT * FROM lead_visits WHERE kind = 'lead') AS c
        LEFT ANY JOIN (SELECT site, timezone FROM sites FINAL) AS t ON c.site = t.site
        GROUP BY date, c.site, c.touch, c.currency
    )
) AS a
LEFT ANY JOIN (SELECT site, currency FROM sites FINAL) AS t ON a.site = t.site
GROUP BY date, site, channel_group, source, medium, campaign, currency;
