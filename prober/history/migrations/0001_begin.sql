-- Moments (`at`, `..._at`, `slot`) are epoch seconds; `minute` and `hour` are epoch minutes and hours.
-- The minutes of hours that are not over stand in `minute`; then `hour` gets their sum, and
-- `hour_detail` the minutes themselves. Never edit a migration: add one.

CREATE TABLE probe (
  id INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,
  UNIQUE (tenant, name)
);

CREATE TABLE minute (
  probe INTEGER NOT NULL,
  minute INTEGER NOT NULL,
  tally BLOB NOT NULL,
  PRIMARY KEY (probe, minute)
) WITHOUT ROWID;

CREATE TABLE hour (
  probe INTEGER NOT NULL,
  hour INTEGER NOT NULL,
  tally BLOB NOT NULL,
  PRIMARY KEY (probe, hour)
) WITHOUT ROWID;

CREATE TABLE hour_detail (
  probe INTEGER NOT NULL,
  hour INTEGER NOT NULL,
  minutes BLOB NOT NULL,
  PRIMARY KEY (probe, hour)
) WITHOUT ROWID;

CREATE TABLE slot (
  tenant TEXT NOT NULL,
  slot INTEGER NOT NULL,
  none INTEGER NOT NULL,
  credential INTEGER NOT NULL,
  request INTEGER NOT NULL,
  platform INTEGER NOT NULL,
  network INTEGER NOT NULL,
  undecided INTEGER NOT NULL,
  prober INTEGER NOT NULL,
  held_back INTEGER NOT NULL,
  in_maintenance INTEGER NOT NULL,
  splits INTEGER NOT NULL,
  server_seconds REAL NOT NULL,
  network_seconds REAL NOT NULL,
  PRIMARY KEY (tenant, slot)
) WITHOUT ROWID;
CREATE INDEX slot_by_time ON slot (slot);

CREATE TABLE failure (
  id INTEGER PRIMARY KEY,
  probe INTEGER NOT NULL,
  at REAL NOT NULL,
  reason TEXT NOT NULL,
  document BLOB NOT NULL
);
CREATE INDEX failure_by_probe ON failure (probe, at);
CREATE INDEX failure_by_time ON failure (at);

CREATE TABLE verdict_change (
  id INTEGER PRIMARY KEY,
  probe INTEGER NOT NULL,
  at REAL NOT NULL,
  before TEXT,
  reason TEXT NOT NULL
);
CREATE INDEX verdict_change_by_probe ON verdict_change (probe, at);
CREATE INDEX verdict_change_by_time ON verdict_change (at);

CREATE TABLE spell (
  id INTEGER PRIMARY KEY,
  probe INTEGER NOT NULL,
  reason TEXT NOT NULL,
  rule TEXT NOT NULL,
  evidence TEXT NOT NULL,
  started_at REAL NOT NULL,
  last_failed_at REAL NOT NULL,
  ended_at REAL,
  failures INTEGER NOT NULL,
  in_maintenance INTEGER NOT NULL
);
CREATE INDEX spell_by_end ON spell (ended_at);

CREATE TABLE token_event (
  id INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  at REAL NOT NULL,
  kind TEXT NOT NULL,
  fingerprint TEXT,
  cause TEXT,
  problem TEXT
);
CREATE INDEX token_event_by_tenant ON token_event (tenant, at);
CREATE INDEX token_event_by_time ON token_event (at);
