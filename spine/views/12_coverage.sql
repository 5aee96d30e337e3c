-- How much of a day the numbers stand on: one row for each date and site of which anything is known, to be
-- joined with other daily numbers.
CREATE OR REPLACE VIEW v_coverage_daily AS
SELECT
    date, site, sum(n_decided) AS events_decided, sum(n_consented) AS events_consented,
    sum(n_events) AS events, sum(n_late) AS late, sum(n_sessions) AS sessions,
    sum(n_unstitched) AS unstitched, sum(n_orders) AS orders, sum(n_unverified) AS unverified,
    sum(n_bots) AS bots,
    if(events_decided = 0, NULL, events_consented / events_decided) AS consent_rate,
    if(events = 0, NULL, late / events) AS late_share,
    if(sessions = 0, NULL, 1 - unstitched / sessions) AS stitched_share,
    if(orders = 0, NULL, unverified / orders) AS unverified_share
FROM (
    SELECT
        date, site, accepted + stripped + dropped AS n_decided, accepted AS n_consented,
        toUInt64(0) AS n_events, toUInt64(0) AS n_late, toUInt64(0) AS n_sessions,
        toUInt64(0) AS n_unstitched, toUInt64(0) AS n_orders, toUInt64(0) AS n_unverified,
        CAST(NULL, 'Nullable(UInt64)') AS n_bots
    FROM v_consent_daily
    UNION ALL
    SELECT
        date, site, 0, 0, q.events, q.late, q.sessions, q.unstitched, q.orders, q.unverified,
        q.bots
    FROM v_data_quality_daily AS q
)
GROUP BY date, site;
