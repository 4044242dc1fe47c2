"""What happened over time, in values: runs, minutes, spells, incidents, objectives. All pure."""
