-- `visitor_days` has its rows since 0009; the name stays for who reads it.
DROP TABLE IF EXISTS sessions;

CREATE OR REPLACE VIEW sessions AS
SELECT site, visitor_id, day, sessions_of_day FROM visitor_days FINAL;
