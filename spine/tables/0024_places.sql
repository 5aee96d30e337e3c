-- Where an event came from, as its collector knew it: a country, or a region of it by ISO 3166-2. Of what
-- landed before nobody has looked. Sessions have the first place that one of their events tells.

ALTER TABLE events ADD COLUMN IF NOT EXISTS place LowCardinality(String) AFTER user_agent;
ALTER TABLE visitor_facts ADD COLUMN IF NOT EXISTS place LowCardinality(String) AFTER device;
ALTER TABLE visitor_days MODIFY COLUMN sessions_of_day Array(Tuple(
    started_at DateTime64(3, 'UTC'), ended_at DateTime64(3, 'UTC'),
    events UInt32, page_views UInt32, engaged UInt8,
    source LowCardinality(String), medium LowCardinality(String),
    campaign LowCardinality(String), channel_group LowCardinality(String),
    click_id_name LowCardinality(String), click_id String, landing_page String,
    furthest_step UInt8, device LowCardinality(String), place LowCardinality(String)
));
