-- Rewrite the visitor-days that the touched days' chains of events cover, sets replaced whole.
--
-- evidence  the visitor's facts in the window, in order; copies of one report change nothing below:
--           there is no gap between them, and what counts counts event keys
-- cut       facts into sessions, by the rule in force: `cut_by_gap.sql`, `cut_by_campaign.sql`
--           facts that are over are none; those of the last day before their class is whole make
--           sessions, but one that begins with one of them is not shown
-- furthest  the last step of the site's funnel that was reached after all before it; of events at one
--           moment the earlier step counts first
-- Each session is laid on every day from its start to its end, so that a day from which a session
-- moved away is rewritten too, with what is left of it.
--
-- Arrays of a visitor's facts take a third of what window functions and a hash table for every
-- session took.
WITH
evidence AS (
    SELECT
        f.site AS site, f.visitor_id AS visitor_id, any({days}) AS days_touched,
        arraySort(groupArray((
            f.occurred_at, f.identity,
            (f.source, f.medium, f.campaign, f.channel_group, f.click_id_name, f.click_id),
            f.page, f.event_key, f.name = 'page_view', f.is_key, {shown}, f.step, f.device,
            f.place{campaign}
        ))) AS facts
    FROM visitor_facts AS f {windows}
    PREWHERE f.visitor_id IN {visitors}
    WHERE f.occurred_at >= toDateTime64(toDate({first_day}), 3, 'UTC')
        AND f.occurred_at < toDateTime64(toDate({last_day}), 3, 'UTC')
        AND {within} AND {kept}
    GROUP BY f.site, f.visitor_id, {since}
),
cut AS (
{cut}),
chains AS (
    SELECT
        c.site AS site, c.visitor_id AS visitor_id, c.days_rewritten AS days_rewritten,
        chain[1].8 AS is_shown, chain[1].1 AS started_at, chain[-1].1 AS ended_at,
        toUInt32(length(arrayDistinct(chain.5))) AS events,
        toUInt32(length(arrayDistinct(arrayFilter((key, is_view) -> is_view, chain.5, chain.6))))
            AS page_views,
        has(chain.7, 1) AS has_key,
        arrayFold(
            (reached, step) -> if(step = reached + 1, step, reached),
            arraySort(arrayFilter(step -> step.2 > 0, arrayZip(chain.1, chain.9))).2,
            toUInt8(0)
        ) AS furthest_step,
        arrayFirst(touch -> touch.1 != '', chain.3) AS first_touch,
        arrayFirst(page -> page != '', chain.4) AS landing_page,
        chain[1].10 AS device,
        arrayFirst(place -> place != '', chain.11) AS place
    FROM cut AS c
    ARRAY JOIN c.sessions AS chain
),
laid AS (
    SELECT
        c.site AS site, c.visitor_id AS visitor_id,
        arrayJoin(range(toUInt16(toDate(c.started_at)), toUInt16(toDate(c.ended_at)) + 1)) AS day,
        c.is_shown AND day = toUInt16(toDate(c.started_at)) AS is_start,
        hasAny(
            c.days_rewritten, range(toUInt16(toDate(c.started_at)), toUInt16(toDate(c.ended_at)) + 1)
        ) AS meets,
        (
            c.started_at, c.ended_at, c.events, c.page_views,
            toUInt8(
                toUnixTimestamp64Milli(c.ended_at) - toUnixTimestamp64Milli(c.started_at) > {engaged_ms}
                OR c.page_views >= 2 OR c.has_key
            ),
            if(c.first_touch.1 = '', '(direct)', c.first_touch.1),
            if(c.first_touch.1 = '', '(none)', c.first_touch.2),
            c.first_touch.3,
            if(c.first_touch.1 = '', 'Direct', c.first_touch.4),
            c.first_touch.5, c.first_touch.6, c.landing_page, c.furthest_step, c.device,
            c.place
        ) AS session
    FROM chains AS c
)
SELECT
    l.site, l.visitor_id, toDate(l.day), arraySort(groupArrayIf(l.session, l.is_start)), {token}
FROM laid AS l
GROUP BY l.site, l.visitor_id, l.day
HAVING max(l.meets)
