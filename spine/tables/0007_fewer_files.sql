-- What a batch brings is one file instead of one for every column: an insert writes and syncs a tenth
-- of the files. Parts that merges have made larger than this are laid out by columns as before.
ALTER TABLE events MODIFY SETTING min_bytes_for_wide_part = 100000000;
