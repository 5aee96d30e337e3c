-- `visitor_days` has its rows since 0009.
DROP TABLE IF EXISTS sessions;
