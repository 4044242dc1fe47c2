-- A run that was skipped because its token is rejected is "paused". The culprit `tenant` (its own set-up
-- or use of the platform) is new; `tenant` is the tenant's name here.
ALTER TABLE slot RENAME COLUMN held_back TO paused;
ALTER TABLE slot ADD COLUMN tenant_culprit INTEGER NOT NULL DEFAULT 0;
