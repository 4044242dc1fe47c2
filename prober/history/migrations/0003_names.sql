-- The tables and columns get the names that the code uses. Nothing is copied: SQLite changes
-- the schema alone. It cannot rename an index, so that those of renamed tables are made again.
ALTER TABLE slot RENAME TO time_bucket;
ALTER TABLE time_bucket RENAME COLUMN slot TO start;
ALTER TABLE time_bucket RENAME COLUMN held_back TO paused;
-- Runs whose culprit is `tenant`; `tenant` is the tenant's name.
ALTER TABLE time_bucket ADD COLUMN tenant_failures INTEGER NOT NULL DEFAULT 0;
DROP INDEX slot_by_time;
CREATE INDEX time_bucket_by_start ON time_bucket (start);

ALTER TABLE minute RENAME COLUMN tally TO aggregate;
ALTER TABLE hour RENAME COLUMN tally TO aggregate;

ALTER TABLE spell RENAME TO failure_streak;
DROP INDEX spell_by_end;
CREATE INDEX failure_streak_by_end ON failure_streak (ended_at);

ALTER TABLE slow_answer RENAME TO slow_request;
DROP INDEX slow_answer_by_day;
DROP INDEX slow_answer_by_time;
CREATE INDEX slow_request_by_day ON slow_request (tenant, day, server_seconds);
CREATE INDEX slow_request_by_time ON slow_request (at);

-- `kind` is `failure` or `everything`: what was deleted before its time, to keep the file small.
ALTER TABLE forgotten RENAME TO retention_horizon;
ALTER TABLE retention_horizon RENAME COLUMN what TO kind;
