-- A result names its culprit itself: not every reason determines it any more. NULL in rows of
-- earlier versions: the culprit that the reason had at that time.
ALTER TABLE failure_streak ADD COLUMN culprit TEXT;
ALTER TABLE failure ADD COLUMN culprit TEXT;
