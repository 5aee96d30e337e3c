-- What is derived: functions of the set of landed rows. The row with the highest version of a key
-- has seen everything that landed before it; a set of rows is one row, so that it is replaced whole.

CREATE TABLE IF NOT EXISTS sessions (
    site LowCardinality(String), visitor_id FixedString(16), day Date,
    sessions_of_day Array(Tuple(
        started_at DateTime64(3, 'UTC'), ended_at DateTime64(3, 'UTC'),
        events UInt32, page_views UInt32, engaged UInt8,
        source String, medium String, campaign String, channel_group String,
        click_id_name String, click_id String, landing_page String
    )),
    version UInt64
) ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(day)
ORDER BY (visitor_id, day)
SETTINGS index_granularity = 256, index_granularity_bytes = 0, min_compress_block_size = 4096,
    max_compress_block_size = 16384;

CREATE TABLE IF NOT EXISTS orders (
    order_key FixedString(16), site LowCardinality(String), transaction_id String,
    ordered_at Nullable(DateTime64(3, 'UTC')), first_reported_at DateTime64(3, 'UTC'),
    currency LowCardinality(String),
    gross Nullable(Decimal(18, 4)), refunded Nullable(Decimal(18, 4)),
    tax Nullable(Decimal(18, 4)), shipping Nullable(Decimal(18, 4)),
    status LowCardinality(String), verified UInt8, seen_browser UInt8, seen_server UInt8,
    money_from LowCardinality(String), visitor_from LowCardinality(String),
    visitor_id FixedString(16), version UInt64
) ENGINE = ReplacingMergeTree(version)
ORDER BY order_key
SETTINGS index_granularity = 256;

CREATE TABLE IF NOT EXISTS persons (
    visitor_id FixedString(16), site LowCardinality(String),
    identifier_type LowCardinality(String), identifier String,
    intervals Array(Tuple(
        valid_from Nullable(DateTime64(3, 'UTC')), valid_to Nullable(DateTime64(3, 'UTC')),
        person_id FixedString(16)
    )),
    version UInt64
) ENGINE = ReplacingMergeTree(version)
ORDER BY visitor_id
SETTINGS index_granularity = 256;
