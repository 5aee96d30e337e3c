-- What collectors said about their spills: from this number on so many records waited there, durable
-- but not on the log yet. Of one spill the highest number was said last.
CREATE TABLE IF NOT EXISTS spills (
    spill String, number UInt64, waiting UInt64, collector String, told_at DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree ORDER BY (spill, number, waiting)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;
