"""When to probe: pure plans of due runs, and the one file that knows APScheduler."""
