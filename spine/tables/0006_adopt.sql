-- What `beleg log adopt` needs: of the highest generation of a name the oldest row counts. In
-- `ledger`, `lost` may now be 2: these offsets were not on the log when it was adopted.

ALTER TABLE logs ADD COLUMN IF NOT EXISTS generation UInt32 DEFAULT 0;
