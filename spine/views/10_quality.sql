-- What to know before a number is believed, by day and site: repeats, late and corrected events,
-- orders whose reports disagree or that only a browser told of, sessions of nobody known. What was read
-- in a file came from no visitor: it is in two columns of its own.

-- Days are days in the site's time zone: of receipt for what arrived, of the order, of the session.
CREATE OR REPLACE VIEW v_data_quality_daily AS
SELECT
    a.date AS date, a.site AS site, sum(n_events) AS events, sum(n_duplicates) AS duplicates,
    sum(n_conflicts) AS duplicate_conflicts, sum(n_late) AS late, sum(n_clamped) AS clamped,
    sum(n_filled) AS currency_filled, sum(n_unreadable) AS consent_unreadable,
    sum(n_orders) AS orders, sum(n_unverified) AS unverified,
    sum(n_disagreeing) AS orders_disagreeing, sum(n_currencies) AS orders_in_two_currencies,
    sum(n_over) AS orders_over_refunded, sum(n_negative) AS orders_negative,
    sum(n_reversed) AS orders_reversed_unverified, sum(n_awaiting) AS orders_awaiting_purchase,
    sum(n_sessions) AS sessions, sum(n_unstitched) AS unstitched, sum(n_bots) AS bots,
    sum(n_blocked) AS identifiers_blocked, sum(n_imported) AS imported,
    if(events = 0, NULL, late / events) AS late_share,
    if(orders = 0, NULL, unverified / orders) AS unverified_share,
    if(sessions = 0, NULL, 1 - unstitched / sessions) AS stitched_share
FROM (
    SELECT
        received_on AS date, site, countIf(NOT is_imported) AS n_events,
        toUInt64(0) AS n_duplicates, toUInt64(0) AS n_conflicts,
        countIf(is_late AND NOT is_imported) AS n_late,
        countIf(is_clamped AND NOT is_imported) AS n_clamped, sum(is_filled) AS n_filled,
        sum(is_unreadable) AS n_unreadable, toUInt64(0) AS n_orders,
        toUInt64(0) AS n_unverified, toUInt64(0) AS n_disagreeing, toUInt64(0) AS n_currencies,
        toUInt64(0) AS n_over, toUInt64(0) AS n_negative, toUInt64(0) AS n_reversed,
        toUInt64(0) AS n_awaiting, toUInt64(0) AS n_sessions, toUInt64(0) AS n_unstitched,
        sum(is_bot) AS n_bots, sum(is_blocked) AS n_blocked, sum(is_imported) AS n_imported
    FROM (
        -- Two kinds of key may tell of one event: it counts on the day when the first was heard.
        SELECT
            site, event_key, min(received_on) AS received_on,
            min(received_at) > min(occurred_at) + INTERVAL 24 HOUR AS is_late,
            max(has(flags, 'time_clamped')) AS is_clamped,
            max(has(flags, 'currency_filled')) AS is_filled,
            max(has(flags, 'consent_unreadable')) AS is_unreadable, max(bot != '') AS is_bot,
            max(has(flags, 'identifier_blocked')) AS is_blocked,
            max(has(flags, 'imported')) AS is_imported
        FROM events FINAL
        GROUP BY site, event_key
    )
    GROUP BY date, site
    UNION ALL
    SELECT
        toDate(substring(
            toString(f.received_at, if(t.timezone = '', 'UTC', t.timezone)), 1, 10
        )) AS date, f.site, 0, count(), countIf(f.code = 'duplicate_conflict'),
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
    FROM (SELECT site, received_at, code FROM fates FINAL WHERE fate = 'duplicate') AS f
    LEFT ANY JOIN (SELECT site, timezone FROM sites FINAL) AS t ON f.site = t.site
    GROUP BY date, f.site
    UNION ALL
    SELECT
        toDate(substring(
            toString(
                ifNull(o.ordered_at, o.first_reported_at), if(t.timezone = '', 'UTC', t.timezone)
            ), 1, 10
        )) AS date, o.site, 0, 0, 0, 0, 0, 0, 0, countIf(o.is_bought),
        countIf(o.is_bought AND NOT o.verified), countIf(o.is_bought AND o.amounts_disagree),
        countIf(o.is_bought AND o.currencies_disagree), countIf(o.is_bought AND o.over_refunded),
        countIf(o.is_bought AND o.negative_amount), countIf(o.is_bought AND o.reversal_unverified),
        countIf(NOT o.is_bought), 0, 0, 0, 0, 0
    FROM (
        SELECT *, ordered_at IS NOT NULL AS is_bought FROM orders FINAL WHERE status != ''
    ) AS o
    LEFT ANY JOIN (SELECT site, timezone FROM sites FINAL) AS t ON o.site = t.site
    GROUP BY date, o.site
    UNION ALL
    SELECT
        s.day + (s.site_quarter IN (SELECT site_quarter FROM quarter_rows WHERE ahead))
            - (s.site_quarter IN (SELECT site_quarter FROM quarter_rows WHERE NOT ahead)) AS date,
        s.site, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, count(),
        countIf(s.visitor_key NOT IN (SELECT visitor_key FROM person_rows)), 0, 0, 0
    FROM (
        SELECT
            *, cityHash64(site) + intDiv(toUnixTimestamp(started_at), 900) AS site_quarter
        FROM session_rows
    ) AS s
    GROUP BY date, s.site
) AS a
GROUP BY date, site;
