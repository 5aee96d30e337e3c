CREATE OR REPLACE VIEW session_rows AS
SELECT
    s.site AS site, s.visitor_id AS visitor_key, s.day AS day, started_at, ended_at,
    lower(hex(sipHash128(s.visitor_id, toUnixTimestamp64Milli(started_at)))) AS session_id,
    events, page_views, engaged, source, medium, campaign, channel_group, click_id_name, click_id,
    landing_page, device, place, touch
FROM visitor_days AS s FINAL
ARRAY JOIN
    s.sessions_of_day.started_at AS started_at, s.sessions_of_day.ended_at AS ended_at,
    s.sessions_of_day.events AS events, s.sessions_of_day.page_views AS page_views,
    s.sessions_of_day.engaged AS engaged, s.sessions_of_day.source AS source,
    s.sessions_of_day.medium AS medium, s.sessions_of_day.campaign AS campaign,
    s.sessions_of_day.channel_group AS channel_group,
    s.sessions_of_day.click_id_name AS click_id_name, s.sessions_of_day.click_id AS click_id,
    s.sessions_of_day.landing_page AS landing_page, s.sessions_of_day.device AS device,
    s.sessions_of_day.place AS place,
    s.touches AS touch;

CREATE OR REPLACE VIEW sessions AS
SELECT site, visitor_id, day, sessions_of_day FROM visitor_days FINAL;

-- A visitor's sessions in the order of their start.
CREATE OR REPLACE VIEW visitor_rows AS
SELECT
    visitor_id AS visitor_key,
    arraySort(groupArrayArray(arrayZip(
        sessions_of_day.started_at, sessions_of_day.ended_at
    ))) AS sessions_of_visitor
FROM visitor_days FINAL
GROUP BY visitor_id;
