-- The slowest answers, a few for each tenant and day (epoch days), by the platform's own time:
-- other runs than failures leave no trace of their own. `facts` is a JSON object of texts.
CREATE TABLE slow_answer (
  id INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  day INTEGER NOT NULL,
  probe TEXT NOT NULL,
  at REAL NOT NULL,
  reason TEXT NOT NULL,
  server_seconds REAL NOT NULL,
  network_seconds REAL,
  facts TEXT NOT NULL
);
CREATE INDEX slow_answer_by_day ON slow_answer (tenant, day, server_seconds);
CREATE INDEX slow_answer_by_time ON slow_answer (at);

-- Before which moment something was let go for want of room: `failure`, or `everything`.
CREATE TABLE forgotten (
  what TEXT PRIMARY KEY,
  before REAL NOT NULL
) WITHOUT ROWID;
