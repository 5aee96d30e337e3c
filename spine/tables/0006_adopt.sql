-- What `beleg log adopt` needs: of the highest generation of a name the oldest row counts. In
-- `ledger`, `lost` may now be 2: these offsets were not on the log when it was adopted.

ALTER TABLE logs ADD COLUMN IF NOT EXISTS generation UInt32 DEFAULT 0;

-- When the log took a record, by its own clock, so that `beleg trace` can say it.
ALTER TABLE fates ADD COLUMN IF NOT EXISTS
    appended_at DateTime64(3, 'UTC') CODEC(Delta, LZ4) AFTER received_at;
