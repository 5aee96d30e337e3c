-- What an event was sent with, and the bot it was taken for by which list. Of what landed before
-- nobody has looked. Sessions have the device of their first event, and are cut by the rule of their site.

ALTER TABLE events ADD COLUMN IF NOT EXISTS device LowCardinality(String) AFTER user_agent;
ALTER TABLE events ADD COLUMN IF NOT EXISTS browser LowCardinality(String) AFTER device;
ALTER TABLE events ADD COLUMN IF NOT EXISTS browser_version LowCardinality(String) AFTER browser;
ALTER TABLE events ADD COLUMN IF NOT EXISTS os LowCardinality(String) AFTER browser_version;
ALTER TABLE events ADD COLUMN IF NOT EXISTS bot LowCardinality(String) AFTER os;
ALTER TABLE events ADD COLUMN IF NOT EXISTS bot_list LowCardinality(String) AFTER bot;

ALTER TABLE visitor_facts ADD COLUMN IF NOT EXISTS device LowCardinality(String);
-- Whether the address of a page tells of the campaign, not the referrer alone.
ALTER TABLE visitor_facts ADD COLUMN IF NOT EXISTS is_tagged UInt8 DEFAULT
    click_id_name != '' OR source != '' AND medium NOT IN ('organic', 'referral', 'social', 'ai-assistant');

ALTER TABLE visitor_days MODIFY COLUMN sessions_of_day Array(Tuple(
    started_at DateTime64(3, 'UTC'), ended_at DateTime64(3, 'UTC'),
    events UInt32, page_views UInt32, engaged UInt8,
    source LowCardinality(String), medium LowCardinality(String),
    campaign LowCardinality(String), channel_group LowCardinality(String),
    click_id_name LowCardinality(String), click_id String, landing_page String,
    furthest_step UInt8, device LowCardinality(String)
));

-- By which rule the events of a site are cut; without a row by the usual one. What was changed with a
-- token needs a rebuild, and has had one where `rebuilds` knows a higher token.
CREATE TABLE IF NOT EXISTS session_rules (
    site String, rule LowCardinality(String), timeout_s UInt32, engaged_after_s UInt32,
    timezone String, token UInt64
) ENGINE = ReplacingMergeTree(token) ORDER BY site
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
ALTER TABLE rebuilds ADD COLUMN IF NOT EXISTS token UInt64;
