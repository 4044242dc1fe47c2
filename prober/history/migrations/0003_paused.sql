-- A run that was skipped because its token is rejected is "paused".
ALTER TABLE slot RENAME COLUMN held_back TO paused;
