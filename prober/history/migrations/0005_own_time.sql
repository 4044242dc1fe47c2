-- The prober's own time beside that of server and network. Rows from before do not know it: 0 in
-- sums, NULL for a request.
ALTER TABLE time_bucket ADD COLUMN own_seconds REAL NOT NULL DEFAULT 0;
ALTER TABLE slow_request ADD COLUMN own_seconds REAL;
