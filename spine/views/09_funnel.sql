-- A closed funnel: a session reaches a step after all those before it. Where the last step is the
-- purchase, an order that belongs to the session reaches it too, whoever reported it.
CREATE OR REPLACE VIEW funnel_rows AS
SELECT
    s.day + (s.site_quarter IN (SELECT site_quarter FROM quarter_rows WHERE ahead))
        - (s.site_quarter IN (SELECT site_quarter FROM quarter_rows WHERE NOT ahead)) AS date,
    s.site AS site, t.funnel_steps AS steps, s.visitor_key AS visitor_key,
    s.started_at AS started_at,
    if(
        s.furthest_step + 1 = length(steps) AND steps[-1] = 'purchase'
        AND (s.visitor_key, s.started_at) IN (
            SELECT visitor_key, started_at FROM order_visits
            WHERE in_session AND ordered_at IS NOT NULL
        ),
        length(steps), least(s.furthest_step, length(steps))
    ) AS reached
FROM (
    SELECT
        v.site AS site, v.day AS day, v.visitor_id AS visitor_key, started_at, furthest_step,
        cityHash64(v.site) + intDiv(toUnixTimestamp(started_at), 900) AS site_quarter
    FROM visitor_days AS v FINAL
    ARRAY JOIN
        v.sessions_of_day.started_at AS started_at,
        v.sessions_of_day.furthest_step AS furthest_step
) AS s
LEFT ANY JOIN (SELECT site, funnel_steps FROM sites FINAL) AS t ON s.site = t.site;

-- Days are days in the site's time zone, of the session's start.
CREATE OR REPLACE VIEW v_funnel_daily AS
SELECT
    date, site, steps[step_order] AS step, toUInt8(step_order) AS step_order, sessions,
    if(before = 0 OR step_order = 1, NULL, sessions / before) AS share_of_previous,
    if(sessions = 0 OR step_order = length(steps), NULL, 1 - after / sessions) AS abandonment,
    persons,
    if(persons_before = 0 OR step_order = 1, NULL, persons / persons_before)
        AS person_share_of_previous,
    if(persons = 0 OR step_order = length(steps), NULL, 1 - persons_after / persons)
        AS person_abandonment,
    if(sessions = 0 OR step_order = length(steps), NULL, 1 - last / sessions)
        AS abandonment_to_last,
    if(persons = 0 OR step_order = length(steps), NULL, 1 - persons_last / persons)
        AS person_abandonment_to_last
FROM (
    SELECT
        date, site, steps, step_order, n_sessions[step_order] AS sessions,
        n_sessions[step_order - 1] AS before, n_sessions[step_order + 1] AS after,
        n_persons[step_order] AS persons, n_persons[step_order - 1] AS persons_before,
        n_persons[step_order + 1] AS persons_after, n_sessions[-1] AS last,
        n_persons[-1] AS persons_last
    FROM (
        SELECT
            r.date AS date, r.site AS site, any(r.steps) AS steps,
            sumForEach(arrayMap(nth -> toUInt64(r.reached >= nth), range(1, length(r.steps) + 1)))
                AS n_sessions,
            uniqExactForEach(arrayMap(
                nth -> if(
                    r.reached >= nth,
                    toNullable(multiIf(
                        p.person_key = toFixedString('', 16), r.visitor_key,
                        empty(p.slices), p.person_key,
                        arrayLast(x -> x.1 <= r.started_at, p.slices).2
                    )),
                    NULL
                ),
                range(1, length(r.steps) + 1)
            )) AS n_persons
        FROM funnel_rows AS r
        LEFT ANY JOIN person_rows AS p ON r.visitor_key = p.visitor_key
        GROUP BY date, site
    )
    ARRAY JOIN arrayEnumerate(steps) AS step_order
);
