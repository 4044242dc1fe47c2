-- The values that checks found: the last of each quarter of an hour (`start`, epoch seconds). Of a
-- timestamp, `value` is in epoch seconds. `last_at` is when the series last got a value.
CREATE TABLE value_series (
  id INTEGER PRIMARY KEY,
  probe INTEGER NOT NULL,
  check_name TEXT NOT NULL,
  item TEXT NOT NULL,
  kind TEXT NOT NULL,
  last_at REAL NOT NULL,
  UNIQUE (probe, check_name, item)
);

CREATE TABLE probe_value (
  series INTEGER NOT NULL,
  start INTEGER NOT NULL,
  value REAL NOT NULL,
  PRIMARY KEY (series, start)
) WITHOUT ROWID;
CREATE INDEX probe_value_by_start ON probe_value (start);
