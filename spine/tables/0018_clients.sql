-- What an event was sent with, and the bot it was taken for by which list. Of what landed before
-- nobody has looked. Sessions have the device of their first event.

ALTER TABLE events ADD COLUMN IF NOT EXISTS device LowCardinality(String) AFTER user_agent;
ALTER TABLE events ADD COLUMN IF NOT EXISTS browser LowCardinality(String) AFTER device;
ALTER TABLE events ADD COLUMN IF NOT EXISTS browser_version LowCardinality(String) AFTER browser;
ALTER TABLE events ADD COLUMN IF NOT EXISTS os LowCardinality(String) AFTER browser_version;
ALTER TABLE events ADD COLUMN IF NOT EXISTS bot LowCardinality(String) AFTER os;
ALTER TABLE events ADD COLUMN IF NOT EXISTS bot_list LowCardinality(String) AFTER bot;

ALTER TABLE visitor_facts ADD COLUMN IF NOT EXISTS device LowCardinality(String);

ALTER TABLE visitor_days MODIFY COLUMN sessions_of_day Array(Tuple(
    started_at DateTime64(3, 'UTC'), ended_at DateTime64(3, 'UTC'),
    events UInt32, page_views UInt32, engaged UInt8,
    source LowCardinality(String), medium LowCardinality(String),
    campaign LowCardinality(String), channel_group LowCardinality(String),
    click_id_name LowCardinality(String), click_id String, landing_page String,
    furthest_step UInt8, device LowCardinality(String)
));
