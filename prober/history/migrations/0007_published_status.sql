-- What the supplier's status page (`url`) said: a row for each period from `since` to `until` (epoch
-- seconds) in which it said the same every time it was read. `problem` says why it could not be
-- read; `incidents` is a JSON array of the incidents that were open.
CREATE TABLE published_status (
  id INTEGER PRIMARY KEY,
  since REAL NOT NULL,
  until REAL NOT NULL,
  url TEXT NOT NULL,
  problem TEXT,
  incidents TEXT NOT NULL
);
CREATE INDEX published_status_by_until ON published_status (until);
